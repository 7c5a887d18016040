// SPDX-License-Identifier: Apache-2.0
use consilium_crypto::random::InsecureSeededRandom;
use consilium_privacy::contribution::simulated_sum;

use crate::result::StudyResult;
use crate::study::{Privacy, Study};
use crate::table::Table;
use crate::task::{Step, Task};
use crate::{Contribution, DecodedSum, Model};

use super::*;

const HEAD: &str = r#"
[study]
name = "statistics"
researcher = "a.ruiz@uni.example"
purpose = "scientific-research"
ethics = "IRB-1"
data = "registry"
deadline_hours = 1
[data]
patient = "id"
[data.columns.arm]
type = "category"
levels = { a = "old", b = "new" }
[data.columns.ended]
type = "category"
levels = { "0" = "alive", "1" = "dead" }
[data.columns.age]
type = "number"
range = [20, 80]
[data.columns.days]
type = "number"
range = [0, 50]
[analysis]
"#;

const EVERYTHING: &str = r#"kind = "statistics"
[[analysis.counts]]
column = "arm"
[[analysis.tables]]
rows = "arm"
columns = "ended"
[[analysis.sums]]
column = "days"
[[analysis.means]]
column = "days"
[[analysis.moments]]
column = "age"
[[analysis.histograms]]
column = "days"
edges = [0, 25, 50]
[[analysis.quantiles]]
column = "age"
edges = [20, 30, 40, 50, 60, 70, 80]
at = [0.25, 0.5]
"#;

const CURVES: &str = r#"kind = "kaplan-meier"
[[analysis.survival]]
time = "days"
edges = [0, 10, 20, 30, 40, 50]
event = { column = "ended", positive = "dead" }
by = "arm"
"#;

const PLAIN: &str = "[privacy]\nmode = \"none\"\n";

const PRIVATE: &str = "[privacy]\nmode = \"distributed\"\nepsilon = \"2\"\ndelta = \"1e-6\"\n\
    expected_patients = 2000\nmost_patients_per_silo = 1000\n";

fn study(analysis: &str, privacy: &str) -> Study {
    Study::parse(format!("{HEAD}{analysis}{privacy}").as_bytes()).unwrap()
}

/// So many patients with one row each; the numbers repeat after 1200.
fn table(study: &Study, patients: u32) -> Table {
    let mut csv = "id,arm,ended,age,days\n".to_owned();
    for patient in 0..patients {
        let arm = if patient % 3 == 0 { "a" } else { "b" };
        let ended = u32::from(patient % 5 < 2);
        let (age, days) = (20 + patient * 7 % 61, patient * 11 % 50);
        csv.push_str(&format!("{patient},{arm},{ended},{age},{days}\n"));
    }
    Table::read(csv.as_bytes(), &study.data).unwrap()
}

fn finish(task: &Task, sum: &DecodedSum) -> StatisticsResult {
    match task.advance(&Model::none(), sum).unwrap() {
        Step::Finished(outcome) => match outcome.result {
            StudyResult::Statistics(statistics) => statistics,
            other => panic!("a statistics study gave {other:?}"),
        },
        Step::Continue(_) | Step::Trained(_) | Step::Evaluated { .. } => panic!("one round"),
    }
}

fn exact(study: &Study, table: &Table) -> StatisticsResult {
    let task = Task::new(study).unwrap();
    match task.contribution(&Model::none(), table).unwrap() {
        Contribution::Sum(sum) => finish(&task, &sum.into()),
        Contribution::PatientVectors { .. } => panic!("the study is not noised"),
    }
}

