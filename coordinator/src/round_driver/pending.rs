// SPDX-License-Identifier: Apache-2.0
//! What a stored snapshot asks for and what may not have been done before a restart.

use crate::log_keeper::{clamp, now};
use consilium_audit::{Actor, AggregationStatement, Event, EventKind, StudyReference, Timestamp};
use consilium_crypto::digest::Digest;
use consilium_protocol::{RecordKind, RoundPlan, SiloName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most bytes of a reason in an entry of the log.
const REASON_BYTES: usize = 500;

/// Stored beside the machine's snapshot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pending {
    /// Entries of the log; written before anything is sent.
    pub(super) records: Vec<Record>,
    /// The packed sum among the blobs.
    pub(super) sum: Option<Digest>,
    /// The commitment to the sum, as first asked for.
    pub(super) commitment: Option<Record>,
    /// Where the log holds the commitment.
    pub(super) commitment_index: Option<u64>,
    /// Where the log holds the release.
    pub(super) release_index: Option<u64>,
    /// How the attempt ended.
    pub(super) conclusion: Option<Conclusion>,
    /// Silos whose misbehaviour in this attempt is in the log.
    pub(super) accused: BTreeSet<SiloName>,
}

/// How an attempt ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Conclusion {
    /// With a sum.
    Released {
        /// Whose inputs it holds.
        survivors: Vec<SiloName>,
        /// Which invited silos it does not hold.
        dropped: Vec<SiloName>,
    },
    /// Without one.
    Abandoned {
        /// Why.
        reason: String,
        /// In which phase.
        phase: String,
        /// Whether inputs had been masked.
        charged: bool,
    },
}

/// One entry of the log. It keeps its time, so that it is the same entry after a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) kind: RecordedKind,
    digest: Digest,
    silos: Vec<SiloName>,
    microseconds: i64,
    /// The object that proves it, or that proves why the attempt ended.
    pub(super) evidence: Option<Digest>,
    /// The object that holds the message which ends the attempt.
    pub(super) message: Option<Digest>,
    /// Why, in words.
    pub(super) reason: Option<String>,
    /// Who computed a released sum again, because tags were missing or did not add up.
    pub(super) vouchers: Vec<SiloName>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RecordedKind {
    Opened,
    KeyBook,
    DealBook,
    Frozen,
    Proposed,
    Certified,
    SumCommitted,
    Replayed,
    Released,
    Abandoned,
    Misbehaviour,
}

impl Record {
    pub(super) fn new(kind: RecordedKind, digest: Digest, silos: Vec<SiloName>) -> Self {
        Self {
            kind,
            digest,
            silos,
            microseconds: now().unix_microseconds(),
            evidence: None,
            message: None,
            reason: None,
            vouchers: Vec::new(),
        }
    }

