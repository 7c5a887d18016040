// SPDX-License-Identifier: Apache-2.0
//! One line of the log: an [`Event`] and, once it has a place, an [`Entry`].
//!
//! A line is JSON in the order of RFC 8785, at most 8 KiB, and hashed as it stands. The identifier of an event is
//! the digest of its content, so that the same event appended twice is one entry.
//!
//! SECURITY: nothing in an event may be computed from patient data unless it was released under the same rules:
//! no counts, losses, norms or timings. The types here hold names, digests, public parameters and texts.

mod canonical;
mod fields;
mod kind;

use std::collections::BTreeMap;

use consilium_crypto::{
    digest::Digest,
    label::Label,
    signing::{Signature, SigningKey, VerifyingKey},
    transcript,
};
use serde::{Deserialize, Serialize};

pub use self::{
    canonical::{CanonicalFault, canonical},
    fields::{
        Actor, ActorRole, AggregationStatement, AttemptReference, Outcome, PolicyReference,
        PrivacyStatement, StudyReference,
    },
    kind::{EventKind, UnknownEventKind},
};
use crate::time::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When, by the clock of whoever reports it.
    pub time: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Who did it.
    pub actor: Actor,
    /// For whom, when the actor acted for somebody.
    pub on_behalf_of: Option<String>,
    /// The study it belongs to.
    pub study: Option<StudyReference>,
    /// What it was done to, such as a data set's name.
    pub object: Option<String>,
    /// The job, when one study has several.
    pub job: Option<String>,
    /// The attempt at a round; every `round.*` event has one.
    pub attempt: Option<AttemptReference>,
    /// The policy that decided.
    pub policy: Option<PolicyReference>,
    /// The privacy amounts.
    pub privacy: Option<PrivacyStatement>,
    /// Who is in the aggregation.
    pub aggregation: Option<AggregationStatement>,
    /// Digests of objects that can be looked up under `objects/`, and of other things worth naming.
    pub references: BTreeMap<String, Digest>,
    /// Facts that have no field of their own. Keys are `lower_case`.
    pub detail: BTreeMap<String, String>,
    /// The signature of the silo that reports it.
    pub signature: Option<Signature>,
}

impl Event {
    /// A successful event with nothing but the three facts every event has.
    pub fn new(kind: EventKind, time: Timestamp, actor: Actor) -> Self {
        Self {
            kind,
            time,
            outcome: Outcome::Success,
            actor,
            on_behalf_of: None,
            study: None,
            object: None,
            job: None,
            attempt: None,
            policy: None,
            privacy: None,
            aggregation: None,
            references: BTreeMap::new(),
            detail: BTreeMap::new(),
            signature: None,
        }
    }

