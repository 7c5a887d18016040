// SPDX-License-Identifier: Apache-2.0
//! What this silo believes of the federation's shared log: proofs under a quorum of cosignatures, and its own witness.

use consilium_audit::checkpoint::CheckpointNote;
use consilium_audit::entry::{Actor, ActorRole, Event, EventKind};
use consilium_audit::note::{NoteFault, NoteVerifier};
use consilium_audit::proof::LogProof;
use consilium_audit::witness::{Witness, WitnessHead, WitnessSet, WitnessSetFault};
use consilium_certs::Roster;
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::SigningKey;
use consilium_protocol::AttemptId;
use consilium_protocol::LogVerifier;

/// The shared log's keys as the pinned roster names them.
pub(crate) struct SharedLog {
    log: NoteVerifier,
    witnesses: WitnessSet,
    own_name: String,
    /// The newest release that this silo verified, of whatever study: its attempt and H(S).
    last_release: Option<(AttemptId, Digest)>,
}

/// A roster whose log or witness keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SharedLogFault {
    /// The log's key or origin.
    #[error("the roster's log key or origin cannot be used")]
    Log(#[from] NoteFault),
    /// The witnesses.
    #[error("the roster's witnesses cannot be used")]
    Witnesses(#[from] WitnessSetFault),
}

impl SharedLog {
    pub(crate) fn new(roster: &Roster, own_name: &str) -> Result<SharedLog, SharedLogFault> {
        let coordinator = roster.coordinator();
        let witnesses = roster
            .members()
            .iter()
            .map(|member| (member.name.to_string(), member.witness));
        let quorum = usize::try_from(roster.witness_quorum()).unwrap_or(usize::MAX);
        Ok(SharedLog {
            log: NoteVerifier::new(&coordinator.log_origin, coordinator.log_key)?,
            witnesses: WitnessSet::new(witnesses, quorum)?,
            own_name: own_name.to_owned(),
            last_release: None,
        })
    }

    /// Sets the release that the next Open must show in the log.
    pub(crate) fn expect_release(&mut self, last_release: Option<(AttemptId, Digest)>) {
        self.last_release = last_release;
    }

    /// This silo as a witness of the log.
    pub(crate) fn witness(&self, key: SigningKey, head: WitnessHead) -> Result<Witness, NoteFault> {
        Witness::new(self.log.clone(), &self.own_name, key, head)
    }

    /// The size of this checkpoint, if this witness has cosigned it.
    pub(crate) fn cosigned_by(&self, witness: &Witness, checkpoint: &str) -> Option<u64> {
        let note = CheckpointNote::open(checkpoint, &self.log).ok()?;
        let cosigned = witness.verifier().verify(&note).ok()?;
        cosigned.map(|_| note.size())
    }

    fn proven(&self, proof: &[u8], must_include: Option<&str>) -> Option<Event> {
        let proof = LogProof::from_bytes(proof).ok()?;
        Some(
            proof
                .verify(&self.log, &self.witnesses, must_include)
                .ok()?
                .event,
        )
    }
}

impl LogVerifier for SharedLog {
    fn start_is_logged(&self, nonce: &Digest, proof: &[u8]) -> bool {
        self.proven(proof, None).is_some_and(|event| {
            event.kind == EventKind::SiloStarted
                && event.actor == Actor::silo(&*self.own_name)
                && event.detail_digest("nonce") == Some(*nonce)
        })
    }

    fn sum_is_logged(&self, id: AttemptId, sum: &Digest, proof: &[u8]) -> bool {
        self.proven(proof, None).is_some_and(|event| {
            event.kind == EventKind::RoundSumCommitted && is_about(&event, id, sum)
        })
    }

    fn release_is_logged(&self, proof: Option<&[u8]>) -> bool {
        match (self.last_release, proof) {
            (None, None | Some(_)) => true,
            (Some(_), None) => false,
            // The commit rule: no next round before this silo itself has cosigned the last release.
            (Some((id, sum)), Some(proof)) => {
                self.proven(proof, Some(&self.own_name))
                    .is_some_and(|event| {
                        event.kind == EventKind::RoundReleased && is_about(&event, id, &sum)
                    })
            }
        }
    }
}

/// SECURITY: in another role nobody judges it, and a log could hold two sums of one attempt.
fn is_about(event: &Event, id: AttemptId, sum: &Digest) -> bool {
    let attempt = event.attempt.is_some_and(|attempt| {
        (attempt.epoch, attempt.round, attempt.attempt) == (id.epoch, id.round, id.attempt)
    });
    let by_coordinator = event.actor.role == ActorRole::Coordinator;
    attempt && by_coordinator && event.detail_digest("sum") == Some(*sum)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