    pub(super) fn event(&self, plan: &RoundPlan, study: StudyReference, actor: Actor) -> Event {
        let time = Timestamp::from_unix_microseconds(self.microseconds).unwrap_or_else(|_| now());
        let names = |silos: &[SiloName]| silos.iter().map(SiloName::to_string).collect::<Vec<_>>();
        let detail = match self.kind {
            RecordedKind::SumCommitted | RecordedKind::Replayed | RecordedKind::Released => {
                Some("sum")
            }
            RecordedKind::Opened
            | RecordedKind::KeyBook
            | RecordedKind::DealBook
            | RecordedKind::Frozen
            | RecordedKind::Proposed
            | RecordedKind::Certified
            | RecordedKind::Abandoned => Some("digest"),
            // The object that it refers to says everything.
            RecordedKind::Misbehaviour => None,
        };
        let mut event = Event::new(self.kind.into(), time, actor)
            .with_study(study)
            .with_attempt(plan.id.epoch, plan.id.round, plan.id.attempt);
        if let Some(detail) = detail {
            event = event.with_detail(detail, self.digest.to_string());
        }
        if let Some(evidence) = self.evidence {
            event = event.with_reference("evidence", evidence);
        }
        if let Some(message) = self.message {
            event = event.with_reference("message", message);
        }
        if let Some(reason) = &self.reason {
            event = event.with_detail("reason", clamp(reason, REASON_BYTES));
        }
        if !self.vouchers.is_empty() {
            let vouchers = names(&self.vouchers).join(", ");
            event = event.with_detail("computed_again_by", clamp(&vouchers, REASON_BYTES));
        }
        let statement = |included: Vec<String>| {
            let dropped = match included.as_slice() {
                [] => Vec::new(),
                included => names(&plan.silos)
                    .into_iter()
                    .filter(|silo| !included.contains(silo))
                    .collect(),
            };
            AggregationStatement {
                invited: names(&plan.silos),
                dropped,
                included,
                threshold: plan.thresholds.threshold,
            }
        };
        match self.kind {
            RecordedKind::Opened => event.with_aggregation(statement(Vec::new())),
            RecordedKind::Frozen
            | RecordedKind::Proposed
            | RecordedKind::Certified
            | RecordedKind::Replayed
            | RecordedKind::Released => event.with_aggregation(statement(names(&self.silos))),
            RecordedKind::Misbehaviour => match self.silos.first() {
                Some(silo) => event.with_object(silo.to_string()),
                None => event,
            },
            RecordedKind::KeyBook
            | RecordedKind::DealBook
            | RecordedKind::SumCommitted
            | RecordedKind::Abandoned => event,
        }
    }
}

impl From<RecordKind> for RecordedKind {
    fn from(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Opened => Self::Opened,
            RecordKind::KeyBook => Self::KeyBook,
            RecordKind::DealBook => Self::DealBook,
            RecordKind::Frozen => Self::Frozen,
            RecordKind::Proposed => Self::Proposed,
            RecordKind::Certified => Self::Certified,
            RecordKind::Replayed => Self::Replayed,
            RecordKind::Released => Self::Released,
            RecordKind::Abandoned => Self::Abandoned,
        }
    }
}

impl From<RecordedKind> for EventKind {
    fn from(kind: RecordedKind) -> Self {
        match kind {
            RecordedKind::Opened => Self::RoundOpened,
            RecordedKind::KeyBook => Self::RoundKeyBook,
            RecordedKind::DealBook => Self::RoundDealBook,
            RecordedKind::Frozen => Self::RoundFrozen,
            RecordedKind::Proposed => Self::RoundProposed,
            RecordedKind::Certified => Self::RoundCertified,
            RecordedKind::SumCommitted => Self::RoundSumCommitted,
            RecordedKind::Replayed => Self::RoundReplayed,
            RecordedKind::Released => Self::RoundReleased,
            RecordedKind::Abandoned => Self::RoundAbandoned,
            RecordedKind::Misbehaviour => Self::RoundMisbehaviour,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::silo_service::tests::plan;
    use consilium_crypto::transcript::sha256;

    fn event(record: &Record) -> Event {
        let study = StudyReference::new("a study");
        record.event(&plan(), study, Actor::coordinator("hub.example"))
    }

    #[test]
    fn misbehaviour_names_its_silo_and_the_object_that_proves_it() {
        let silo = SiloName::parse("3_UK").unwrap();
        let object = sha256(b"object");
        let mut record = Record::new(RecordedKind::Misbehaviour, object, vec![silo]);
        record.evidence = Some(object);
        let event = event(&record);
        assert_eq!(event.object.as_deref(), Some("3_UK"));
        assert_eq!(event.references["evidence"], object);
    }

    #[test]
    fn an_abandoned_attempt_says_why_in_few_words() {
        let mut record = Record::new(RecordedKind::Abandoned, sha256(b"list"), Vec::new());
        record.reason = Some("too late\n".repeat(1000));
        let reason = &event(&record).detail["reason"];
        assert!(reason.starts_with("too late too late"), "{reason}");
        assert!(reason.len() <= REASON_BYTES);
    }
}
