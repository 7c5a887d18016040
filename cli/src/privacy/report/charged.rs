// SPDX-License-Identifier: Apache-2.0
//! What one hospital's ledger says of a study: its training, its evaluation if it has one, and both together.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use consilium_privacy::accountant::NoisedVectors;
use consilium_privacy::budget::{Account, Charge, Job, Ledger, LedgerEntry, RdpAmount, Share};
use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::View;
use consilium_silo_agent::ledger::evaluation_job;
use serde::Serialize;

use crate::privacy::study_loss::NoisedStudy;

/// A study in a ledger.
#[derive(Debug, Serialize)]
pub(super) struct Charged {
    /// The study's identifier there.
    pub(super) study: String,
    /// Against whom the price holds.
    pub(super) view: &'static str,
    #[serde(flatten)]
    pub(super) training: ChargedJob,
    /// `null` where the study has no evaluation.
    pub(super) evaluation: Option<ChargedJob>,
    /// What all jobs of the study take of the budget now, spent or set aside.
    pub(super) share_in_all: Share,
    pub(super) budget: BudgetNow,
}

/// One kind of release of the study.
#[derive(Debug, Serialize)]
pub(super) struct ChargedJob {
    pub(super) attempts_reserved: u32,
    /// Spent for good.
    pub(super) attempts_committed: u32,
    /// Whether the study has ended, and what it did not spend is free again.
    pub(super) released: bool,
    /// Of the whole budget, spent or set aside.
    pub(super) share: Share,
}

/// The budget with everything in the ledger.
#[derive(Debug, Serialize)]
pub(super) struct BudgetNow {
    pub(super) epsilon: Epsilon,
    pub(super) delta: Delta,
    /// What is left of it after this study and all others.
    pub(super) left: Share,
}

impl Charged {
    /// Reads an exported ledger. The study is found by its prices, or by its identifier where several have the same.
    pub(super) fn of(
        file: &Path,
        beginning: Option<&str>,
        noised: &NoisedStudy,
    ) -> anyhow::Result<Self> {
        let bytes = fs::read(file)
            .with_context(|| format!("the ledger `{}` cannot be read", file.display()))?;
        let replayed = consilium_silo_agent::ledger::Ledger::verify(file, &bytes)?;
        if replayed.torn {
            bail!("`{}` breaks off in the middle of a line", file.display());
        }
        let entries: Vec<&LedgerEntry> = replayed.entries.iter().map(|(_, entry)| entry).collect();
        let noise = noised.noise()?;
        let data = noised.study.heading.data.as_str();
        let mut found = Vec::new();
        for entry in &entries {
            let LedgerEntry::Reserved { job, .. } = entry else {
                continue;
            };
            let named = beginning.is_none_or(|beginning| job.starts_with(beginning));
            if !named || !is_reservation(entry, data, &noise.training())? {
                continue;
            }
            // A study of the same training with another evaluation, or with none, is another study.
            let besides = reservation(&entries, &evaluation_job(job));
            let same = match (besides, &noise.evaluation) {
                (Some(entry), Some(vectors)) => is_reservation(entry, data, vectors)?,
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if same {
                found.push(job.clone());
            }
        }
        let [study] = &found[..] else {
            return Err(not_one(file, beginning, &found));
        };
        Self::found(study, data, &replayed.ledger)
    }

    fn found(study: &str, data: &str, ledger: &Ledger) -> anyhow::Result<Self> {
        let account = ledger.account(data)?;
        let training = ledger
            .job(study)
            .context("a study that has reserved is in the ledger")?;
        let evaluation = ledger.job(&evaluation_job(study));
        let budget = account.budget();
        Ok(Self {
            study: study.to_owned(),
            view: training.view().name(),
            training: ChargedJob::of(training, account)?,
            evaluation: evaluation
                .map(|job| ChargedJob::of(job, account))
                .transpose()?,
            share_in_all: account.share_charged(std::iter::once(training).chain(evaluation)),
            budget: BudgetNow {
                epsilon: budget.epsilon,
                delta: budget.delta,
                left: account.remaining_share(),
            },
        })
    }

    /// A line for each job, and one for both with the budget, for people.
    pub(super) fn words(&self) -> Vec<(&'static str, String)> {
        let evaluation = self
            .evaluation
            .as_ref()
            .map(|job| ("evaluation attempts charged", job.words()));
        let BudgetNow {
            epsilon,
            delta,
            left,
        } = &self.budget;
        let in_all = format!(
            "{} of the hospital's budget of epsilon {epsilon} at delta {delta}; {left} of it is left after this study and all others in the ledger",
            self.share_in_all
        );
        let training = format!(
            "{}; study {}, charged in the view `{}`",
            self.training.words(),
            self.study,
            self.view
        );
        std::iter::once(("attempts charged", training))
            .chain(evaluation)
            .chain([("charged in all", in_all)])
            .collect()
    }
}

impl ChargedJob {
    fn of(job: &Job, account: &Account) -> anyhow::Result<Self> {
        Ok(Self {
            attempts_reserved: job.attempts(),
            attempts_committed: u32::try_from(job.committed().count())?,
            released: job.is_released(),
            share: account.share_charged([job]),
        })
    }

    fn words(&self) -> String {
        format!(
            "{} of {} committed in the ledger, {}: {} of the budget",
            self.attempts_committed,
            self.attempts_reserved,
            if self.released {
                "the rest is free again"
            } else {
                "the rest is set aside"
            },
            self.share
        )
    }
}

/// Whether a reservation is one for all attempts at such vectors, at their price.
fn is_reservation(
    entry: &LedgerEntry,
    data: &str,
    vectors: &NoisedVectors,
) -> anyhow::Result<bool> {
    let LedgerEntry::Reserved {
        data_set,
        attempts,
        curve,
        view,
        ..
    } = entry
    else {
        return Ok(false);
    };
    if data_set != data || *attempts != vectors.plan.attempts {
        return Ok(false);
    }
    let price = price(vectors, *view)?;
    let mut points = price.curve.points();
    Ok(points.all(|(order, cost)| curve.get(&order) == Some(&RdpAmount::rounded_up(cost))))
}

fn price(vectors: &NoisedVectors, view: View) -> anyhow::Result<Charge> {
    Ok(Charge::of_plan(&vectors.plan, view, vectors.dimension)?)
}

fn reservation<'a>(entries: &[&'a LedgerEntry], name: &str) -> Option<&'a LedgerEntry> {
    entries
        .iter()
        .find(|entry| matches!(entry, LedgerEntry::Reserved { job, .. } if job == name))
        .copied()
}

/// Why none of the studies found, or no single one, is meant.
fn not_one(file: &Path, beginning: Option<&str>, found: &[String]) -> anyhow::Error {
    let file = file.display();
    if found.is_empty() {
        anyhow::anyhow!(
            "`{file}` holds no reservation with this study's data set, attempts and price{}: check `--silos` and `--colluders`",
            if beginning.is_some() {
                " of that identifier"
            } else {
                ""
            }
        )
    } else {
        anyhow::anyhow!(
            "`{file}` holds {} studies of this price: name one with `--id`, {}",
            found.len(),
            found.join(" or ")
        )
    }
}
