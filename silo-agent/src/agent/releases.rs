// SPDX-License-Identifier: Apache-2.0
//! Released sums: gathered from their chunks, verified by the protocol, and taken into the model.

use std::collections::BTreeMap;

use consilium_audit::entry::{AttemptReference, EventKind, Outcome};
use consilium_crypto::digest::Digest;
use consilium_learning::model::Stage;
use consilium_protocol::{
    AttemptId, Delivery, RoundPlan, SiloEvent, SumChunks, VerifiedBy, VerifiedSum, peek_plan,
};
use consilium_wire::limits::LEAST_CHUNK_BYTES;
use consilium_wire::v1::{self, silo_frame};
use tracing::{info, warn};

use super::rounds::attempt_name;
use super::{Agent, AgentFault};
use crate::explain;
use crate::journal::StudyState;
use crate::ledger::{LedgerFault, job_name};

/// The chunks of one sum that have arrived.
#[derive(Debug, Default)]
pub(super) struct ReleaseParts {
    id: Option<AttemptId>,
    count: u64,
    parts: BTreeMap<u64, Vec<u8>>,
    bytes: u64,
}

impl ReleaseParts {
    /// Takes a chunk in; `most` bounds the whole. A chunk of another sum replaces what was gathered before.
    fn add(&mut self, chunk: v1::ReleaseChunk, most: u64) -> Result<(), &'static str> {
        let id = chunk.id();
        if self.id != Some(id) || self.count != chunk.count {
            *self = ReleaseParts {
                id: Some(id),
                count: chunk.count,
                ..ReleaseParts::default()
            };
        }
        if chunk.index >= chunk.count {
            return Err("a chunk of a sum lies beyond its end");
        }
        let is_last = chunk.index.checked_add(1) == Some(chunk.count);
        if chunk.data.is_empty() || (!is_last && chunk.data.len() < LEAST_CHUNK_BYTES) {
            return Err("a chunk of a sum is too short");
        }
        let length = u64::try_from(chunk.data.len()).unwrap_or(u64::MAX);
        let bytes = self.bytes.saturating_add(length);
        if bytes > most {
            *self = ReleaseParts::default();
            return Err("a sum is longer than any study here");
        }
        if let Some(earlier) = self.parts.insert(chunk.index, chunk.data) {
            let earlier = u64::try_from(earlier.len()).unwrap_or(0);
            self.bytes = bytes.saturating_sub(earlier);
        } else {
            self.bytes = bytes;
        }
        Ok(())
    }

    /// The sum, if all of it is there.
    fn take(&mut self, id: AttemptId) -> Option<SumChunks> {
        let complete =
            self.id == Some(id) && u64::try_from(self.parts.len()).ok() == Some(self.count);
        if !complete {
            return None;
        }
        let parts: Vec<_> = std::mem::take(self).parts.into_values().collect();
        Some(parts.into())
    }
}

/// A study's progress through one verified sum.
pub(super) struct Advanced {
    pub(super) rounds_done: u32,
    pub(super) model: Vec<u8>,
    pub(super) complete: bool,
    pub(super) release: (AttemptId, Digest),
}

impl Agent {
    /// A chunk of a sum, sent before the release that vouches for it.
    pub(super) fn release_chunk(&mut self, chunk: v1::ReleaseChunk) -> Result<(), AgentFault> {
        let mut most = MOST_REPEATED_BYTES;
        for record in self
            .journal
            .studies()?
            .into_iter()
            .filter(|record| record.state == StudyState::Granted)
        {
            if let Ok(terms) = self.terms_of(&record) {
                most = most.max(terms.packed_bytes());
            }
        }
        if let Err(reason) = self.releases.add(chunk, most) {
            warn!("{reason}; it was discarded");
        }
        Ok(())
    }

    /// The release of an attempt, this silo's last one or one that it missed.
    pub(super) fn released(&mut self, study: &str, delivery: Delivery) -> Result<(), AgentFault> {
        let Some(plan) = peek_plan(&delivery) else {
            return Ok(());
        };
        if self.is_of_another(study, &plan)? {
            warn!(study, id = %plan.id, "a release was discarded: it is of another study");
            return Ok(());
        }
        let Some(sum) = self.releases.take(plan.id) else {
            warn!(
                study,
                "a release came without all of its sum; it was discarded"
            );
            return Ok(());
        };
        self.step(study, SiloEvent::Released { delivery, sum })
    }

