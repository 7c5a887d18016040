// SPDX-License-Identifier: Apache-2.0
//! Studies offered, answered and ended. An answer is in the journal before it is sent, and is given once.

use consilium_audit::entry::{EventKind, Outcome};
use consilium_learning::study::Study;
use consilium_protocol::SiloEvent;
use consilium_wire::StudyId;
use consilium_wire::v1::{self, silo_frame};
use tracing::{info, warn};

use super::{Agent, AgentFault, now_milliseconds};
use crate::consent::Refused;
use crate::journal::{Offer, StudyState};

impl Agent {
    /// A study is offered, for the first time or again after a lost session.
    pub(super) fn offered(&mut self, offer: v1::StudyOffer) -> Result<(), AgentFault> {
        let id = offer.study_id;
        // SECURITY: one signed file is one study. Under ever new identifiers it could be asked and charged for ever.
        if StudyId::of(&offer.study, &offer.signature).as_str() != id {
            warn!(study = %id, "a study was offered under an identifier that is not its own");
            let refused =
                Refused::by_rule("study", "the identifier is not that of the signed file");
            self.send_refusal(&id, &refused.conditions, None);
            return Ok(());
        }
        let offer = Offer {
            deadline_milliseconds: signed_deadline(&offer.study),
            study: offer.study,
            researcher: offer.researcher,
            signature: offer.signature,
            invited: offer.invited,
        };
        self.journal.record_offer(&id, &offer)?;
        let Some(record) = self.journal.study(&id)? else {
            return Ok(());
        };
        let same = record.offer
            == Offer {
                deadline_milliseconds: record.offer.deadline_milliseconds,
                ..offer
            };
        if !same {
            let refused = Refused::by_rule(
                "study",
                "the identifier was offered before with other content",
            );
            self.send_refusal(&id, &refused.conditions, None);
            return Ok(());
        }
        // SECURITY: an offer made again and again would otherwise tell the moment for which the grid hides the answer.
        let waits = self.answers.iter().any(|(_, answer)| {
            matches!(answer, silo_frame::Frame::Consent(consent) if consent.study_id == id)
        });
        if waits {
            return Ok(());
        }
        match record.state {
            StudyState::Offered => self.decide(&id, &record.offer, None),
            StudyState::AwaitingApproval | StudyState::Granted | StudyState::NotReady => {
                self.send_state(&id, &record.state, None);
                Ok(())
            }
            StudyState::Refused { conditions } => {
                self.send_refusal(&id, &conditions, None);
                Ok(())
            }
            StudyState::Ended { .. } => {
                self.decline(&id, "ended", "an ended study was offered again")
            }
        }
    }

    /// A study is over, whatever became of it.
    pub(super) fn ended(&mut self, ended: &v1::StudyEnded) -> Result<(), AgentFault> {
        let id = &ended.study_id;
        let Some(record) = self.journal.study(id)? else {
            return Ok(());
        };
        if matches!(record.state, StudyState::Ended { .. }) {
            return Ok(());
        }
        let (word, kind) = match ended.outcome() {
            v1::StudyState::Completed => ("completed", EventKind::StudyCompleted),
            v1::StudyState::Refused => ("refused", EventKind::StudyFailed),
            v1::StudyState::Cancelled => ("cancelled", EventKind::StudyCancelled),
            v1::StudyState::Failed
            | v1::StudyState::Unspecified
            | v1::StudyState::Queued
            | v1::StudyState::Consenting
            | v1::StudyState::Running => ("failed", EventKind::StudyFailed),
        };
        self.abandon_attempt_of(id, "the study has ended")?;
        self.release_reservation(id)?;
        self.journal.record_state(
            id,
            &StudyState::Ended {
                outcome: word.to_owned(),
            },
        )?;
        let outcome = if word == "completed" {
            Outcome::Success
        } else {
            Outcome::Failed
        };
        self.own_log
            .record_study(kind, id, outcome, &[("outcome", word)])?;
        self.terms.remove(id);
        info!(study = %id, outcome = word, "study ended");
        Ok(self.own_log.sign_head()?)
    }

    /// Frees what a study never used.
    pub(super) fn release_reservation(&mut self, id: &str) -> Result<(), AgentFault> {
        if self.ledger.release(&mut self.journal, id)? {
            self.own_log
                .record_study(EventKind::PrivacyReleased, id, Outcome::Success, &[])?;
        }
        Ok(())
    }

    /// Ends the attempt in flight if it belongs to this study.
    pub(super) fn abandon_attempt_of(&mut self, id: &str, reason: &str) -> Result<(), AgentFault> {
        let Some(attempt) = self.attempt.clone().filter(|attempt| attempt.study == *id) else {
            return Ok(());
        };
        self.step(
            id,
            SiloEvent::Abandon {
                id: attempt.plan.id,
                reason: reason.to_owned(),
            },
        )?;
        Ok(self.files.erase(attempt.plan.id)?)
    }
}

/// When silence becomes a refusal: so many hours from now as the researcher signed for, whatever the coordinator says.
fn signed_deadline(study: &[u8]) -> u64 {
    let hours = Study::parse(study).map_or(0, |study| u64::from(study.heading.deadline_hours));
    now_milliseconds().saturating_add(hours.saturating_mul(3_600_000))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_is_the_one_that_the_researcher_signed_for() {
        let study = crate::test_federation::STATISTICS.as_bytes();
        let hours = signed_deadline(study).saturating_sub(now_milliseconds());
        assert!(hours > 23 * 3_600_000 && hours <= 24 * 3_600_000, "{hours}");
        assert!(signed_deadline(b"nonsense") <= now_milliseconds());
    }
}
