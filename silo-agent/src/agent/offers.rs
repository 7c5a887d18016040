// SPDX-License-Identifier: Apache-2.0
//! Studies offered, answered and ended. An answer is in the journal before it is sent, and is given once.

use std::path::Path;
use std::time::{Duration, Instant};

use consilium_audit::entry::{EventKind, Outcome, PrivacyStatement};
use consilium_learning::study::Study;
use consilium_policies::{Approval, Date};
use consilium_protocol::SiloEvent;
use consilium_wire::StudyId;
use consilium_wire::v1::{self, consent::Decision, silo_frame};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::{info, warn};

use super::{Agent, AgentFault, Input, now_milliseconds};
use crate::consent::{ConsentFault, Desk, Permitted, Refused, Verdict, study_reference};
use crate::crash::{CrashPlace, CrashPoint};
use crate::explain;
use crate::journal::{Offer, StudyState};
use crate::ledger::LedgerFault;
use crate::own_log::with_details;
use crate::trainer_child::pipe::TableFacts;

/// What a trainer saw of the data for an undecided study.
#[derive(Debug)]
pub(crate) struct Checked {
    study: String,
    approved_by: Option<String>,
    since: Instant,
    outcome: Result<TableFacts, String>,
}

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

    /// Decides about a study; `approved_by` is the person who has said yes, if one has.
    pub(super) fn decide(
        &mut self,
        id: &str,
        offer: &Offer,
        approved_by: Option<&str>,
    ) -> Result<(), AgentFault> {
        if self.checking.contains(id) {
            return Ok(());
        }
        match self.consider(id, offer)? {
            Verdict::Refused(refused) => self.refuse(id, &refused, None),
            Verdict::NotReady(reason) => self.not_ready(id, offer, &reason, None),
            Verdict::Permitted(permitted) => match (&permitted.first_ask, approved_by) {
                (Some(_), None) => self.ask_person(id, offer, &permitted, None),
                (Some(_), Some(_)) | (None, _) => {
                    self.check(id, *permitted, approved_by);
                    Ok(())
                }
            },
        }
    }

    fn consider(&self, id: &str, offer: &Offer) -> Result<Verdict, AgentFault> {
        let policy = self.folder.policy();
        let (date, hour) = today();
        let desk = self.desk(&policy, date, hour);
        match desk.consider(id, offer) {
            Ok(verdict) => Ok(verdict),
            Err(ConsentFault::Journal(fault)) => Err(fault.into()),
        }
    }

    pub(super) fn desk<'a>(&'a self, policy: &'a Path, date: Date, hour: u8) -> Desk<'a> {
        Desk {
            silo: self.name.as_str(),
            roster: &self.roster,
            membership: &self.membership,
            policy,
            data_sets: &self.data_sets,
            journal: &self.journal,
            ledger: &self.ledger,
            isolation: self.isolation,
            date,
            hour,
        }
    }

    /// Has a trainer look at the data, on a thread of its own: rounds and cosignatures do not wait for a large table.
    fn check(&mut self, id: &str, permitted: Permitted, approved_by: Option<&str>) {
        let isolation = permitted.policy.policy.floor.isolation;
        let (trainer, inputs, job) = (self.trainer.clone(), self.inputs.clone(), permitted.job);
        let (study, approved_by) = (id.to_owned(), approved_by.map(str::to_owned));
        self.checking.insert(study.clone());
        let since = Instant::now();
        std::thread::spawn(move || {
            let outcome = trainer
                .check(job, isolation)
                .map_err(|fault| explain(&fault));
            inputs.send(Input::Checked(Checked {
                study,
                approved_by,
                since,
                outcome,
            }))
        });
    }

    /// A trainer has looked at the data. Everything else is decided again: it may have changed meanwhile.
    pub(super) fn checked(&mut self, checked: Checked) -> Result<(), AgentFault> {
        let Checked {
            study: id,
            approved_by,
            since,
            outcome,
        } = checked;
        self.checking.remove(&id);
        let Some(record) = self.journal.study(&id)? else {
            return Ok(());
        };
        if !matches!(
            record.state,
            StudyState::Offered | StudyState::AwaitingApproval
        ) {
            return Ok(());
        }
        let due = Some(next_on_grid(since, CONSENT_GRID));
        let permitted = match self.consider(&id, &record.offer)? {
            Verdict::Refused(refused) => return self.refuse(&id, &refused, due),
            Verdict::NotReady(reason) => return self.not_ready(&id, &record.offer, &reason, due),
            Verdict::Permitted(permitted) => permitted,
        };
        match outcome {
            Err(reason) => return self.not_ready(&id, &record.offer, &reason, due),
            Ok(facts) => self.log_facts(&id, &facts)?,
        }
        match (permitted.permit.approval, approved_by) {
            (Approval::Person, None) => self.ask_person(&id, &record.offer, &permitted, due),
            (Approval::Person | Approval::Automatic, approved_by) => {
                self.grant(&id, &permitted, approved_by.as_deref(), due)
            }
        }
    }

    /// Sets the budget aside, and only then consents.
    fn grant(
        &mut self,
        id: &str,
        permitted: &Permitted,
        approved_by: Option<&str>,
        due: Option<Instant>,
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
                let refused = Refused::by_rule("budget", "this policy sets none for the data set");
                return self.refuse(id, &refused, due);
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
                ) => {
                    let refused = Refused::by_rule("budget", explain(&fault));
                    return self.refuse(id, &refused, due);
                }
                Err(fault) => return Err(fault.into()),
            }
            CrashPoint::reached(self.crash_point, CrashPlace::LedgerReserved, 1);
        }
        let reference = study_reference(id, &terms.study, permit);
        if let Some(noise) = terms.study.privacy.promise() {
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
        self.send_state(id, &StudyState::Granted, due);
        Ok(())
    }

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

    pub(super) fn send_state(&mut self, id: &str, state: &StudyState, due: Option<Instant>) {
        let decision = match state {
            StudyState::AwaitingApproval | StudyState::Offered => Decision::Pending(v1::Pending {}),
            StudyState::Granted => Decision::Granted(v1::Granted {}),
            StudyState::NotReady | StudyState::Ended { .. } => Decision::NotReady(v1::NotReady {}),
            StudyState::Refused { conditions } => return self.send_refusal(id, conditions, due),
        };
        self.send_decision(id, decision, due);
    }

    fn send_refusal(&mut self, id: &str, conditions: &[(String, String)], due: Option<Instant>) {
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

    /// Patient counts and warnings, for the hospital's own log.
    pub(super) fn log_facts(&mut self, study: &str, facts: &TableFacts) -> Result<(), AgentFault> {
        if facts.warnings.is_empty() {
            return Ok(());
        }
        let (patients, warnings) = (facts.patients.to_string(), facts.warnings.join("; "));
        warn!(
            study,
            "the data set deserves a look; this silo's own log says why"
        );
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

/// When silence becomes a refusal: so many hours from now as the researcher signed for, whatever the coordinator says.
fn signed_deadline(study: &[u8]) -> u64 {
    let hours = Study::parse(study).map_or(0, |study| u64::from(study.heading.deadline_hours));
    now_milliseconds().saturating_add(hours.saturating_mul(3_600_000))
}

/// The next moment of the grid that begins at `since`, so that an answer does not tell how long a table took to read.
fn next_on_grid(since: Instant, grid: Duration) -> Instant {
    let passed = since.elapsed().as_millis() / grid.as_millis().max(1);
    let steps = u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1);
    since + grid.saturating_mul(steps)
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

/// Answers that follow a look at the data leave on this grid.
const CONSENT_GRID: Duration = Duration::from_secs(1);

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

    #[test]
    fn answers_wait_for_the_next_point_of_the_grid() {
        let since = Instant::now();
        let due = next_on_grid(since, Duration::from_secs(3600));
        assert_eq!(due, since + Duration::from_secs(3600));
        let earlier = since
            .checked_sub(Duration::from_millis(2500))
            .unwrap_or(since);
        let due = next_on_grid(earlier, Duration::from_secs(1));
        assert_eq!(due.saturating_duration_since(earlier).subsec_millis(), 0);
        assert!(due > since);
    }
}