    /// With this outcome.
    #[must_use]
    pub fn with_outcome(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// Done for somebody.
    #[must_use]
    pub fn on_behalf_of(self, name: impl Into<String>) -> Self {
        Self {
            on_behalf_of: Some(name.into()),
            ..self
        }
    }

    /// Belonging to a study.
    #[must_use]
    pub fn with_study(self, study: StudyReference) -> Self {
        Self {
            study: Some(study),
            ..self
        }
    }

    /// Done to something.
    #[must_use]
    pub fn with_object(self, object: impl Into<String>) -> Self {
        Self {
            object: Some(object.into()),
            ..self
        }
    }

    /// Belonging to a job.
    #[must_use]
    pub fn with_job(self, job: impl Into<String>) -> Self {
        Self {
            job: Some(job.into()),
            ..self
        }
    }

    /// Belonging to an attempt at a round.
    #[must_use]
    pub fn with_attempt(self, epoch: u64, round: u64, attempt: u32) -> Self {
        Self {
            attempt: Some(AttemptReference {
                epoch,
                round,
                attempt,
            }),
            ..self
        }
    }

    /// Decided by a policy.
    #[must_use]
    pub fn with_policy(self, version: u64, digest: Digest) -> Self {
        Self {
            policy: Some(PolicyReference { version, digest }),
            ..self
        }
    }

    /// With privacy amounts.
    #[must_use]
    pub fn with_privacy(self, privacy: PrivacyStatement) -> Self {
        Self {
            privacy: Some(privacy),
            ..self
        }
    }

    /// With the silos of an aggregation.
    #[must_use]
    pub fn with_aggregation(self, aggregation: AggregationStatement) -> Self {
        Self {
            aggregation: Some(aggregation),
            ..self
        }
    }

    /// Naming a digest.
    #[must_use]
    pub fn with_reference(mut self, name: impl Into<String>, digest: Digest) -> Self {
        self.references.insert(name.into(), digest);
        self
    }

    /// Naming a fact.
    #[must_use]
    pub fn with_detail(mut self, name: impl Into<String>, fact: impl Into<String>) -> Self {
        self.detail.insert(name.into(), fact.into());
        self
    }

    /// The fact of this name read as a digest.
    pub fn detail_digest(&self, name: &str) -> Option<Digest> {
        self.detail.get(name)?.parse().ok()
    }

    /// The digest of everything but place and signature; the event's identifier.
    pub fn id(&self) -> Result<Digest, EntryFault> {
        Ok(transcript::hash(
            Label::AuditEvent,
            &[self.unsigned_text()?.as_bytes()],
        ))
    }

    /// The event signed by the silo that reports it.
    pub fn signed(self, key: &SigningKey) -> Result<Self, EntryFault> {
        let signature = key.sign(Label::AuditEvent, &[self.unsigned_text()?.as_bytes()]);
        Ok(Self {
            signature: Some(signature),
            ..self
        })
    }

    /// Whether the signature is there and by `key`.
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        match (&self.signature, self.unsigned_text()) {
            (Some(signature), Ok(text)) => key
                .verify(Label::AuditEvent, &[text.as_bytes()], signature)
                .is_ok(),
            (None, _) | (_, Err(_)) => false,
        }
    }

    fn unsigned_text(&self) -> Result<String, EntryFault> {
        Line::new(self, None).to_text()
    }

    fn check(&self) -> Result<(), EntryFault> {
        if self.kind.belongs_to_an_attempt() && self.attempt.is_none() {
            return Err(EntryFault::NoAttempt { kind: self.kind });
        }
        for name in self.detail.keys().chain(self.references.keys()) {
            let lower = |character: char| {
                character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_'
            };
            if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(lower) {
                return Err(EntryFault::Name { name: name.clone() });
            }
        }
        Ok(())
    }
}

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The place, counted from zero.
    pub sequence: u64,
    /// The event's identifier.
    pub id: Digest,
    /// The event.
    pub event: Event,
}

impl Entry {
    /// The event at its place.
    pub fn new(sequence: u64, event: Event) -> Result<Self, EntryFault> {
        event.check()?;
        Ok(Self {
            sequence,
            id: event.id()?,
            event,
        })
    }

    /// The bytes that are hashed and stored, without a line end.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EntryFault> {
        let text = Line::new(&self.event, Some((self.sequence, self.id))).to_text()?;
        if text.len() > LONGEST_ENTRY {
            return Err(EntryFault::TooLong {
                kind: self.event.kind,
                bytes: text.len(),
            });
        }
        Ok(text.into_bytes())
    }

    /// Reads a stored line, and accepts no other spelling of it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EntryFault> {
        if bytes.len() > LONGEST_ENTRY {
            return Err(EntryFault::NotAnEntry {
                reason: format!("{} bytes", bytes.len()),
            });
        }
        let line: Line = serde_json::from_slice(bytes).map_err(|fault| EntryFault::NotAnEntry {
            reason: fault.to_string(),
        })?;
        let (sequence, id, event) = line.into_parts()?;
        let entry = Self::new(sequence, event)?;
        if entry.id != id {
            return Err(EntryFault::NotAnEntry {
                reason: format!("id `{id}` is not the digest of the event"),
            });
        }
        if entry.to_bytes()? != bytes {
            return Err(EntryFault::NotAnEntry {
                reason: "not in the order of RFC 8785".to_owned(),
            });
        }
        Ok(entry)
    }
}

