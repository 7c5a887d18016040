// SPDX-License-Identifier: Apache-2.0
//! The shipped studies, what they must find, and variants of them.

use crate::federation::Federation;
use consilium_learning::result::StudyResult;
use serde_json::Value;

/// Counts, moments and histograms without noise: one round.
pub(crate) const STATISTICS: &str = include_str!("../../../examples/studies/statistics.toml");

/// The logistic regression by Newton's steps, without noise: seven rounds.
pub(crate) const LOGISTIC: &str = include_str!("../../../examples/studies/logistic.toml");

/// A table, a mean and a median with noise: one round.
pub(crate) const PRIVATE_STATISTICS: &str =
    include_str!("../../../examples/studies/private-statistics.toml");

/// A number, under noise.
pub(crate) const PRIVATE_LINEAR: &str =
    include_str!("../../../examples/studies/private-linear.toml");

/// A logistic regression under noise, each round on a fifth of the patients.
pub(crate) const PRIVATE_SAMPLED: &str =
    include_str!("../../../examples/studies/private-sampled.toml");

/// The logistic regression by local steps of hospitals that are hidden as a whole.
pub(crate) const PRIVATE_SILO: &str = include_str!("../../../examples/studies/private-silo.toml");

/// The logistic regression by local steps, each under noise.
pub(crate) const PRIVATE_LOCAL: &str = include_str!("../../../examples/studies/private-local.toml");

/// A logistic regression by Newton's steps under noise.
pub(crate) const PRIVATE_NEWTON: &str =
    include_str!("../../../examples/studies/private-newton.toml");

/// The logistic regression under noise, tried on patients held out.
pub(crate) const PRIVATE_EVALUATED: &str =
    include_str!("../../../examples/studies/private-evaluated.toml");

/// A perceptron, under noise.
pub(crate) const PRIVATE_NETWORK: &str =
    include_str!("../../../examples/studies/private-network.toml");

pub(crate) const POOLED: &str = include_str!("../../../examples/data/indo-rct/pooled.toml");

const PRIVATE: &str = include_str!("../../../examples/studies/private-logistic.toml");

/// The private study with fewer rounds.
pub(crate) fn private(rounds: u32, spare: u32) -> String {
    let text = replaced(PRIVATE, "most = 20", &format!("most = {rounds}"));
    let text = replaced(&text, "average_last = 10", "average_last = 2");
    replaced(
        &text,
        "spare_attempts = 2",
        &format!("spare_attempts = {spare}"),
    )
}

/// The statistics with so many levels in either column of the first table: its cells are as many as their square.
pub(crate) fn wide(levels: u32) -> String {
    let more: String = (2..levels)
        .map(|level| format!(", x{level} = \"x{level}\""))
        .collect();
    let text = replaced(
        STATISTICS,
        "\"indomethacin\" }",
        &format!("\"indomethacin\"{more} }}"),
    );
    replaced(&text, "\"yes\" }", &format!("\"yes\"{more} }}"))
}

/// The text with one of its parts replaced; the part must be there.
#[track_caller]
pub(crate) fn replaced(text: &str, part: &str, by: &str) -> String {
    assert!(text.contains(part), "no {part:?} in {text}");
    text.replacen(part, by, 1)
}

/// Asserts that the statistics are those of the published trial, to the patient.
#[track_caller]
pub(crate) fn assert_exact(result: &Value) {
    let result: StudyResult = serde_json::from_value(result.clone()).unwrap();
    let table = result.statistics().unwrap().tables.first().unwrap();
    for (row, cases, total) in [("indomethacin", 27.0, 295.0), ("placebo", 52.0, 307.0)] {
        assert_eq!(table.count(row, "yes"), Some(cases), "cases under {row}");
        assert_eq!(table.row_total(row), Some(total), "patients under {row}");
    }
}

/// Asserts that the coefficients are those of the pooled data, by independent software.
#[track_caller]
pub(crate) fn assert_equals_pooled(result: &Value) {
    let result: StudyResult = serde_json::from_value(result.clone()).unwrap();
    let pooled: toml::Table = toml::from_str(POOLED).unwrap();
    let pooled = pooled["coefficients"].as_array().unwrap();
    let found = &result.regression().unwrap().coefficients;
    assert_eq!(found.len(), pooled.len());
    for (found, pooled) in found.iter().zip(pooled) {
        let pooled = pooled.as_float().unwrap();
        assert!((found - pooled).abs() < 1e-6, "{found} is not {pooled}");
    }
}

/// Follows the statistics study to its end; it must be exact, and the log of it must verify.
#[track_caller]
pub(crate) fn assert_completes_exactly(federation: &mut Federation, id: &str) {
    assert_exact(&federation.complete(id));
    federation.stop();
    federation.verify_log();
}
