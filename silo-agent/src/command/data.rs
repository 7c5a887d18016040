// SPDX-License-Identifier: Apache-2.0
//! `data`: the data sets that studies may ask for.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::json;

use super::{Place, RegisterArguments, answer};
use crate::config::Config;
use crate::consent::job;
use crate::journal::{Journal, OfficersWord};
use crate::policy_file::PolicyFile;
use crate::registration::{Behind, DataSets, Registration};
use crate::silo_folder::SiloFolder;
use crate::trainer::{Trainer, TrainerCommand};

pub(super) fn register(
    arguments: &RegisterArguments,
    trainer: TrainerCommand,
) -> anyhow::Result<()> {
    let RegisterArguments { name, place, .. } = arguments;
    let folder = SiloFolder::at(&place.dir);
    let config = Config::read(folder.path())?;
    let policy = PolicyFile::read(&folder.policy(), config.silo.name.as_str())
        .context("the policy's `min_patients` decides whether a data set may be registered")?;
    let mut journal = Journal::open(&folder.journal())?;
    let behind = Behind {
        policy: &policy.policy,
        trainer: &Trainer::new(trainer),
    };
    let now = Timestamp::now().to_string();
    let said = |reason| Some(reason).zip(arguments.person.as_deref());
    let word = |(reason, person)| OfficersWord { person, reason };
    let registration = Registration {
        patient: arguments.patient.as_deref(),
        patients_at_most: arguments.patients_at_most,
        lineage: arguments.lineage.as_deref(),
        other_patients: arguments.other_patients.as_deref().and_then(said).map(word),
        new_cohort: arguments.new_cohort.as_deref().and_then(said).map(word),
        ..Registration::of(name, &arguments.file, &now)
    };
    let data_set = DataSets::of(folder.path()).register(registration, behind, &mut journal)?;
    let mut text = format!(
        "registered `{name}`: {} rows, {} patients ({}), {} columns ({})",
        data_set.rows,
        data_set.patients,
        match &data_set.patient {
            Some(column) => format!("by `{column}`"),
            None => "one a row".to_owned(),
        },
        data_set.columns.len(),
        data_set.columns.join(", "),
    );
    if let Some(announced) = data_set.patients_at_most {
        let _ = write!(
            text,
            "\nothers may learn that it has at most {announced} patients"
        );
    }
    let needed: Vec<&str> = [
        (data_set.patient.is_none(), "`--patient COLUMN`"),
        (
            data_set.patients_at_most.is_none(),
            "`--patients-at-most N`",
        ),
    ]
    .into_iter()
    .filter_map(|(lacking, flag)| lacking.then_some(flag))
    .collect();
    if !needed.is_empty() {
        let _ = write!(
            text,
            "\nno study with noise for each patient uses it without {}",
            needed.join(" and ")
        );
    }
    if data_set.lineage != *name {
        let _ = write!(
            text,
            "\nits patients are paid for by the budget of `{}`",
            data_set.lineage
        );
    }
    answer(place, &serde_json::to_value(&data_set)?, &text)
}

pub(super) fn check(
    name: &str,
    study: &Path,
    place: &Place,
    trainer: TrainerCommand,
) -> anyhow::Result<()> {
    let folder = SiloFolder::at(&place.dir);
    let data_set = DataSets::of(folder.path()).find(name)?;
    let text = std::fs::read(study).with_context(|| format!("`{}`", study.display()))?;
    let config = Config::read(folder.path())?;
    let policy = PolicyFile::read(&folder.policy(), config.silo.name.as_str())?;
    let facts = Trainer::new(trainer)
        .check(job(&data_set, &text), policy.policy.floor.isolation)
        .with_context(|| format!("`{name}` does not serve this study"))?;
    let json = json!({ "patients": facts.patients, "warnings": facts.warnings });
    let mut text = format!("{} patients take part", facts.patients);
    for warning in &facts.warnings {
        let _ = write!(text, "\n{warning}");
    }
    answer(place, &json, &text)
}

pub(super) fn list(place: &Place) -> anyhow::Result<()> {
    let data_sets = DataSets::of(SiloFolder::at(&place.dir).path()).list()?;
    let mut text = String::new();
    for data_set in &data_sets {
        let _ = writeln!(
            text,
            "{}  {} rows  {} patients  {}",
            data_set.name,
            data_set.rows,
            data_set.patients,
            data_set.path.display()
        );
    }
    if data_sets.is_empty() {
        text.push_str("no data set is registered; register one: `data register NAME --file CSV`");
    }
    answer(place, &serde_json::to_value(&data_sets)?, &text)
}