/// The stored form: flat, every absent field left out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(rename = "type")]
    kind: EventKind,
    time: Timestamp,
    outcome: Outcome,
    actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    study: Option<StudyReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    round: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    privacy: Option<PrivacyStatement>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aggregation: Option<AggregationStatement>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    refs: BTreeMap<String, Digest>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    detail: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
}

impl Line {
    /// The line of a placed event, or without a place the text that is digested and signed.
    fn new(event: &Event, place: Option<(u64, Digest)>) -> Self {
        Self {
            id: place.map(|(_, id)| id),
            seq: place.map(|(sequence, _)| sequence),
            kind: event.kind,
            time: event.time,
            outcome: event.outcome,
            actor: event.actor.clone(),
            on_behalf_of: event.on_behalf_of.clone(),
            study: event.study.clone(),
            object: event.object.clone(),
            job: event.job.clone(),
            epoch: event.attempt.map(|attempt| attempt.epoch),
            round: event.attempt.map(|attempt| attempt.round),
            attempt: event.attempt.map(|attempt| attempt.attempt),
            policy: event.policy,
            privacy: event.privacy.clone(),
            aggregation: event.aggregation.clone(),
            refs: event.references.clone(),
            detail: event.detail.clone(),
            signature: place.and(event.signature),
        }
    }

    fn to_text(&self) -> Result<String, EntryFault> {
        let value = serde_json::to_value(self).map_err(|fault| EntryFault::NotAnEntry {
            reason: fault.to_string(),
        })?;
        Ok(canonical(&value)?)
    }

    fn into_parts(self) -> Result<(u64, Digest, Event), EntryFault> {
        let missing = |field: &str| EntryFault::NotAnEntry {
            reason: format!("field `{field}` is missing"),
        };
        let attempt = match (self.epoch, self.round, self.attempt) {
            (Some(epoch), Some(round), Some(attempt)) => Some(AttemptReference {
                epoch,
                round,
                attempt,
            }),
            (None, None, None) => None,
            (None, _, _) => return Err(missing("epoch")),
            (_, None, _) => return Err(missing("round")),
            (_, _, None) => return Err(missing("attempt")),
        };
        let event = Event {
            kind: self.kind,
            time: self.time,
            outcome: self.outcome,
            actor: self.actor,
            on_behalf_of: self.on_behalf_of,
            study: self.study,
            object: self.object,
            job: self.job,
            attempt,
            policy: self.policy,
            privacy: self.privacy,
            aggregation: self.aggregation,
            references: self.refs,
            detail: self.detail,
            signature: self.signature,
        };
        Ok((
            self.seq.ok_or_else(|| missing("seq"))?,
            self.id.ok_or_else(|| missing("id"))?,
            event,
        ))
    }
}

/// Why an event cannot be logged, or a line is not an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// A `round.*` event without its attempt.
    #[error("event `{kind}` names no epoch, round and attempt")]
    NoAttempt {
        /// The event's kind.
        kind: EventKind,
    },
    /// A detail or reference with an odd name.
    #[error("`{name}` is not a name for a detail: use at most 64 of a-z, 0-9 and _")]
    Name {
        /// The name.
        name: String,
    },
    /// More than 8 KiB.
    #[error(
        "event `{kind}` takes {bytes} bytes, more than 8192: store the long part as an object and log its digest"
    )]
    TooLong {
        /// The event's kind.
        kind: EventKind,
        /// Its length.
        bytes: usize,
    },
    /// A number that has no canonical form.
    #[error("event cannot be written")]
    Canonical(#[from] CanonicalFault),
    /// Bytes that are no entry.
    #[error("not a log entry: {reason}")]
    NotAnEntry {
        /// What is wrong with them.
        reason: String,
    },
}

/// The most bytes an entry may have.
pub const LONGEST_ENTRY: usize = 8192;
const LONGEST_NAME: usize = 64;
