// SPDX-License-Identifier: Apache-2.0
//! Studies offered, answered and ended. An answer is in the journal before it is sent, and is given once.

use consilium_audit::entry::{EventKind, Outcome, PrivacyStatement};
use consilium_learning::study::Privacy;
use consilium_policies::{Approval, Date};
use consilium_protocol::SiloEvent;
use consilium_wire::v1::{self, consent::Decision, silo_frame};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::{info, warn};

use super::{Agent, AgentFault, now_milliseconds};
use crate::consent::{ConsentFault, Desk, Permitted, Refused, Verdict, study_reference};
use crate::explain;
use crate::journal::{Answer, Offer, StudyState};
use crate::ledger::LedgerFault;
use crate::own_log::with_details;
use crate::trainer_child::pipe::TableFacts;

impl Agent {
    /// A study is offered, for the first time or again after a lost session.
    pub(super) fn offered(&mut self, offer: v1::StudyOffer) -> Result<(), AgentFault> {
        let id = offer.study_id;
        if id.is_empty() || id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            warn!("a study was offered under an identifier that is none");
            return Ok(());
        }
        let offer = Offer {
            study: offer.study,
            researcher: offer.researcher,
            signature: offer.signature,
            invited: offer.invited,
            deadline_milliseconds: offer.deadline_milliseconds,
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
            self.send_refusal(&id, &refused.conditions);
            return Ok(());
        }
        match record.state {
            StudyState::Offered => self.decide(&id, &record.offer, None),
            StudyState::AwaitingApproval | StudyState::Granted | StudyState::NotReady => {
                self.send_state(&id, &record.state);
                Ok(())
            }
            StudyState::Refused { conditions } => {
                self.send_refusal(&id, &conditions);
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
        if let Some(attempt) = self.attempt.clone().filter(|attempt| attempt.study == *id) {
            let reason = "the study has ended".to_owned();
            self.step(
                id,
                SiloEvent::Abandon {
                    id: attempt.plan.id,
                    reason,
                },
            )?;
            self.files.erase(attempt.plan.id)?;
        }
        if self.ledger.release(&mut self.journal, id)? {
            self.own_log
                .record_study(EventKind::PrivacyReleased, id, Outcome::Success, &[])?;
        }
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
                    self.refuse(&record.id, &refused)?;
                }
                None if now_milliseconds() >= approval.deadline_milliseconds => {
                    let statement = "nobody at this hospital approved before the study's deadline";
                    self.refuse(&record.id, &Refused::by_rule("approval", statement))?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Decides about a study; `approved_by` is the person who has said yes, if one has.
    fn decide(
        &mut self,
        id: &str,
        offer: &Offer,
        approved_by: Option<&str>,
    ) -> Result<(), AgentFault> {
        let policy = self.folder.policy();
        let (date, hour) = today();
        let desk = Desk {
            silo: self.name.as_str(),
            roster: &self.roster,
            membership: &self.membership,
            policy: &policy,
            data_sets: &self.data_sets,
            journal: &self.journal,
            ledger: &self.ledger,
            trainer: &self.trainer,
            isolation: self.isolation,
            date,
            hour,
        };
        let verdict = match desk.consider(id, offer) {
            Ok(verdict) => verdict,
            Err(ConsentFault::Journal(fault)) => return Err(fault.into()),
        };
        match verdict {
            Verdict::Refused(refused) => self.refuse(id, &refused),
            Verdict::NotReady(reason) => self.not_ready(id, &reason),
            Verdict::Permitted(permitted) => {
                self.log_facts(id, &permitted.facts)?;
                match (permitted.permit.approval, approved_by) {
                    (Approval::Person, None) => self.ask_person(id, offer, &permitted),
                    (Approval::Person | Approval::Automatic, approved_by) => {
                        self.grant(id, &permitted, approved_by)
                    }
                }
            }
        }
    }

    fn ask_person(
        &mut self,
        id: &str,
        offer: &Offer,
        permitted: &Permitted,
    ) -> Result<(), AgentFault> {
        let heading = &permitted.terms.study.heading;
        let summary = format!(
            "`{}` by {} on `{}`: {}, purpose {}, ethics {}; {}",
            heading.name,
            heading.researcher,
            heading.data,
            permitted.terms.study.analysis.kind(),
            heading.purpose,
            heading.ethics,
            permitted.permit
        );
        self.journal
            .ask_approval(id, &summary, offer.deadline_milliseconds)?;
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
        self.send_state(id, &StudyState::AwaitingApproval);
        Ok(())
    }

    /// Sets the budget aside, and only then consents.
    fn grant(
        &mut self,
        id: &str,
        permitted: &Permitted,
        approved_by: Option<&str>,
    ) -> Result<(), AgentFault> {
        let Permitted {
            permit,
            terms,
            policy,
            ..
        } = permitted;
        let data = &terms.study.heading.data;
        if terms.study.is_noised() {
            let Some(limit) = policy.policy.budget(data) else {
                return self.refuse(
                    id,
                    &Refused::by_rule("budget", "this policy sets none for the data set"),
                );
            };
            match self
                .ledger
                .reserve(&mut self.journal, data, limit, id, &terms.vector)
            {
                Ok(()) => {}
                Err(
                    fault @ (LedgerFault::Refused(_)
                    | LedgerFault::Budget(_)
                    | LedgerFault::OtherBudget { .. }
                    | LedgerFault::Unpriced(_)),
                ) => return self.refuse(id, &Refused::by_rule("budget", explain(&fault))),
                Err(fault) => return Err(fault.into()),
            }
        }
        let reference = study_reference(id, &terms.study, permit);
        if let Privacy::Distributed(noise) = &terms.study.privacy {
            let reserved = self
                .own_log
                .event(EventKind::PrivacyReserved)?
                .with_study(reference.clone());
            let reserved = reserved
                .with_object(data.clone())
                .with_privacy(PrivacyStatement {
                    unit: "patient".to_owned(),
                    accountant: "rdp".to_owned(),
                    epsilon: noise.epsilon.to_string(),
                    delta: noise.delta.to_string(),
                    spent: self
                        .ledger
                        .account(data)
                        .map(|account| account.committed_share().to_string()),
                    limit: None,
                });
            self.own_log.record(&reserved)?;
        }
        let kept = self.own_log.keep(&policy.bytes)?;
        let consented = self
            .own_log
            .event(EventKind::StudyConsented)?
            .with_study(reference)
            .with_object(data.clone())
            .on_behalf_of(terms.study.heading.researcher.clone())
            .with_policy(u64::from(policy.policy.version), kept);
        let by = approved_by.unwrap_or("policy");
        self.own_log.record(&with_details(
            consented,
            &[("grant", &permit.grant), ("approved_by", by)],
        ))?;
        self.journal.record_state(id, &StudyState::Granted)?;
        info!(study = id, "consented: {permit}");
        self.send_state(id, &StudyState::Granted);
        Ok(())
    }

    fn refuse(&mut self, id: &str, refused: &Refused) -> Result<(), AgentFault> {
        let conditions = refused.own_log.join("; ");
        info!(study = id, "refused: {conditions}");
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
        self.send(silo_frame::Frame::Consent(v1::Consent {
            study_id: id.to_owned(),
            decision: Some(Decision::Refused(v1::Refused {
                conditions: told(&refused.conditions),
                policy_version: policy
                    .map(|(version, _)| version.to_string())
                    .unwrap_or_default(),
                policy_digest: policy
                    .map(|(_, digest)| digest.as_bytes().to_vec())
                    .unwrap_or_default(),
            })),
        }));
        Ok(())
    }

    fn not_ready(&mut self, id: &str, reason: &str) -> Result<(), AgentFault> {
        warn!(study = id, "not ready: {reason}");
        let details = [("reason", reason)];
        self.own_log
            .record_study(EventKind::StudyNotReady, id, Outcome::Failed, &details)?;
        self.journal.record_state(id, &StudyState::NotReady)?;
        self.send_state(id, &StudyState::NotReady);
        Ok(())
    }

    fn send_state(&self, id: &str, state: &StudyState) {
        let decision = match state {
            StudyState::AwaitingApproval | StudyState::Offered => Decision::Pending(v1::Pending {}),
            StudyState::Granted => Decision::Granted(v1::Granted {}),
            StudyState::NotReady | StudyState::Ended { .. } => Decision::NotReady(v1::NotReady {}),
            StudyState::Refused { conditions } => return self.send_refusal(id, conditions),
        };
        self.send(silo_frame::Frame::Consent(v1::Consent {
            study_id: id.to_owned(),
            decision: Some(decision),
        }));
    }

    fn send_refusal(&self, id: &str, conditions: &[(String, String)]) {
        self.send(silo_frame::Frame::Consent(v1::Consent {
            study_id: id.to_owned(),
            decision: Some(Decision::Refused(v1::Refused {
                conditions: told(conditions),
                ..v1::Refused::default()
            })),
        }));
    }

    /// Patient counts and warnings, for the hospital's own log.
    pub(super) fn log_facts(&mut self, study: &str, facts: &TableFacts) -> Result<(), AgentFault> {
        if facts.warnings.is_empty() {
            return Ok(());
        }
        let (patients, warnings) = (facts.patients.to_string(), facts.warnings.join("; "));
        warn!(study, "the data set deserves a look: {warnings}");
        let details = [
            ("patients", patients.as_str()),
            ("warnings", warnings.as_str()),
        ];
        Ok(self.own_log.record_study(
            EventKind::DataSetWarned,
            study,
            Outcome::Success,
            &details,
        )?)
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

/// Date and hour in UTC. A clock that no calendar holds reads as the last day of all, when no approval holds any more.
pub(super) fn today() -> (Date, u8) {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let part = |value: i8| u8::try_from(value).unwrap_or(u8::MAX);
    let date = u16::try_from(now.year())
        .ok()
        .and_then(|year| Date::new(year, part(now.month()), part(now.day())).ok());
    match (date, Date::new(9999, 12, 31)) {
        (Some(date), _) | (None, Ok(date)) => (date, part(now.hour())),
        (None, Err(_)) => std::process::abort(),
    }
}
