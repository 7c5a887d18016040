// SPDX-License-Identifier: Apache-2.0
//! Statistics with noise, released by four real hospitals: near the truth, as near as they say, and charged.

use crate::crashes::charged_attempts;
use crate::federation::Federation;
use crate::founding::HOSPITALS;
use crate::studies::{PRIVATE_STATISTICS, replaced};
use consilium_learning::result::{Interval, StudyResult};
use serde_json::Value;

/// The published trial: what the noise moves.
const TABLE: [(&str, &str, f64); 4] = [
    ("indomethacin", "no", 268.0),
    ("indomethacin", "yes", 27.0),
    ("placebo", "no", 255.0),
    ("placebo", "yes", 52.0),
];

/// The agents draw their noise from the operating system, so that a value may lie anywhere. Three times its interval is
/// 5.88 standard deviations: of the seven values below one lies beyond in 3 of 10^8 runs.
#[track_caller]
fn assert_near([low, high]: Interval, truth: f64) {
    let (middle, reach) = (f64::midpoint(low, high), (high - low) / 2.0);
    assert!(
        (truth - middle).abs() <= 3.0 * reach,
        "{truth} is far from {low} to {high}"
    );
}

#[test]
fn four_hospitals_release_a_private_table_that_lies_where_it_says_and_is_charged_once() {
    let mut federation = Federation::running();
    let id = federation.submit(PRIVATE_STATISTICS);
    let result: StudyResult = serde_json::from_value(federation.complete(&id)).unwrap();
    let statistics = result.statistics().unwrap();

    let noise = statistics.noise.as_ref().unwrap();
    assert_eq!((noise.clip, noise.rows_counted_in_full), (2.0, 1));
    let table = &statistics.tables[0];
    for (row, column, truth) in TABLE {
        let interval = table.interval(row, column).unwrap();
        assert_near(interval, truth);
        let reach = (interval[1] - interval[0]) / 2.0;
        assert!((reach / noise.standard_deviation - 1.959_964).abs() < 1e-6);
    }
    // Noise of a deviation above 10 hits no whole number in four cells but once in 10^12 runs.
    assert!(
        TABLE
            .iter()
            .any(|(row, column, truth)| table.count(row, column) != Some(*truth))
    );
    let ages = statistics.moments[0].intervals.as_ref().unwrap();
    assert_near(ages.count.unwrap(), 602.0);
    assert_near(ages.mean.unwrap(), 45.27);
    assert_near(statistics.quantiles[0].quantiles[0].interval.unwrap(), 45.0);

    // Every ledger holds one attempt, and the second, kept for a repetition, is free again.
    federation.stop();
    for hospital in HOSPITALS {
        assert_eq!(charged_attempts(&federation, hospital, &id).len(), 1);
    }
    federation.verify_log();
}

#[test]
fn a_release_in_which_one_hospital_drops_out_lies_where_it_says() {
    let mut federation = Federation::resting();
    federation.deadline("drop_seconds", 1);
    // One hospital dies before its vector leaves: three shares of the noise are in the sum, of which two would do.
    federation.start_with_armed_silo("4_Case", "dealt:1");
    let id = federation.submit(PRIVATE_STATISTICS);
    federation.await_silos_death("4_Case");
    let result: StudyResult = serde_json::from_value(federation.complete(&id)).unwrap();
    let table = &result.statistics().unwrap().tables[0];
    // 3 patients of the fourth hospital are missing, well within the intervals.
    for (row, column, truth) in TABLE {
        assert_near(table.interval(row, column).unwrap(), truth);
    }
    federation.kill();
}

#[test]
fn a_release_beyond_the_budget_is_refused_although_it_asks_for_something_else() {
    let mut federation = Federation::running();
    // Each reserves three fifths for two attempts and spends one of them.
    for _ in 0..2 {
        let id = federation.submit(PRIVATE_STATISTICS);
        federation.complete(&id);
    }
    let third = federation.submit(&replaced(
        PRIVATE_STATISTICS,
        "[[analysis.quantiles]]",
        "[[analysis.histograms]]\ncolumn = \"age\"\nedges = [18, 50, 100]\n[[analysis.quantiles]]",
    ));
    let last = federation.watch(&third);
    assert_eq!(last["state"], "refused", "{last}");
    let refusals = last["refusals"].to_string();
    assert!(refusals.contains("budget"), "{refusals}");
    // What would fit was tried by the hospitals themselves.
    assert!(refusals.contains("would fit: `epsilon = "), "{refusals}");
    federation.stop();

    let show = |more: &[&str]| {
        let mut words = vec!["silo", "approvals", "show", third.as_str(), "--dir", "1_UM"];
        words.extend(more);
        federation.run(&words).succeeded()
    };
    let card: Value = serde_json::from_str(&show(&["--json"])).unwrap();
    let card = &card["card"];
    assert_eq!(card["missing"], serde_json::json!([]), "{card}");
    assert_eq!(card["data_set"]["name"], "ercp-trial");
    assert_eq!(card["privacy"]["charged"], "colluders");
    let epsilon = |view: &str| {
        card["privacy"][view]["epsilon"]
            .as_str()
            .unwrap()
            .parse::<f64>()
    };
    let [held, colluding, broken] =
        ["masks_hold", "colluders", "masks_broken"].map(|view| epsilon(view).unwrap());
    assert!(held < colluding && colluding < broken, "{card}");
    assert!(card["budget"]["left_after"].is_null() && card["budget"]["does_not_fit"].is_string());
    // Created, and for each of the first two studies: set aside, spent, freed.
    assert_eq!(card["timeline"].as_array().unwrap().len(), 7, "{card}");
    let words = show(&[]);
    for said in [
        "others may learn that there are at most",
        "if the masks were broken",
        "coordinator, noise of",
        "clips, charged",
        "the odds change at most",
        "needed",
        "Taken from this budget so far",
        "spent attempt",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
}
