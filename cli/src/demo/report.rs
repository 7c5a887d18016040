// SPDX-License-Identifier: Apache-2.0
//! The demonstration's results: for `--json` and in words.

use super::masked_view::MaskedView;
use crate::progress::rounded_up;
use anyhow::Context;
use consilium_learning::result::{RegressionResult, StatisticsResult};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that the demonstration found.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) silos: Vec<String>,
    pub(super) researcher: String,
    pub(super) contingency: Contingency,
    pub(super) logistic: Logistic,
    pub(super) private: Private,
    /// The conditions of every refusal.
    pub(super) refusals: Vec<Vec<String>>,
    pub(super) audit: Audit,
    pub(super) masked_view: MaskedView,
    pub(super) seconds: f64,
    /// The published counts.
    #[serde(skip)]
    pub(super) expected: Contingency,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Arm {
    cases: u64,
    total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Contingency {
    indomethacin: Arm,
    placebo: Arm,
}

/// The pooled fit by independent software, as shipped.
#[derive(Deserialize)]
pub(super) struct Pooled {
    coefficients: Vec<f64>,
    pub(super) contingency: Contingency,
}

#[derive(Serialize)]
pub(super) struct Logistic {
    names: Vec<String>,
    coefficients: Vec<f64>,
    standard_errors: Vec<f64>,
    odds_ratios: Vec<f64>,
    intervals: Vec<[f64; 2]>,
    rounds: u32,
    max_abs_difference_from_pooled: f64,
}

#[derive(Serialize)]
pub(super) struct Dropped {
    pub(super) silo: String,
    pub(super) round: u32,
    pub(super) phase: String,
}

#[derive(Serialize)]
pub(super) struct Private {
    #[serde(serialize_with = "decimal")]
    pub(super) epsilon: String,
    #[serde(serialize_with = "decimal")]
    pub(super) delta: String,
    pub(super) rounds: u32,
    pub(super) silos_at_start: usize,
    pub(super) silos_at_end: usize,
    pub(super) dropped: Dropped,
    pub(super) coefficients: Vec<f64>,
}

#[derive(Serialize)]
pub(super) struct Audit {
    entries: u64,
    cosigned_entries: u64,
    root: String,
    cosignatures: u64,
    quorum: u64,
    verified: bool,
}

impl Contingency {
    pub(super) fn of(statistics: &StatisticsResult) -> anyhow::Result<Self> {
        let table = statistics
            .tables
            .first()
            .context("no contingency table was released")?;
        let arm = |row: &str| -> anyhow::Result<Arm> {
            let cases = table
                .count(row, "yes")
                .with_context(|| format!("no row `{row}`"))?;
            let total = table
                .row_total(row)
                .with_context(|| format!("no row `{row}`"))?;
            Ok(Arm {
                cases: whole(cases),
                total: whole(total),
            })
        };
        Ok(Self {
            indomethacin: arm("indomethacin")?,
            placebo: arm("placebo")?,
        })
    }

    pub(super) fn words(&self) -> String {
        let row = |name: &str, arm: &Arm| {
            let share = 100.0 * arm.cases as f64 / arm.total as f64;
            format!(
                "    {name:<14}{:>5} of {:>4}   {share:>5.1} %",
                arm.cases, arm.total
            )
        };
        format!(
            "{}\n{}",
            row("indomethacin", &self.indomethacin),
            row("placebo", &self.placebo)
        )
    }
}

/// Means, deviations and histograms.
pub(super) fn moments_in_words(statistics: &StatisticsResult) -> String {
    let mut lines: Vec<String> = statistics
        .moments
        .iter()
        .map(|moments| {
            format!(
                "    {:<14}n {}, mean {:.2}, standard deviation {:.2}",
                moments.column,
                moments.count.map_or(f64::NAN, |count| count.0),
                moments.mean.unwrap_or(f64::NAN),
                moments.variance.unwrap_or(f64::NAN).sqrt()
            )
        })
        .collect();
    for histogram in &statistics.histograms {
        let bins = histogram
            .edges
            .iter()
            .zip(histogram.edges.iter().skip(1))
            .zip(&histogram.counts);
        let bins: Vec<String> = bins
            .map(|((from, to), count)| format!("{from}-{to}: {}", count.0))
            .collect();
        lines.push(format!("    {:<14}{}", histogram.column, bins.join("   ")));
    }
    lines.join("\n")
}

impl Logistic {
    pub(super) fn of(result: &RegressionResult, pooled: &Pooled) -> anyhow::Result<Self> {
        let differences = result.coefficients.iter().zip(&pooled.coefficients);
        Ok(Self {
            names: result.names.clone(),
            coefficients: result.coefficients.clone(),
            standard_errors: result
                .standard_errors
                .clone()
                .context("no standard errors")?,
            odds_ratios: result.odds_ratios.clone(),
            intervals: result.intervals.clone().context("no intervals")?,
            rounds: result.rounds,
            max_abs_difference_from_pooled: differences
                .map(|(ours, pooled)| (ours - pooled).abs())
                .fold(0.0, f64::max),
        })
    }

    pub(super) fn words(&self) -> String {
        let mut lines = vec![format!(
            "    {:<14}{:>12}{:>12}{:>12}   95 % interval",
            "", "coefficient", "std. error", "odds ratio"
        )];
        let rows = self
            .names
            .iter()
            .zip(&self.coefficients)
            .zip(&self.standard_errors);
        for (((name, coefficient), error), (ratio, [low, high])) in
            rows.zip(self.odds_ratios.iter().zip(&self.intervals))
        {
            lines.push(format!(
                "    {name:<14}{coefficient:>12.6}{error:>12.6}{ratio:>12.4}   [{low:.4}, {high:.4}]"
            ));
        }
        lines.push(format!(
            "    {} rounds; largest difference from the pooled fit by other software: {:.1e}",
            self.rounds, self.max_abs_difference_from_pooled
        ));
        lines.join("\n")
    }
}

impl Private {
    pub(super) fn words(&self, plain: &Logistic) -> String {
        let mut lines = vec![format!("    {:<14}{:>12}{:>12}", "", "private", "plain")];
        for ((name, private), plain) in plain
            .names
            .iter()
            .zip(&self.coefficients)
            .zip(&plain.coefficients)
        {
            lines.push(format!("    {name:<14}{private:>12.4}{plain:>12.4}"));
        }
        lines.push(format!(
            "    certified: epsilon {} at delta {} even if one hospital works with the coordinator; {} rounds, {} hospitals at the start, {} at the end",
            rounded_up(&self.epsilon),
            self.delta,
            self.rounds,
            self.silos_at_start,
            self.silos_at_end
        ));
        lines.push(format!(
            "    `{}` died in round {} ({}): threshold shares rebuilt its mask key, and the noise of the others sufficed",
            self.dropped.silo, self.dropped.round, self.dropped.phase
        ));
        lines.join("\n")
    }
}

impl Audit {
    pub(super) fn of(report: &Value) -> anyhow::Result<Self> {
        let number = |name: &str| {
            report
                .get(name)
                .and_then(Value::as_u64)
                .with_context(|| format!("no `{name}`"))
        };
        Ok(Self {
            entries: number("entries")?,
            cosigned_entries: number("cosigned_entries")?,
            root: report
                .get("root")
                .and_then(Value::as_str)
                .context("no `root`")?
                .to_owned(),
            cosignatures: number("cosignatures")?,
            quorum: number("quorum")?,
            verified: report
                .get("verified")
                .and_then(Value::as_bool)
                .context("no `verified`")?,
        })
    }

    pub(super) fn words(&self) -> String {
        format!(
            "    by the roster that `1_UM` pinned: {} entries, root {}\n    {} of them under a head that {} hospitals cosigned ({} needed); {}",
            self.entries,
            self.root,
            self.cosigned_entries,
            self.cosignatures,
            self.quorum,
            if self.verified {
                "verified"
            } else {
                "NOT VERIFIED"
            }
        )
    }
}

impl Report {
    /// Whether everything went as the demonstration promises.
    pub(super) fn as_expected(&self) -> bool {
        self.contingency == self.expected
            && self.logistic.max_abs_difference_from_pooled < 1e-6
            && self
                .refusals
                .iter()
                .all(|conditions| !conditions.is_empty())
            && self.private.silos_at_end + 1 == self.private.silos_at_start
            && self.audit.verified
    }

    pub(super) fn summary(&self) -> String {
        let row = |name: &str, text: String| format!("  {name:<26}{text}");
        let Contingency {
            indomethacin,
            placebo,
        } = self.contingency;
        [
            "\nSummary".to_owned(),
            row("hospitals", self.silos.join(", ")),
            row(
                "pancreatitis",
                format!(
                    "{} of {} under indomethacin, {} of {} under placebo",
                    indomethacin.cases, indomethacin.total, placebo.cases, placebo.total
                ),
            ),
            row(
                "logistic regression",
                format!(
                    "equals pooling the data to {:.1e} in {} rounds",
                    self.logistic.max_abs_difference_from_pooled, self.logistic.rounds
                ),
            ),
            row(
                "with patient privacy",
                format!(
                    "epsilon {}, delta {}; finished with {} of {} hospitals",
                    rounded_up(&self.private.epsilon),
                    self.private.delta,
                    self.private.silos_at_end,
                    self.private.silos_at_start
                ),
            ),
            row(
                "refused",
                format!(
                    "{} studies, with {} conditions named",
                    self.refusals.len(),
                    self.refusals.iter().map(Vec::len).sum::<usize>()
                ),
            ),
            row(
                "audit log",
                format!(
                    "{} entries, {} cosignatures ({} needed), {}",
                    self.audit.entries,
                    self.audit.cosignatures,
                    self.audit.quorum,
                    if self.audit.verified {
                        "verified"
                    } else {
                        "NOT VERIFIED"
                    }
                ),
            ),
            row("patient records that left", "none".to_owned()),
            row("time", format!("{:.1} s", self.seconds)),
        ]
        .join("\n")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an exact count of patients, decoded from an integer"
)]
fn whole(count: f64) -> u64 {
    count.round() as u64
}

/// An amount that travels as a decimal string, written as a JSON number.
fn decimal<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match text.parse::<f64>() {
        Ok(value) => serializer.serialize_f64(value),
        Err(_) => serializer.serialize_str(text),
    }
}
