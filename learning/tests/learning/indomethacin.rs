// SPDX-License-Identifier: Apache-2.0
//! The indomethacin trial without pooling.

use consilium_learning::result::Count;

use crate::federation::{SILOS, example_study, example_tables, examples, run_through_integers};

#[test]
fn the_four_centres_hold_the_patients_of_the_trial() {
    let tables = example_tables(&example_study("logistic"));
    let patients: Vec<usize> = tables.iter().map(|table| table.patient_count()).collect();
    assert_eq!(patients, [164, 413, 22, 3]);
    assert!(tables.iter().all(|table| table.warnings().is_empty()));
    let rows = SILOS.map(|silo| {
        let file =
            std::fs::File::open(examples().join(format!("data/indo-rct/{silo}.csv"))).unwrap();
        consilium_learning::table::count_rows(file).unwrap()
    });
    assert_eq!(rows, [164, 413, 22, 3]);
}

#[test]
fn the_contingency_table_of_the_trial_is_exact() {
    let study = example_study("statistics");
    let outcome = run_through_integers(&study, &example_tables(&study));
    let statistics = outcome.result.statistics().unwrap();
    let table = &statistics.tables[0];
    assert_eq!(table.count("indomethacin", "yes"), Some(27.0));
    assert_eq!(table.row_total("indomethacin"), Some(295.0));
    assert_eq!(table.count("placebo", "yes"), Some(52.0));
    assert_eq!(table.row_total("placebo"), Some(307.0));
    assert!(outcome.model.is_none());
}

#[test]
fn moments_and_histograms_are_those_of_the_pooled_table() {
    let study = example_study("statistics");
    let outcome = run_through_integers(&study, &example_tables(&study));
    let statistics = outcome.result.statistics().unwrap();

    let mut columns = [Vec::new(), Vec::new()];
    for silo in SILOS {
        let text =
            std::fs::read_to_string(examples().join(format!("data/indo-rct/{silo}.csv"))).unwrap();
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            columns[0].push(cells[3].parse::<f64>().unwrap());
            columns[1].push(cells[4].parse::<f64>().unwrap());
        }
    }
    for (position, values) in columns.iter().enumerate() {
        let moments = &statistics.moments[position];
        let rows = f64::from(u32::try_from(values.len()).unwrap());
        let mean = values.iter().sum::<f64>() / rows;
        let variance = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / (rows - 1.0);
        assert_eq!(moments.count, Some(Count(602.0)));
        assert!((moments.mean.unwrap() - mean).abs() < 1e-6);
        assert!((moments.variance.unwrap() - variance).abs() < 1e-6);

        let histogram = &statistics.histograms[position];
        let last = histogram.counts.len() - 1;
        for (bin, count) in histogram.counts.iter().enumerate() {
            let (low, high) = (histogram.edges[bin], histogram.edges[bin + 1]);
            let expected = values
                .iter()
                .filter(|value| {
                    **value >= low && (**value < high || (bin == last && **value <= high))
                })
                .count();
            assert_eq!(count.0, f64::from(u32::try_from(expected).unwrap()));
        }
    }
    let json = serde_json::to_string(&outcome.result).unwrap();
    assert!(json.contains(r#""cells":[[255,52],[268,27]]"#), "{json}");
    assert_eq!(
        serde_json::from_str::<consilium_learning::StudyResult>(&json).unwrap(),
        outcome.result
    );
}

#[test]
fn newton_steps_reach_the_pooled_fit() {
    let study = example_study("logistic");
    let outcome = run_through_integers(&study, &example_tables(&study));
    let fit = outcome.result.regression().unwrap();
    let text = std::fs::read_to_string(examples().join("data/indo-rct/pooled.toml")).unwrap();
    let pooled: toml::Table = toml::from_str(&text).unwrap();
    let numbers = |key: &str| -> Vec<f64> {
        pooled[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|number| number.as_float().unwrap())
            .collect()
    };
    let names: Vec<&str> = pooled["names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(fit.names, names);
    for (found, expected) in fit.coefficients.iter().zip(numbers("coefficients")) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    for (found, expected) in fit
        .standard_errors
        .as_ref()
        .unwrap()
        .iter()
        .zip(numbers("standard_errors"))
    {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    assert!((fit.odds_ratios[1] - 0.4640).abs() < 5e-5);
    let [low, high] = fit.intervals.as_ref().unwrap()[1];
    assert!((low - 0.2806).abs() < 5e-5 && (high - 0.7673).abs() < 5e-5);
    assert_eq!(fit.converged, Some(true));
    assert!(fit.rounds < 10, "{} rounds", fit.rounds);
    assert_eq!(fit.examples, Some(Count(602.0)));
}
