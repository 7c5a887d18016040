// SPDX-License-Identifier: Apache-2.0
//! Accusations in a log, each judged by the evidence that lies beside it: offline, with the rosters and nothing else.

use anyhow::Context;
use consilium_audit::verify::{Finding, Rule, Verdict, read_entries};
use consilium_audit::{ActorRole, Entry, EventKind, VerifyReport};
use consilium_certs::{Roster, RosterFolder};
use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_protocol::{Evidence, EvidenceFault, Membership, Sender, Standing};
use consilium_silo_agent::silo_folder::membership;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One accusation, and what it is worth.
#[derive(Debug, Serialize)]
pub(super) struct Accusation {
    /// The entry that makes it.
    pub(super) entry: u64,
    /// Who is accused.
    pub(super) accused: String,
    /// Of what.
    pub(super) charge: &'static str,
    /// Whether signatures of the accused show it.
    pub(super) proven: bool,
    /// Why they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<&'static str>,
}

/// Judges every accusation of a log; what does not hold becomes a finding of the report.
pub(super) fn judge_all(
    dir: &Path,
    rosters: Option<&Path>,
    report: &mut VerifyReport,
) -> anyhow::Result<Vec<Accusation>> {
    let Ok(entries) = read_entries(dir) else {
        return Ok(Vec::new());
    };
    let accuses = |entry: &&Entry| {
        let event = &entry.event;
        // A hospital also notes what it alone could see.
        let names_evidence = event.references.contains_key(EVIDENCE);
        let shared = event.actor.role == ActorRole::Coordinator;
        event.kind == EventKind::RoundMisbehaviour && (shared || names_evidence)
    };
    if !entries.iter().any(|entry| accuses(&entry)) {
        return Ok(Vec::new());
    }
    let rosters = match rosters {
        Some(folder) => pinned_rosters(folder)?,
        None => published_rosters(dir, &entries),
    };
    let mut accusations = Vec::new();
    for entry in entries.iter().filter(accuses) {
        match judge(dir, &entries, entry, &rosters) {
            Ok(accusation) => accusations.push(accusation),
            Err(what) => report.findings.push(Finding {
                rule: Rule::Evidence,
                entry: Some(entry.sequence),
                what,
            }),
        }
    }
    if !report.findings.is_empty() {
        report.verdict = Verdict::Findings;
        report.verified = false;
    }
    Ok(accusations)
}

/// By version.
type Rosters = BTreeMap<u64, Membership>;

fn judge(
    dir: &Path,
    entries: &[Entry],
    entry: &Entry,
    rosters: &Rosters,
) -> Result<Accusation, String> {
    let event = &entry.event;
    let object = event.references.get(EVIDENCE);
    let object = object.ok_or("an accusation that names no evidence")?;
    let file = dir.join("objects").join("sha256").join(object.to_string());
    // One that is missing or damaged is a finding already.
    let kept = fs::read(&file)
        .ok()
        .filter(|bytes| sha256(bytes) == *object);
    let kept = kept.ok_or("nobody can judge it without its evidence")?;
    let evidence: Evidence =
        serde_json::from_slice(&kept).map_err(|_| format!("`{object}` is no evidence"))?;
    let accused = match &evidence.accused {
        Sender::Coordinator => "the coordinator".to_owned(),
        Sender::Silo(silo) => silo.to_string(),
    };
    if event.object.as_ref().is_some_and(|named| *named != accused) {
        return Err(format!("its evidence is about `{accused}`"));
    }
    let attempt = event.attempt.ok_or("an accusation of no attempt")?;
    let charge = evidence.charge.name();
    let Some(membership) = rosters.get(&attempt.epoch) else {
        return Ok(Accusation {
            entry: entry.sequence,
            accused,
            charge,
            proven: false,
            because: Some("its roster is not at hand: bring it with --roster"),
        });
    };
    let logged = logged_sum(entries, entry);
    let judgement = evidence
        .judge(membership, logged.as_ref())
        .map_err(|fault| not_shown(&accused, &fault))?;
    let id = judgement.id;
    if (id.epoch, id.round, id.attempt) != (attempt.epoch, attempt.round, attempt.attempt) {
        return Err("its evidence is of another attempt".to_owned());
    }
    let (proven, because) = match judgement.standing {
        Standing::Proven => (true, None),
        Standing::Alleged(why) => (false, Some(why)),
    };
    Ok(Accusation {
        entry: entry.sequence,
        accused,
        charge,
        proven,
        because,
    })
}

