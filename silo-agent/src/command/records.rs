// SPDX-License-Identifier: Apache-2.0
//! `data`, `policy`, `approvals`: what people put into the silo's folder while the agent may be running.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, bail};
use consilium_policies::{Policy, diff};
use jiff::Timestamp;
use serde_json::json;

use super::{Place, answer};
use crate::config::Config;
use crate::durable_file;
use crate::journal::{Answer, Approval, Journal};
use crate::policy_file::{PolicyFile, PolicyFileFault};
use crate::registration::DataSets;
use crate::silo_folder::SiloFolder;
use crate::trainer::{Trainer, TrainerCommand};

pub(super) fn register(
    name: &str,
    file: &Path,
    place: &Place,
    trainer: TrainerCommand,
) -> anyhow::Result<()> {
    let folder = SiloFolder::at(&place.dir);
    let config = Config::read(folder.path())?;
    let policy = PolicyFile::read(&folder.policy(), config.silo.name.as_str())
        .context("the policy's `min_patients` decides whether a data set may be registered")?;
    let now = Timestamp::now().to_string();
    let data_set = DataSets::of(folder.path()).register(
        name,
        file,
        &policy.policy,
        &Trainer::new(trainer),
        &now,
    )?;
    let mut journal = Journal::open(&folder.journal())?;
    journal.leave_notice(
        "data_set.registered",
        name,
        &format!("sha256 {}", data_set.sha256),
    )?;
    let json = serde_json::to_value(&data_set)?;
    let text = format!(
        "registered `{name}`: {} rows, {} columns ({})",
        data_set.rows,
        data_set.columns.len(),
        data_set.columns.join(", ")
    );
    answer(place, &json, &text)
}

pub(super) fn list(place: &Place) -> anyhow::Result<()> {
    let data_sets = DataSets::of(SiloFolder::at(&place.dir).path()).list()?;
    let mut text = String::new();
    for data_set in &data_sets {
        let _ = writeln!(
            text,
            "{}  {} rows  {}",
            data_set.name,
            data_set.rows,
            data_set.path.display()
        );
    }
    if data_sets.is_empty() {
        text.push_str("no data set is registered; register one: `data register NAME --file CSV`");
    }
    answer(place, &serde_json::to_value(&data_sets)?, &text)
}

pub(super) fn install_policy(file: &Path, place: &Place) -> anyhow::Result<()> {
    let folder = SiloFolder::at(&place.dir);
    let config = Config::read(folder.path())?;
    let silo = config.silo.name.as_str();
    let new = PolicyFile::read(file, silo)?;
    let old = match PolicyFile::read(&folder.policy(), silo) {
        Ok(old) => Some(old),
        Err(PolicyFileFault::Missing(_) | PolicyFileFault::Invalid { .. }) => None,
        Err(fault) => return Err(fault.into()),
    };
    let changed = old.as_ref().is_none_or(|old| old.digest != new.digest);
    if let Some(old) = old.as_ref().filter(|_| changed) {
        let (installed, offered) = (old.policy.version, new.policy.version);
        if offered <= installed {
            bail!(
                "`{}` says `version = {offered}`, but version {installed} is in force; count `[policy] version` up to {}",
                file.display(),
                installed.saturating_add(1)
            );
        }
    }
    let difference = old.as_ref().map(|old| diff(&old.policy, &new.policy));
    if changed {
        durable_file::write(&folder.policy(), 0o600, &new.bytes)?;
        let mut journal = Journal::open(&folder.journal())?;
        let version = new.policy.version.to_string();
        journal.leave_notice(
            "policy.changed",
            &version,
            &format!("sha256 {}", new.digest),
        )?;
    }
    let json = json!({
        "silo": silo,
        "version": new.policy.version,
        "digest": new.digest.to_string(),
        "changed": changed,
        "newly_permitted": difference.as_ref().map(|difference| &difference.newly_permitted),
        "newly_refused": difference.as_ref().map(|difference| &difference.newly_refused),
    });
    let mut text = format!(
        "policy version {} of `{silo}` is in force",
        new.policy.version
    );
    if let Some(difference) = difference.filter(|_| changed) {
        let _ = write!(text, "\n{difference}");
    }
    answer(place, &json, &text)
}

pub(super) fn approvals(place: &Place) -> anyhow::Result<()> {
    let waiting: Vec<Approval> = open_journal(place)?
        .approvals()?
        .into_iter()
        .filter(|approval| approval.answer.is_none())
        .collect();
    let mut text = String::new();
    for approval in &waiting {
        let short = approval.study.get(..12).unwrap_or(&approval.study);
        let _ = writeln!(text, "{short}  {}", approval.summary);
    }
    if waiting.is_empty() {
        text.push_str("no study waits for a person");
    }
    answer(place, &serde_json::to_value(&waiting)?, &text)
}

pub(super) fn approve(study: &str, person: String, place: &Place) -> anyhow::Result<()> {
    let study = open_journal(place)?.answer_approval(study, &Answer::Approved { person })?;
    answer(
        place,
        &json!({ "study": study, "answer": "approved" }),
        &format!("approved {study}"),
    )
}

pub(super) fn refuse(
    study: &str,
    person: String,
    reason: String,
    place: &Place,
) -> anyhow::Result<()> {
    let study = open_journal(place)?.answer_approval(study, &Answer::Refused { person, reason })?;
    answer(
        place,
        &json!({ "study": study, "answer": "refused" }),
        &format!("refused {study}"),
    )
}

/// The journal of a silo that has joined.
pub(super) fn open_journal(place: &Place) -> anyhow::Result<Journal> {
    let folder = SiloFolder::at(&place.dir);
    Config::read(folder.path())?;
    Ok(Journal::open(&folder.journal())?)
}

/// The policy in force, for people to look at.
pub(super) fn policy_in_force(folder: &SiloFolder, silo: &str) -> Result<Policy, PolicyFileFault> {
    PolicyFile::read(&folder.policy(), silo).map(|file| file.policy)
}