/// What `silos` silos release together, each with its part of the patients, through the real clip, quantiser and noise.
fn noised(study: &Study, table: &Table, silos: u32, seed: u8) -> StatisticsResult {
    let task = Task::new(study).unwrap();
    let plan = study.vector_plan(silos, 1, 1).unwrap();
    let Privacy::Distributed(promise) = &study.privacy else {
        panic!("the study is noised")
    };
    let Contribution::PatientVectors { dimension, vectors } =
        task.contribution(&Model::none(), table).unwrap()
    else {
        panic!("the study is noised")
    };
    let mut total = vec![0_i64; dimension];
    let part = vectors.len() / usize::try_from(silos).unwrap() + 1;
    for (silo, vectors) in (0..silos).zip(vectors.chunks(part)) {
        let mut key = [seed; 32];
        key[0] = u8::try_from(silo).unwrap();
        let mut random = InsecureSeededRandom::from_bytes(key);
        let noise = plan.noise.as_ref().unwrap();
        let sum = simulated_sum(noise, promise.clip, dimension, vectors, &mut random).unwrap();
        total
            .iter_mut()
            .zip(sum)
            .for_each(|(total, value)| *total += value);
    }
    finish(&task, &task.decode(&plan, &total).unwrap())
}

#[test]
fn exact_statistics_are_those_of_a_simple_count() {
    let study = study(EVERYTHING, PLAIN);
    let result = exact(&study, &table(&study, 1200));
    assert_eq!(result.counts[0].counts, [Count(400.0), Count(800.0)]);
    assert_eq!(result.tables[0].row_total("old"), Some(400.0));
    assert_eq!(result.tables[0].count("new", "dead"), Some(320.0));
    let days: f64 = (0..1200).map(|patient| f64::from(patient * 11 % 50)).sum();
    assert!((result.moments[0].sum - days).abs() < 1e-9);
    assert_eq!(result.moments[0].count, None, "a sum takes no count");
    assert!((result.moments[1].mean.unwrap() - days / 1200.0).abs() < 1e-9);
    assert_eq!(result.moments[1].variance, None);
    let ages: Vec<f64> = (0..1200)
        .map(|patient| f64::from(20 + patient * 7 % 61))
        .collect();
    let mean = ages.iter().sum::<f64>() / 1200.0;
    let variance = ages.iter().map(|age| (age - mean).powi(2)).sum::<f64>() / 1199.0;
    assert!((result.moments[2].variance.unwrap() - variance).abs() < 1e-8);
    // Ages are even over 61 whole years: the median is near 50.
    let median = result.quantiles[0].quantiles[1].value.unwrap();
    assert!((median - 50.0).abs() < 1.0, "{median}");
    assert!(result.noise.is_none() && result.counts[0].intervals.is_none());
}

#[test]
fn a_curve_by_hand_is_kaplan_and_meiers() {
    // Events at 5, 15, 15, 35; cut off at 12, 25: 1 - 1/6, then (no, 12 counts to the end of its bin) 1 - 2/5, 1 - 1/1.
    let survival = "kind = \"kaplan-meier\"\n[[analysis.survival]]\ntime = \"days\"\nedges = [0, 10, 20, 30, 40, 50]\n\
        event = { column = \"ended\", positive = \"dead\" }\n";
    let study = study(survival, PLAIN);
    let csv = "id,arm,ended,age,days\n1,a,1,30,5\n2,a,0,30,12\n3,a,1,30,15\n4,b,1,30,15\n\
        5,b,0,30,25\n6,b,1,30,35\n";
    let result = exact(&study, &Table::read(csv.as_bytes(), &study.data).unwrap());
    let curve = &result.survival[0];
    let expected = [5.0 / 6.0, 0.5, 0.5, 0.0, 0.0];
    for (share, expected) in curve.survival.iter().zip(expected) {
        assert!((share.unwrap() - expected).abs() < 1e-12, "{share:?}");
    }
    assert_eq!(curve.median, Some(20.0));
    // Greenwood: 1/(6 5) + 2/(5 3) under the root, on the logarithm.
    let deviation = (1.0_f64 / 30.0 + 2.0 / 15.0).sqrt();
    let [low, high] = curve.intervals[1].unwrap();
    assert!((low - 0.5 * (-1.959_963_984_540_054 * deviation).exp()).abs() < 1e-12);
    assert!((high - (0.5 * (1.959_963_984_540_054 * deviation).exp()).min(1.0)).abs() < 1e-12);
    assert_eq!(curve.intervals[3], None, "nobody is left");
}

