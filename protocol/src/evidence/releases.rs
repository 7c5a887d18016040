// SPDX-License-Identifier: Apache-2.0
//! Releases that a coordinator signed and that its own words refute.
//!
//! SECURITY: a log proof and the chunks of a sum come beside a Release and are signed by nobody, so nothing here looks at
//! them: whoever held a true Release could put false ones beside it.

use super::EvidenceFault;
use super::judging::Case;
use crate::envelope::{Envelope, Sender};
use crate::id::{AttemptId, SiloName};
use crate::message::{CoordinatorMessage, Release};
use crate::release::Trail;
use crate::signed_list::Known;
use consilium_crypto::digest::Digest;

/// What a freeze fixed: of which attempt, D, and who is in the cohort.
type Frozen = (AttemptId, Digest, Vec<SiloName>);

impl Case<'_> {
    /// The attempt of a Release among the messages that no silo can accept, whatever it knows.
    pub(super) fn refuted_release(
        &self,
        messages: &[Envelope],
    ) -> Result<Option<AttemptId>, EvidenceFault> {
        if self.evidence.accused != Sender::Coordinator {
            return Ok(None);
        }
        let (mut frozen, mut released) = (Vec::<Frozen>::new(), Vec::new());
        let said = messages
            .iter()
            .filter(|message| message.sender == Sender::Coordinator);
        for message in said {
            let body = message.verify_coordinator(self.membership)?;
            // Rebuilt by the roster of its attempt or not at all.
            if body.id.epoch != self.membership.epoch {
                continue;
            }
            match body.message {
                CoordinatorMessage::CohortFreeze { ready, .. } => {
                    let silos = ready.into_iter().filter_map(|ready| match ready.sender {
                        Sender::Silo(silo) => Some(silo),
                        Sender::Coordinator => None,
                    });
                    frozen.push((body.id, body.transcript, silos.collect()));
                }
                CoordinatorMessage::Release(release) | CoordinatorMessage::Replay(release) => {
                    released.push((body.id, body.transcript, *release));
                }
                CoordinatorMessage::Open { .. }
                | CoordinatorMessage::KeyBook { .. }
                | CoordinatorMessage::DealBook { .. }
                | CoordinatorMessage::SurvivorProposal { .. }
                | CoordinatorMessage::Certificate { .. }
                | CoordinatorMessage::SumCommitment { .. }
                | CoordinatorMessage::Challenge { .. }
                | CoordinatorMessage::Abandon { .. } => {}
            }
        }
        for (id, transcript, release) in released {
            let contradicted = frozen
                .iter()
                .any(|frozen| contradicts(id, &release, frozen));
            let attempt = (id, transcript);
            let known = Known::new();
            let holds = Trail::rebuild(self.membership, attempt, release, &known).is_ok();
            if contradicted || !holds {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

/// Whether a Release names other books or another cohort than the freeze of its attempt.
fn contradicts(id: AttemptId, release: &Release, frozen: &Frozen) -> bool {
    let (frozen_id, deal_book, silos) = frozen;
    *frozen_id == id && (*deal_book != release.deal_book || *silos != release.cohort)
}
