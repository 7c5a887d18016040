// SPDX-License-Identifier: Apache-2.0
//! `policy`, `approvals`: what people put into the silo's folder while the agent may be running.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::bail;
use consilium_policies::{Policy, diff};
use jiff::Timestamp;
use serde_json::json;

use super::officer_card::OfficerCard;
use super::{Place, answer};
use crate::config::Config;
use crate::durable_file;
use crate::journal::{Answer, Approval, ApprovalTerms, Journal};
use crate::policy_file::{PolicyFile, PolicyFileFault};
use crate::registration::DataSets;
use crate::silo_folder::SiloFolder;

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
    // What a data set was registered with is kept; a higher floor asks for another registration.
    let register_again: Vec<String> = DataSets::of(folder.path())
        .list()
        .unwrap_or_default()
        .into_iter()
        .filter(|data_set| data_set.min_patients < new.policy.floor.min_patients)
        .map(|data_set| data_set.name)
        .collect();
    let json = json!({
        "silo": silo,
        "version": new.policy.version,
        "digest": new.digest.to_string(),
        "changed": changed,
        "register_again": register_again,
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
    if !register_again.is_empty() {
        let _ = write!(
            text,
            "\nregister again, for `min_patients` was lower before: {}",
            register_again.join(", ")
        );
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
        let _ = write!(
            text,
            "{short}  {}\n{}",
            approval.summary,
            described(&approval.terms, Some(approval.deadline_milliseconds))
        );
    }
    if waiting.is_empty() {
        text.push_str("no study waits for a person");
    }
    answer(place, &serde_json::to_value(&waiting)?, &text)
}

pub(super) fn show(study: &str, place: &Place) -> anyhow::Result<()> {
    let journal = open_journal(place)?;
    let record = journal.find_study(study)?;
    let approval = journal
        .approvals()?
        .into_iter()
        .find(|approval| approval.study == record.id);
    let file = String::from_utf8_lossy(&record.offer.study);
    let card = OfficerCard::of(&SiloFolder::at(&place.dir), &journal, &record);
    let json = json!({
        "study": record.id,
        "state": record.state.word(),
        "researcher": record.offer.researcher,
        "invited": record.offer.invited,
        "deadline_milliseconds": record.offer.deadline_milliseconds,
        "terms": approval.as_ref().map(|approval| &approval.terms),
        "card": card,
        "file": file,
    });
    let mut text = format!(
        "study {}\n  state       {}\n  researcher  {}\n  silos       {}\n",
        record.id,
        record.state.word(),
        record.offer.researcher,
        record.offer.invited.join(", ")
    );
    if let Some(Approval {
        summary,
        terms,
        deadline_milliseconds,
        ..
    }) = &approval
    {
        let _ = write!(
            text,
            "{summary}\n{}",
            described(terms, Some(*deadline_milliseconds))
        );
    }
    text.push_str(&printable(&card.words()));
    let _ = write!(
        text,
        "\nThe file that the researcher signed:\n\n{}",
        printable(&file)
    );
    answer(place, &json, &text)
}

/// What an approval costs, one fact a line.
fn described(terms: &ApprovalTerms, deadline_milliseconds: Option<u64>) -> String {
    let mut text = String::new();
    let mut tell = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    match (&terms.epsilon, &terms.delta) {
        (Some(epsilon), Some(delta)) => {
            tell("privacy", format!("epsilon {epsilon}, delta {delta}"));
        }
        _ => tell(
            "privacy",
            "no noise: everybody sees the exact sums".to_owned(),
        ),
    }
    tell("attempts", terms.attempts.to_string());
    tell("silos", terms.silos.join(", "));
    if let (Some(needed), Some(left)) = (terms.budget_needed, terms.budget_left_afterwards) {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        tell(
            "budget",
            format!("takes {}, leaves {}", percent(needed), percent(left)),
        );
    }
    let deadline = deadline_milliseconds
        .and_then(|deadline| i64::try_from(deadline).ok())
        .and_then(|deadline| Timestamp::from_millisecond(deadline).ok());
    if let Some(deadline) = deadline {
        tell(
            "deadline",
            deadline.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        );
    }
    text
}

/// A text from outside, with nothing in it that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\t' => letter,
            letter if letter.is_control() => '\u{fffd}',
            letter => letter,
        })
        .collect()
}

pub(super) fn withdraw(
    study: &str,
    person: &str,
    reason: &str,
    place: &Place,
) -> anyhow::Result<()> {
    let study = open_journal(place)?.withdraw(study, person, reason)?;
    answer(
        place,
        &json!({ "study": study, "answer": "withdrawn" }),
        &format!(
            "withdrew the consent to {study}; the agent acts on it within a second while it runs"
        ),
    )
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