#[test]
fn the_automatic_clip_is_the_longest_vector_of_one_row_times_the_rows() {
    let Privacy::Distributed(promise) = study(EVERYTHING, PRIVATE).privacy else {
        panic!("the study is noised")
    };
    // Four kinds of cells, and 1 + 2 + 3 sums.
    assert_eq!(promise.clip.value(), 10.0_f64.sqrt());
    let rows = format!("{PRIVATE}most_rows_per_patient = 3\n");
    let Privacy::Distributed(promise) = study(EVERYTHING, &rows).privacy else {
        panic!("the study is noised")
    };
    assert_eq!(promise.clip.value(), 3.0 * 10.0_f64.sqrt());
}

#[test]
fn a_clip_that_would_count_every_patient_in_part_is_refused() {
    let small = format!("{HEAD}{EVERYTHING}{PRIVATE}clip = 3.0\n");
    let fault = Study::parse(small.as_bytes()).unwrap_err().to_string();
    assert!(fault.contains("`privacy.clip`: below 3.1622"), "{fault}");
    assert!(fault.contains("leave it out"), "{fault}");
}

#[test]
fn no_row_makes_a_longer_vector_than_the_bound_and_patients_rows_share_one() {
    let study = study(EVERYTHING, PRIVATE);
    let task = Task::new(&study).unwrap();
    let mut csv = "id,arm,ended,age,days\n".to_owned();
    for (patient, age, days) in [
        (1, 20, 0),
        (2, 80, 50),
        (3, 50, 25),
        (3, 50, 25),
        (3, 50, 25),
    ] {
        csv.push_str(&format!("{patient},a,1,{age},{days}\n"));
    }
    let table = Table::read(csv.as_bytes(), &study.data).unwrap();
    let Contribution::PatientVectors { vectors, .. } =
        task.contribution(&Model::none(), &table).unwrap()
    else {
        panic!("the study is noised")
    };
    let norms: Vec<f64> = vectors
        .iter()
        .map(|vector| vector.iter().map(|value| value * value).sum::<f64>().sqrt())
        .collect();
    assert_eq!(norms.len(), 3);
    // The ends of all ranges reach the bound, but for the sum that is 0 at 0 days.
    assert!((norms[0] - 3.0).abs() < 1e-12);
    assert!((norms[1] - 10.0_f64.sqrt()).abs() < 1e-12);
    // Three rows in the same cells are three times as long, and are shortened by the clip that follows.
    assert!(norms[2] > 2.0 * 10.0_f64.sqrt());
    let result = noised(&study, &table, 4, 1);
    assert_eq!(result.noise.unwrap().rows_counted_in_full, 1);
}

