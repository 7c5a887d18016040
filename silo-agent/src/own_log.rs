// SPDX-License-Identifier: Apache-2.0
//! The hospital's own log in `log/`: every decision, charge and round, for its officers alone.
//!
//! What stands here may speak of this hospital's patients (counts, warnings). None of it is ever sent.

use std::path::Path;
use std::time::SystemTime;

use consilium_audit::entry::{Actor, Event, EventKind, Outcome, StudyReference};
use consilium_audit::log::{Log, LogFault};
use consilium_audit::note::NoteSigner;
use consilium_audit::time::Timestamp;
use consilium_audit::witness::WitnessSet;
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::sha256;
use consilium_protocol::AttemptId;

/// The hospital's own log.
pub(crate) struct OwnLog {
    log: Log,
    silo: String,
}

impl OwnLog {
    /// Opens the log of a silo, or starts it.
    pub(crate) fn open(folder: &Path, silo: &str, key: SigningKey) -> Result<OwnLog, LogFault> {
        let signer = NoteSigner::new(&format!("consilium/silo/{silo}"), key)?;
        let log = if folder.join("checkpoint").exists() {
            Log::open(folder, signer)?
        } else {
            Log::create(folder, signer, WitnessSet::none())?
        };
        Ok(OwnLog {
            log,
            silo: silo.to_owned(),
        })
    }

    /// An event of this silo, now.
    pub(crate) fn event(&self, kind: EventKind) -> Result<Event, LogFault> {
        let time =
            Timestamp::from_system_time(SystemTime::now()).map_err(|_| LogFault::Damaged {
                what: "the clock of this machine is not in this age".to_owned(),
            })?;
        Ok(Event::new(kind, time, Actor::silo(self.silo.clone())))
    }

    /// Appends an event; it is durable when this returns.
    pub(crate) fn record(&mut self, event: &Event) -> Result<(), LogFault> {
        self.log.append(event).map(|_| ())
    }

    /// Appends an event about a study.
    pub(crate) fn record_study(
        &mut self,
        kind: EventKind,
        study: &str,
        outcome: Outcome,
        details: &[(&str, &str)],
    ) -> Result<(), LogFault> {
        let event = self
            .event(kind)?
            .with_study(StudyReference::new(study))
            .with_outcome(outcome);
        self.record(&with_details(event, details))
    }

    /// Appends an event about an attempt at a round.
    pub(crate) fn record_attempt(
        &mut self,
        kind: EventKind,
        study: &str,
        id: AttemptId,
        outcome: Outcome,
        details: &[(&str, &str)],
    ) -> Result<(), LogFault> {
        let event = self
            .event(kind)?
            .with_study(StudyReference::new(study))
            .with_attempt(id.epoch, id.round, id.attempt)
            .with_outcome(outcome);
        self.record(&with_details(event, details))
    }

    /// Appends that the coordinator broke the protocol, and where its signed messages lie.
    pub(crate) fn accuse(
        &mut self,
        study: &str,
        id: AttemptId,
        reason: &str,
        evidence: Digest,
    ) -> Result<(), LogFault> {
        let event = self
            .event(EventKind::RoundMisbehaviour)?
            .with_study(StudyReference::new(study))
            .with_attempt(id.epoch, id.round, id.attempt)
            .with_outcome(Outcome::Failed)
            .with_reference(EVIDENCE, evidence);
        self.record(&with_details(event, &[("reason", reason)]))
    }

    /// Whether an accusation with this evidence stands here.
    pub(crate) fn holds_accusation(&self, evidence: &[u8]) -> Result<bool, LogFault> {
        let evidence = sha256(evidence);
        if self.log.object(&evidence)?.is_none() {
            return Ok(false);
        }
        // A crash may have come between the object and its entry.
        for place in (0..self.log.size()).rev() {
            let event = self.log.entry(place)?.event;
            let is_accusation = event.kind == EventKind::RoundMisbehaviour;
            if is_accusation && event.references.get(EVIDENCE) == Some(&evidence) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps bytes that an event refers to, and names them.
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> Result<Digest, LogFault> {
        self.log.put_object(bytes)
    }

    /// Signs the log's head.
    pub(crate) fn sign_head(&mut self) -> Result<(), LogFault> {
        self.log.checkpoint().map(|_| ())
    }
}

/// Adds facts to an event, each cut to what one line can hold.
pub(crate) fn with_details(event: Event, details: &[(&str, &str)]) -> Event {
    details.iter().fold(event, |event, (name, fact)| {
        event.with_detail(*name, shortened(fact))
    })
}

/// What others wrote must not make a line too long: characters that a line writes with six bytes become spaces.
fn shortened(text: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut shortened = String::new();
    for letter in text.chars().map(plain) {
        if shortened.len() + letter.len_utf8() > LONGEST_FACT {
            shortened.push_str("...");
            break;
        }
        shortened.push(letter);
    }
    shortened
}

/// The reference under which an accusation names its evidence.
const EVIDENCE: &str = "evidence";

/// In bytes; a line has room for four facts even when every letter of them is written with two.
const LONGEST_FACT: usize = 850;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use consilium_crypto::secret::Secret;

    use super::*;

    #[test]
    fn the_log_takes_any_text_goes_on_where_it_was_and_refuses_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = |byte| SigningKey::from_seed(&Secret::new([byte; 32]));
        let mut log = OwnLog::open(folder.path(), "3_UK", key(1)).unwrap();
        for long in ["\0", "\\", "\u{1f9ea}", "x"] {
            let long = long.repeat(10_000);
            let details = ["a", "b", "c", "d"].map(|name| (name, long.as_str()));
            let event = log.event(EventKind::StudyRefused).unwrap();
            log.record(&with_details(event, &details)).unwrap();
        }
        let long = "x".repeat(10_000);
        log.record_study(
            EventKind::StudyRefused,
            "s1",
            Outcome::Refused,
            &[("conditions", &long)],
        )
        .unwrap();
        log.sign_head().unwrap();
        drop(log);
        let log = OwnLog::open(folder.path(), "3_UK", key(1)).unwrap();
        assert_eq!(log.log.size(), 5);
        drop(log);
        assert!(OwnLog::open(folder.path(), "3_UK", key(2)).is_err());
    }
}
