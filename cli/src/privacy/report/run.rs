// SPDX-License-Identifier: Apache-2.0
//! What became of a study: the rounds that its result tells of, and the attempts that a hospital's ledger was charged for.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use consilium_privacy::budget::{Charge, LedgerEntry, RdpAmount};
use serde::Serialize;

use crate::privacy::study_loss::NoisedStudy;

/// What is known of a run; nothing before it.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) rounds: Option<u64>,
    pub(super) charged: Option<Charged>,
}

/// What one hospital's ledger says of the study.
#[derive(Debug, Serialize)]
pub(super) struct Charged {
    /// The study's identifier there.
    pub(super) study: String,
    /// Against whom the price holds.
    pub(super) view: &'static str,
    pub(super) attempts_reserved: u32,
    /// Spent for good.
    pub(super) attempts_committed: u32,
    /// Whether the study has ended, and what it did not spend is free again.
    pub(super) released: bool,
}

impl Charged {
    /// Reads an exported ledger. The study is found by its price, or by its identifier where several have the same.
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
        let noise = noised.noise()?;
        let same = |entry: &LedgerEntry| -> anyhow::Result<Option<String>> {
            let LedgerEntry::Reserved {
                data_set,
                job,
                attempts,
                curve,
                view,
                ..
            } = entry
            else {
                return Ok(None);
            };
            let named = beginning.is_none_or(|beginning| job.starts_with(beginning));
            if !named || *data_set != noised.study.heading.data || *attempts != noise.plan.attempts
            {
                return Ok(None);
            }
            let price = Charge::of_plan(&noise.plan, *view, noise.dimension)?.curve;
            let priced = price
                .points()
                .all(|(order, cost)| curve.get(&order) == Some(&RdpAmount::rounded_up(cost)));
            Ok(priced.then(|| job.clone()))
        };
        let found: Vec<String> = replayed
            .entries
            .iter()
            .filter_map(|(_, entry)| same(entry).transpose())
            .collect::<anyhow::Result<_>>()?;
        let [study] = &found[..] else {
            if found.is_empty() {
                bail!(
                    "`{}` holds no reservation with this study's data set, attempts and price{}: check `--silos` and `--colluders`",
                    file.display(),
                    if beginning.is_some() {
                        " of that identifier"
                    } else {
                        ""
                    }
                );
            }
            bail!(
                "`{}` holds {} studies of this price: name one with `--id`, {}",
                file.display(),
                found.len(),
                found.join(" or ")
            );
        };
        let job = replayed
            .ledger
            .job(study)
            .context("a study that has reserved")?;
        Ok(Self {
            study: study.clone(),
            view: job.view().name(),
            attempts_reserved: job.attempts(),
            attempts_committed: u32::try_from(job.committed().count())?,
            released: job.is_released(),
        })
    }
}

/// The rounds that a result tells of.
pub(super) fn rounds_of(folder: &Path) -> anyhow::Result<u64> {
    let file = folder.join("result.json");
    let context = || format!("the result `{}` cannot be read", file.display());
    let bytes = fs::read(&file).with_context(context)?;
    let result: serde_json::Value = serde_json::from_slice(&bytes).with_context(context)?;
    if result["kind"] == "statistics" {
        // One release and no more.
        return Ok(1);
    }
    result["rounds"]
        .as_u64()
        .or_else(|| result["result"]["rounds"].as_u64())
        .with_context(|| format!("`{}` does not say how many rounds were run", file.display()))
}
