// SPDX-License-Identifier: Apache-2.0
//! What people of the hospital decide: approvals, refusals, and consents that they take back.

use std::time::Instant;

use consilium_audit::entry::{EventKind, Outcome};
use consilium_wire::v1::{self, silo_frame};
use tracing::info;

use super::deciding::today;
use super::{Agent, AgentFault, now_milliseconds};
use crate::consent::{Permitted, Refused};
use crate::journal::{Answer, Offer, StudyState};

impl Agent {
    /// Answers of people, and questions that nobody answered in time.
    pub(super) fn poll_approvals(&mut self) -> Result<(), AgentFault> {
        for approval in self.journal.approvals()? {
            let Some(record) = self.journal.study(&approval.study)? else {
                continue;
            };
            if record.state != StudyState::AwaitingApproval {
                continue;
            }
            match &approval.answer {
                Some(Answer::Approved { person }) => {
                    self.decide(&record.id, &record.offer, Some(person))?
                }
                Some(Answer::Refused { person, reason }) => {
                    let mut refused =
                        Refused::by_rule("approval", "a person at this hospital refused");
                    refused.own_log = vec![format!("`{person}` refused: {reason}")];
                    self.refuse(&record.id, &refused, None)?;
                }
                None if now_milliseconds() >= approval.deadline_milliseconds => {
                    let statement = "nobody at this hospital approved before the study's deadline";
                    let refused = Refused::by_rule("approval", statement);
                    self.refuse(&record.id, &refused, None)?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Consents that people took back: the attempt in flight ends, and what was not spent is free again.
    pub(super) fn poll_withdrawals(&mut self) -> Result<(), AgentFault> {
        for (study, person, reason) in self.journal.withdrawals()? {
            let granted = self
                .journal
                .study(&study)?
                .is_some_and(|record| record.state == StudyState::Granted);
            if granted {
                self.withdraw(&study, &person, &reason)?;
            }
            self.journal.forget_withdrawal(&study)?;
        }
        Ok(())
    }

    fn withdraw(&mut self, study: &str, person: &str, reason: &str) -> Result<(), AgentFault> {
        self.abandon_attempt_of(study, "consent was withdrawn")?;
        self.release_reservation(study)?;
        let details = [
            ("outcome", "withdrawn"),
            ("person", person),
            ("reason", reason),
        ];
        self.own_log
            .record_study(EventKind::StudyCancelled, study, Outcome::Failed, &details)?;
        let outcome = "withdrawn".to_owned();
        self.journal
            .record_state(study, &StudyState::Ended { outcome })?;
        self.terms.remove(study);
        info!(study, "consent was withdrawn");
        let declined = v1::Declined {
            study_id: study.to_owned(),
            reason: "withdrawn".to_owned(),
        };
        self.answer(None, silo_frame::Frame::Declined(declined));
        Ok(self.own_log.sign_head()?)
    }

    pub(super) fn ask_person(
        &mut self,
        id: &str,
        offer: &Offer,
        permitted: &Permitted,
        due: Option<Instant>,
    ) -> Result<(), AgentFault> {
        let heading = &permitted.terms.study.heading;
        let mut summary = format!(
            "`{}` by {} on `{}`: {}, purpose {}, ethics {}; {}",
            heading.name,
            heading.researcher,
            heading.data,
            permitted.terms.study.analysis.kind(),
            heading.purpose,
            heading.ethics,
            permitted.permit
        );
        if let Some(reason) = &permitted.first_ask {
            summary.push_str("; ");
            summary.push_str(reason);
        }
        let policy = self.folder.policy();
        let (date, hour) = today();
        let terms = self.desk(&policy, date, hour).approval_terms(id, permitted);
        self.journal
            .ask_approval(id, &summary, &terms, offer.deadline_milliseconds)?;
        self.journal
            .record_state(id, &StudyState::AwaitingApproval)?;
        let details = [("summary", summary.as_str())];
        self.own_log.record_study(
            EventKind::StudyApprovalRequested,
            id,
            Outcome::Success,
            &details,
        )?;
        info!(study = id, "waits for a person: `silo approvals list`");
        self.send_state(id, &StudyState::AwaitingApproval, due);
        Ok(())
    }
}