    /// Whether a release is of another study than the one under whose name it was told, as far as this silo can know.
    ///
    /// SECURITY: nobody signs that name, and a sum that does not follow from the last one costs a study its whole budget.
    fn is_of_another(&mut self, study: &str, plan: &RoundPlan) -> Result<bool, AgentFault> {
        let Some(record) = self.journal.study(study)? else {
            return Ok(false);
        };
        let is_computed_here = self
            .terms_of(&record)
            .is_ok_and(|terms| plan.task == terms.task_digest() && plan.silos == terms.invited);
        if !is_computed_here {
            return Ok(true);
        }
        // Two studies may compute the same.
        let studies = self.journal.studies()?;
        let is_known = studies.iter().any(|other| {
            other.id != study && other.last_release.is_some_and(|(last, _)| last == plan.id)
        });
        let paid_by = self.ledger.study_of(&attempt_name(plan.id));
        Ok(is_known || paid_by.is_some_and(|paid_by| paid_by != study))
    }

    /// The verified sum as the study's progress.
    pub(super) fn advance(
        &mut self,
        study: &str,
        verified: &VerifiedSum,
    ) -> Result<Option<Advanced>, AgentFault> {
        let Some(record) = self
            .journal
            .study(study)?
            .filter(|record| record.state == StudyState::Granted)
        else {
            return Ok(None);
        };
        let followed = self.terms_of(&record).and_then(|terms| {
            let model = terms.model(record.model.as_deref())?;
            let expected = terms.plan(verified.plan.id, &self.membership, &model)?;
            Ok((verified.plan == expected).then_some((terms, model)))
        });
        let (terms, model) = match followed {
            Ok(Some(followed)) => followed,
            Ok(None) => return Ok(None),
            Err(fault) => {
                warn!(study, "no sum follows here: {}", explain(&fault));
                return Ok(None);
            }
        };
        let stage = model.stage;
        // From a true sum there may be no way on: then the study is over, with the model that it has.
        let (model, complete) = terms.advance(&model, verified).unwrap_or_else(|fault| {
            warn!(
                study,
                "the released sum leads to no next model: {}",
                explain(&fault)
            );
            (model, true)
        });
        self.charge_forgotten_upload(study, stage, verified)?;
        Ok(Some(Advanced {
            rounds_done: model.rounds,
            model: model.to_bytes(),
            complete,
            release: (verified.plan.id, verified.digest),
        }))
    }

    /// A sum that holds this silo's vector was paid for. A ledger that does not say so is from before the upload, as in
    /// a folder put back from a backup: it is charged now, so that nothing is spent twice.
    fn charge_forgotten_upload(
        &mut self,
        study: &str,
        stage: Stage,
        verified: &VerifiedSum,
    ) -> Result<(), AgentFault> {
        let (id, noise) = (verified.plan.id, verified.plan.vector.noise);
        if noise.is_none() || !verified.survivors.contains(&self.name) {
            return Ok(());
        }
        let before = self.ledger.entries().len();
        match self.ledger.commit(
            &mut self.journal,
            &job_name(study, stage),
            &attempt_name(id),
        ) {
            Ok(()) if self.ledger.entries().len() == before => return Ok(()),
            Ok(()) => warn!(study, %id, "{FORGOTTEN}; it is charged now"),
            Err(LedgerFault::Refused(refusal)) => {
                warn!(study, %id, "{FORGOTTEN}: {}", explain(&refusal));
                return Ok(());
            }
            Err(fault) => return Err(fault.into()),
        }
        let details = [("reason", FORGOTTEN)];
        let kind = EventKind::PrivacyCommitted;
        Ok(self
            .own_log
            .record_attempt(kind, study, id, Outcome::Success, &details)?)
    }

    /// This folder missed what nobody tells it again: how much of what it set aside was spent meanwhile, it cannot know.
    fn forfeit(&mut self, study: &str) -> Result<(), AgentFault> {
        let attempts = self.ledger.forfeit(&mut self.journal, study)?;
        if attempts == 0 {
            return Ok(());
        }
        let attempts = attempts.to_string();
        warn!(study, attempts, "all that was set aside counts as spent");
        let details = [("forfeited_attempts", attempts.as_str())];
        let kind = EventKind::PrivacyCommitted;
        Ok(self
            .own_log
            .record_study(kind, study, Outcome::Success, &details)?)
    }

