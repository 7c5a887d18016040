// SPDX-License-Identifier: Apache-2.0
//! What a silo answers about a study: in the journal and its own log first, then to the coordinator.

use std::time::Instant;

use consilium_audit::entry::{EventKind, Outcome};
use consilium_learning::study::Study;
use consilium_wire::v1::{self, consent::Decision, silo_frame};
use tracing::{info, warn};

use super::{Agent, AgentFault};
use crate::consent::Refused;
use crate::journal::{Offer, StudyState};
use crate::own_log::with_details;

impl Agent {
    pub(super) fn refuse(
        &mut self,
        id: &str,
        refused: &Refused,
        due: Option<Instant>,
    ) -> Result<(), AgentFault> {
        let told_conditions: Vec<String> = refused
            .conditions
            .iter()
            .map(|(rule, statement)| format!("{rule}: {statement}"))
            .collect();
        // Counts of patients stay in this silo's own log: standard error goes wherever its operators send it.
        info!(study = id, "refused: {}", told_conditions.join("; "));
        let conditions = refused.own_log.join("; ");
        // A crash may have come between setting aside and consenting.
        self.release_reservation(id)?;
        let mut event = self
            .own_log
            .event(EventKind::StudyRefused)?
            .with_study(consilium_audit::entry::StudyReference::new(id))
            .with_outcome(Outcome::Refused);
        if let Some((version, digest)) = refused.policy {
            event = event.with_policy(u64::from(version), digest);
        }
        self.own_log
            .record(&with_details(event, &[("conditions", &conditions)]))?;
        let state = StudyState::Refused {
            conditions: refused.conditions.clone(),
        };
        self.journal.record_state(id, &state)?;
        let policy = refused.policy;
        let refusal = v1::Refused {
            conditions: told(&refused.conditions),
            policy_version: policy
                .map(|(version, _)| version.to_string())
                .unwrap_or_default(),
            policy_digest: policy
                .map(|(_, digest)| digest.as_bytes().to_vec())
                .unwrap_or_default(),
        };
        self.send_decision(id, Decision::Refused(refusal), due);
        Ok(())
    }

    pub(super) fn not_ready(
        &mut self,
        id: &str,
        offer: &Offer,
        reason: &str,
        due: Option<Instant>,
    ) -> Result<(), AgentFault> {
        warn!(study = id, "not ready; this silo's own log says why");
        self.release_reservation(id)?;
        let details = [("reason", reason)];
        self.own_log
            .record_study(EventKind::StudyNotReady, id, Outcome::Failed, &details)?;
        if let Ok(study) = Study::parse(&offer.study) {
            self.journal
                .record_not_ready(id, &offer.researcher, &study.heading.data)?;
        }
        self.journal.record_state(id, &StudyState::NotReady)?;
        self.send_state(id, &StudyState::NotReady, due);
        Ok(())
    }

    pub(super) fn send_state(&mut self, id: &str, state: &StudyState, due: Option<Instant>) {
        let decision = match state {
            StudyState::AwaitingApproval | StudyState::Offered => Decision::Pending(v1::Pending {}),
            StudyState::Granted => Decision::Granted(v1::Granted {}),
            StudyState::NotReady | StudyState::Ended { .. } => Decision::NotReady(v1::NotReady {}),
            StudyState::Refused { conditions } => return self.send_refusal(id, conditions, due),
        };
        self.send_decision(id, decision, due);
    }

    pub(super) fn send_refusal(
        &mut self,
        id: &str,
        conditions: &[(String, String)],
        due: Option<Instant>,
    ) {
        let refused = v1::Refused {
            conditions: told(conditions),
            ..v1::Refused::default()
        };
        self.send_decision(id, Decision::Refused(refused), due);
    }

    fn send_decision(&mut self, id: &str, decision: Decision, due: Option<Instant>) {
        let consent = v1::Consent {
            study_id: id.to_owned(),
            decision: Some(decision),
        };
        self.answer(due, silo_frame::Frame::Consent(consent));
    }
}

fn told(conditions: &[(String, String)]) -> Vec<v1::Condition> {
    conditions
        .iter()
        .map(|(rule, text)| v1::Condition {
            rule: rule.clone(),
            text: text.clone(),
        })
        .collect()
}