fn not_shown(accused: &str, fault: &EvidenceFault) -> String {
    let mut what = format!("`{accused}` is accused, and the evidence does not show it: {fault}");
    if let Some(cause) = std::error::Error::source(fault) {
        what.push_str(&format!(": {cause}"));
    }
    what
}

/// H(S) that the coordinator committed to in the attempt of an entry; none of two.
///
/// SECURITY: a silo answers for the sum that was proven to it. What others say in the log, or a second sum, makes it no liar.
fn logged_sum(entries: &[Entry], of: &Entry) -> Option<Digest> {
    let committed = |entry: &&Entry| {
        let event = &entry.event;
        let by_coordinator = event.actor.role == ActorRole::Coordinator;
        let is_commitment = event.kind == EventKind::RoundSumCommitted && by_coordinator;
        is_commitment && event.attempt == of.event.attempt
    };
    let mut sums = entries.iter().filter(committed);
    let first = sums.next()?.event.detail_digest("sum");
    let agree = sums.all(|entry| entry.event.detail_digest("sum") == first);
    first.filter(|_| agree)
}

fn pinned_rosters(folder: &Path) -> anyhow::Result<Rosters> {
    let unreadable = || format!("the rosters in `{}` do not verify", folder.display());
    let pinned = RosterFolder::open(folder).with_context(unreadable)?;
    let signed = (1..).map_while(|version| pinned.signed(version));
    signed
        .map(|signed| {
            let membership = membership(&Roster::parse(&signed.roster)?)?;
            Ok((membership.epoch, membership))
        })
        .collect()
}

/// The reference under which an entry names its evidence.
const EVIDENCE: &str = "evidence";

/// Those that the log itself published, which whoever keeps it could have written.
fn published_rosters(dir: &Path, entries: &[Entry]) -> Rosters {
    let published: Vec<Digest> = entries
        .iter()
        .filter(|entry| entry.event.kind == EventKind::RosterPublished)
        .filter_map(|entry| entry.event.references.get("roster").copied())
        .collect();
    let files = fs::read_dir(dir.join("objects").join("sha256"));
    files
        .into_iter()
        .flatten()
        .filter_map(|file| fs::read_to_string(file.ok()?.path()).ok())
        .filter_map(|text| Roster::parse(&text).ok())
        .filter(|roster| published.contains(&roster.root()))
        .filter_map(|roster| membership(&roster).ok())
        .map(|membership| (membership.epoch, membership))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use consilium_audit::{Actor, Event};

    /// A log whose entries say, each in a role, that the same attempt committed to a sum; and what is known of that sum.
    fn known(told: &[(Actor, u8)]) -> Option<Digest> {
        let time = "2026-11-24T04:07:00.000000Z".parse().unwrap();
        let entries: Vec<Entry> = (0..)
            .zip(told)
            .map(|(sequence, (actor, sum))| {
                let event = Event::new(EventKind::RoundSumCommitted, time, actor.clone())
                    .with_attempt(1, 7, 2)
                    .with_detail("sum", Digest::from_bytes([*sum; 32]).to_string());
                Entry::new(sequence, event).unwrap()
            })
            .collect();
        let hub = Actor::coordinator("hub.example");
        let accusation = Event::new(EventKind::RoundMisbehaviour, time, hub).with_attempt(1, 7, 2);
        logged_sum(&entries, &Entry::new(99, accusation).unwrap())
    }

    #[test]
    fn only_the_coordinator_says_which_sum_was_committed_and_two_words_say_nothing() {
        let hub = || Actor::coordinator("hub.example");
        let sum = |byte| Some(Digest::from_bytes([byte; 32]));
        assert_eq!(known(&[(hub(), 2)]), sum(2));
        assert_eq!(known(&[(hub(), 2), (hub(), 2)]), sum(2));
        assert_eq!(known(&[(Actor::silo("1_UM"), 1), (hub(), 2)]), sum(2));
        assert_eq!(known(&[(Actor::silo("1_UM"), 1)]), None);
        assert_eq!(known(&[(hub(), 1), (hub(), 2)]), None);
    }
}