    /// The sum is verified, and if it was the next one, the model has advanced with it.
    pub(super) fn finished(
        &mut self,
        study: &str,
        verified: &VerifiedSum,
    ) -> Result<(), AgentFault> {
        let id = verified.plan.id;
        let Some(record) = self.journal.study(study)? else {
            return Ok(());
        };
        let last = record.last_release.map(|(last, _)| last.order());
        if record.last_release != Some((id, verified.digest)) {
            let is_over = matches!(record.state, StudyState::Ended { .. });
            if is_over || last >= Some(id.order()) {
                // Told again because our acceptance was lost.
                self.accept_release(verified);
                return Ok(());
            }
            self.forfeit(study)?;
            return self.decline(
                study,
                "behind",
                "a verified sum does not follow from this silo's last one; was the folder put back from a backup?",
            );
        }
        let (survivors, by) = (verified.survivors.len(), verified.verified_by);
        info!(study, %id, survivors, ?by, "sum verified");
        self.show_attempt(id, "released, and its sum verified here")?;
        let sum = verified.digest.to_string();
        let details = [("sum", sum.as_str())];
        let kinds: &[EventKind] = match verified.verified_by {
            VerifiedBy::Tags => &[EventKind::RoundSumCommitted, EventKind::RoundReleased],
            VerifiedBy::Replay => &[
                EventKind::RoundSumCommitted,
                EventKind::RoundReplayed,
                EventKind::RoundReleased,
            ],
        };
        for kind in kinds {
            self.own_log
                .record_attempt(*kind, study, id, Outcome::Success, &details)?;
        }
        self.own_log.sign_head()?;
        self.files.erase(id)?;
        self.accept_release(verified);
        Ok(())
    }

    /// Signs that the sum was verified: without a threshold of such signatures the study does not go on.
    fn accept_release(&self, verified: &VerifiedSum) {
        let id = verified.plan.id;
        let attempt = AttemptReference {
            epoch: id.epoch,
            round: id.round,
            attempt: id.attempt,
        };
        let signature = self.witness.accept(attempt, &verified.digest);
        self.send(silo_frame::Frame::ReleaseAccepted(v1::ReleaseAccepted {
            epoch: id.epoch,
            round: id.round,
            attempt: id.attempt,
            sum: verified.digest.as_bytes().to_vec(),
            signature: signature.to_bytes().to_vec(),
        }));
    }
}

const FORGOTTEN: &str =
    "a released sum holds an upload that the ledger has forgotten; was it put back from a backup?";

/// Room for the sum of a study that has ended here and whose release is told once more.
const MOST_REPEATED_BYTES: u64 = 16 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MOST: u64 = 2 * 4096 + 2;
    const ID: AttemptId = AttemptId {
        epoch: 1,
        round: 2,
        attempt: 1,
    };

    fn chunk(id: AttemptId, index: u64, data: &[u8]) -> v1::ReleaseChunk {
        v1::ReleaseChunk::new(id, index, 3, data.to_vec())
    }

    #[test]
    fn chunks_are_put_together_in_order_whenever_they_come() {
        let mut parts = ReleaseParts::default();
        let (first, second) = ([1; LEAST_CHUNK_BYTES], [2; LEAST_CHUNK_BYTES]);
        let order: [(u64, &[u8]); 4] = [(2, b"ef"), (0, &first), (0, &first), (1, &second)];
        for (index, data) in order {
            assert!(parts.take(ID).is_none());
            parts.add(chunk(ID, index, data), MOST).unwrap();
        }
        assert_eq!(
            parts.take(ID).unwrap().chunks(),
            [&first[..], &second, b"ef"]
        );
        assert!(parts.take(ID).is_none());
    }

    #[test]
    fn another_sum_replaces_an_unfinished_one_and_an_endless_one_is_dropped() {
        let mut parts = ReleaseParts::default();
        let other = AttemptId { round: 3, ..ID };
        let part = [0; LEAST_CHUNK_BYTES];
        parts.add(chunk(ID, 0, &part), MOST).unwrap();
        parts.add(chunk(other, 1, &part), MOST).unwrap();
        assert!(parts.take(ID).is_none());
        assert!(parts.add(chunk(other, 3, b"x"), MOST).is_err());
        let long = [0; LEAST_CHUNK_BYTES + 3];
        assert!(parts.add(chunk(other, 0, &long), MOST).is_err());
        assert!(parts.take(other).is_none());
    }

    #[test]
    fn chunks_that_hold_next_to_nothing_are_not_kept() {
        let mut parts = ReleaseParts::default();
        for (index, data) in [(0, &b""[..]), (1, b"x"), (2, b"")] {
            assert!(parts.add(chunk(ID, index, data), MOST).is_err());
        }
        assert!(parts.parts.is_empty());
    }
}