#[test]
fn every_stated_interval_holds_as_often_as_it_says() {
    let (private, plain) = (study(EVERYTHING, PRIVATE), study(EVERYTHING, PLAIN));
    let curves = study(CURVES, PRIVATE);
    let patients = table(&plain, 1200);
    let truth = exact(&plain, &patients);
    let curves_truth = exact(&study(CURVES, PLAIN), &patients);
    let mut held: std::collections::BTreeMap<&str, (u32, u32)> = std::collections::BTreeMap::new();
    let mut check = |what: &'static str, [low, high]: Interval, value: f64| {
        let (inside, all) = held.entry(what).or_default();
        *inside += u32::from(low <= value && value <= high);
        *all += 1;
    };
    let releases = 250;
    for seed in 0..releases {
        let result = noised(&private, &patients, 4, seed);
        for (counts, exact) in result.counts.iter().zip(&truth.counts) {
            let intervals = counts.intervals.as_ref().unwrap().iter();
            intervals
                .zip(&exact.counts)
                .for_each(|(interval, count)| check("count", *interval, count.0));
        }
        for (table, exact) in result.tables.iter().zip(&truth.tables) {
            let intervals = table.intervals.as_ref().unwrap().iter().flatten();
            intervals
                .zip(exact.cells.iter().flatten())
                .for_each(|(interval, count)| check("table", *interval, count.0));
        }
        for (moments, exact) in result.moments.iter().zip(&truth.moments) {
            let intervals = moments.intervals.as_ref().unwrap();
            check("sum", intervals.sum, exact.sum);
            if let Some(mean) = intervals.mean {
                check("mean", mean, exact.mean.unwrap());
            }
            if let Some(variance) = intervals.variance {
                check("variance", variance, exact.variance.unwrap());
            }
        }
        for (quantile, exact) in result.quantiles[0]
            .quantiles
            .iter()
            .zip(&truth.quantiles[0].quantiles)
        {
            check("quantile", quantile.interval.unwrap(), exact.value.unwrap());
        }
        let result = noised(&curves, &patients, 4, seed);
        for (curve, exact) in result.survival.iter().zip(&curves_truth.survival) {
            for (interval, share) in curve.intervals.iter().zip(&exact.survival) {
                // The truth is the curve of the rows at hand; the interval allows for sampling besides.
                if let Some(interval) = interval {
                    check("survival", *interval, share.unwrap());
                }
            }
        }
    }
    for (what, least, most) in [
        ("count", 0.95, 0.95),
        ("table", 0.95, 0.95),
        ("sum", 0.95, 0.951),
        ("mean", 0.95, 0.951),
        ("variance", 0.94, 0.96),
        ("quantile", 0.95, 1.0),
        ("survival", 0.95, 1.0),
    ] {
        let (inside, all) = held[what];
        assert!(all >= u32::from(releases), "{what}");
        let share = f64::from(inside) / f64::from(all);
        // Statistics of one release depend on each other: the releases count, not the numbers. Five standard deviations,
        // a false alarm in less than 10^-5 of all seeds for all of them together.
        let reach = 5.0 * (0.95_f64 * 0.05 / f64::from(releases)).sqrt();
        assert!(
            share >= least - reach && share <= most + reach,
            "{what}: {inside} of {all}"
        );
    }
}

#[test]
fn where_the_noise_hides_the_rows_no_mean_quantile_or_curve_is_given() {
    let study = study(EVERYTHING, PRIVATE);
    let result = noised(&study, &table(&study, 12), 4, 3);
    for moments in &result.moments {
        assert_eq!(moments.mean, None);
    }
    assert_eq!(result.quantiles[0].quantiles[0].value, None);
    let curves = self::study(CURVES, PRIVATE);
    let curves = noised(&curves, &table(&curves, 12), 4, 3);
    assert!(
        curves
            .survival
            .iter()
            .all(|curve| curve.survival.iter().all(Option::is_none))
    );
    assert!(result.counts[0].intervals.is_some());
}

#[test]
fn the_noise_is_the_public_formula_and_a_result_survives_its_json() {
    let study = study(EVERYTHING, PRIVATE);
    let result = noised(&study, &table(&study, 1200), 4, 9);
    let noise = result.noise.clone().unwrap();
    // Two honest shares of four give the multiplier; all four give sqrt(2) times as much.
    let statement = study.privacy_statement(4, 1, 1).unwrap().unwrap();
    let multiplier = statement.colluders.multiplier.value();
    let expected = multiplier * 2.0_f64.sqrt() * 10.0_f64.sqrt();
    assert!((noise.standard_deviation / expected - 1.0).abs() < 1e-3);
    let [low, high] = result.counts[0].intervals.as_ref().unwrap()[0];
    assert!(((high - low) / 2.0 - 1.959_963_984_540_054 * noise.standard_deviation).abs() < 1e-9);
    let json = serde_json::to_string(&result).unwrap();
    assert_eq!(
        serde_json::from_str::<StatisticsResult>(&json).unwrap(),
        result
    );
}
