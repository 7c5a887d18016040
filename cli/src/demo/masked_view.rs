// SPDX-License-Identifier: Apache-2.0
//! One hospital's vector as the coordinator saw it, beside the plain one.
//!
//! The plain vector is recomputed here from the shipped patients; the agent has no switch that would reveal it.

use super::consortium::{Consortium, HOSPITALS};
use anyhow::Context;
use consilium_crypto::packing;
use consilium_crypto::ring::WordBits;
use consilium_learning::contribution::Contribution;
use consilium_learning::study::Study;
use consilium_learning::table::Table;
use consilium_learning::task::Task;
use consilium_privacy::noise_plan::VectorPlan;
use serde::Serialize;
use std::fs;

/// The hospital that is looked at.
const HOSPITAL: usize = 1;
/// How many coordinates are shown.
const SHOWN: usize = 4;

#[derive(Serialize)]
pub(super) struct MaskedView {
    silo: String,
    plain: Vec<f64>,
    plain_words: Vec<String>,
    masked_words: Vec<String>,
}

impl MaskedView {
    /// Reads the first chunk of a hospital's upload from the coordinator's spool.
    pub(super) fn of(
        consortium: &Consortium,
        study_id: &str,
        study: &Study,
    ) -> anyhow::Result<Self> {
        let hospital = HOSPITALS.get(HOSPITAL).context("no such hospital")?;
        let silos = u32::try_from(HOSPITALS.len())?;
        let plan = study.vector_plan(silos, 0, silos / 3)?;
        let masked = masked_words(consortium, study_id, hospital.name, &plan)?;
        let task = Task::new(study)?;
        let table = Table::read(hospital.patients.as_bytes(), &study.data)?;
        let Contribution::Sum(plain) = task.contribution(&task.initial_model(), &table)? else {
            anyhow::bail!("the statistics study gives one sum");
        };
        let bits = WordBits::new(plan.word_bits)?;
        let fixed_point = plan.fixed_point()?;
        let hexadecimal = |word: &u64| format!("{word:016x}");
        let words = plain
            .iter()
            .take(SHOWN)
            .map(|value| Ok(hexadecimal(&bits.encode(fixed_point.encode(*value)?))))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            silo: hospital.name.to_owned(),
            plain_words: words,
            plain: plain.into_iter().take(SHOWN).collect(),
            masked_words: masked.iter().take(SHOWN).map(hexadecimal).collect(),
        })
    }

    pub(super) fn words(&self) -> String {
        let mut lines = vec![format!(
            "    `{}`{:>16}   {:<16}   what the coordinator received",
            self.silo, "its own count", "as a word"
        )];
        let rows = self
            .plain
            .iter()
            .zip(&self.plain_words)
            .zip(&self.masked_words);
        lines.extend(
            rows.map(|((plain, word), masked)| format!("{plain:>27.3}   {word}   {masked}")),
        );
        lines.push(
            "    Unrelated: to every word a fresh uniform one was added, made of a seed that only this hospital knew and of one\n    shared with each other hospital. Every value of the left column explains the right column equally well."
                .to_owned(),
        );
        lines.join("\n")
    }
}

fn masked_words(
    consortium: &Consortium,
    study_id: &str,
    silo: &str,
    plan: &VectorPlan,
) -> anyhow::Result<Vec<u64>> {
    let uploads = consortium.executable.json(&[
        "coordinator",
        "uploads",
        "--dir",
        &consortium.path("coordinator"),
        "--study",
        study_id,
        "--round",
        "1",
    ])?;
    let file = uploads
        .get("silos")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .find(|upload| upload.get("silo").and_then(serde_json::Value::as_str) == Some(silo))
        .and_then(|upload| upload.get("file")?.as_str())
        .context("`coordinator uploads` lists no upload of this hospital")?;
    let bytes = fs::read(file).with_context(|| format!("reading `{file}`"))?;
    let count = usize::try_from(plan.dimension)?;
    Ok(packing::unpack(
        WordBits::new(plan.word_bits)?,
        &bytes,
        count,
    )?)
}
