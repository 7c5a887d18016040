// SPDX-License-Identifier: Apache-2.0
//! Offering a study until every silo has agreed, or one has not.

use super::{Ending, RunFault, StudyRun, cancel_queued, word};
use crate::federation::unix_milliseconds;
use crate::input::Input;
use crate::log_keeper::now;
use crate::study::{Answer, Refusal, StudyState};
use consilium_audit::{Actor, Event, EventKind, Outcome};
use consilium_crypto::digest::Digest;
use consilium_protocol::SiloName;
use consilium_wire::v1;
use consilium_wire::v1::consent::Decision;
use consilium_wire::v1::coordinator_frame::Frame;
use std::time::Duration;

/// The longest list of conditions that an entry of the log carries.
const CONDITIONS_IN_LOG: usize = 16;

impl StudyRun<'_> {
    /// Offers the study until every silo has agreed, or one has not.
    pub(super) async fn gather_consent(&mut self) -> Result<Option<Ending>, RunFault> {
        for silo in self.study.invited.clone() {
            self.offer(&silo);
        }
        self.show("");
        let deadline = self.deadline_milliseconds();
        loop {
            if self.study.is_agreed() {
                self.study.state = StudyState::Running;
                self.save().await?;
                return Ok(None);
            }
            let left = Duration::from_millis(deadline.saturating_sub(unix_milliseconds()));
            let input = tokio::select! {
                input = self.inputs.recv() => input,
                Some(_) = self.catch_ups.next(), if !self.catch_ups.is_empty() => continue,
                () = tokio::time::sleep(left) => {
                    let reason = self.unanswered();
                    return Ok(Some(Ending::Refused(reason)));
                }
            };
            let Some(input) = input else {
                return Ok(Some(Ending::Stopping));
            };
            match input {
                Input::Opened(silo) => {
                    self.catch_ups
                        .begin(self.federation, &silo, Some(&self.study));
                    self.offer(&silo);
                    self.show("");
                }
                Input::Gone(_) => self.show(""),
                Input::Consent { from, consent } if consent.study_id == self.study.id => {
                    if let Some(ending) = self.take_consent(&from, consent).await? {
                        return Ok(Some(ending));
                    }
                    self.show("");
                }
                Input::Declined {
                    from,
                    study_id,
                    reason,
                } if study_id == self.study.id => {
                    return Ok(Some(Ending::Refused(format!(
                        "`{from}` declined: {}",
                        word(&reason)
                    ))));
                }
                Input::Cancel { study_id, reason } if study_id == self.study.id => {
                    return Ok(Some(Ending::Cancelled(reason)));
                }
                Input::Cancel { study_id, reason } => {
                    cancel_queued(self.federation, study_id, reason).await?;
                }
                Input::Stop => return Ok(Some(Ending::Stopping)),
                Input::Consent { .. }
                | Input::Delivered { .. }
                | Input::Spooled { .. }
                | Input::Declined { .. }
                | Input::Submitted => {}
            }
        }
    }

    fn offer(&self, silo: &SiloName) {
        if self.study.invited.binary_search(silo).is_err()
            || self.study.answers.get(silo) == Some(&Answer::Granted)
        {
            return;
        }
        let offer = v1::StudyOffer {
            study_id: self.study.id.clone(),
            study: self.study.bytes.clone(),
            researcher: self.study.researcher.clone(),
            signature: data_encoding::HEXLOWER
                .decode(self.study.signature.as_bytes())
                .unwrap_or_default(),
            invited: self.study.invited.iter().map(SiloName::to_string).collect(),
            deadline_milliseconds: self.deadline_milliseconds(),
        };
        self.federation.sessions.send(silo, Frame::Offer(offer));
    }

    fn deadline_milliseconds(&self) -> u64 {
        let hours = u64::from(self.admitted.study.heading.deadline_hours);
        self.study
            .submitted_milliseconds
            .saturating_add(hours * 3_600_000)
    }

    fn unanswered(&self) -> String {
        let silent = self.study.invited.iter().filter(|silo| {
            self.study
                .answers
                .get(*silo)
                .is_none_or(|answer| *answer != Answer::Granted)
        });
        let silent: Vec<String> = silent.map(|silo| format!("`{silo}`")).collect();
        format!("no answer by the deadline from {}", silent.join(", "))
    }

    /// Takes one silo's answer. The first that does not agree ends the study.
    async fn take_consent(
        &mut self,
        from: &SiloName,
        consent: v1::Consent,
    ) -> Result<Option<Ending>, RunFault> {
        let invited = self.study.invited.binary_search(from).is_ok();
        let decided = self
            .study
            .answers
            .get(from)
            .is_some_and(|answer| *answer != Answer::Pending);
        let Some(decision) = consent.decision.filter(|_| invited && !decided) else {
            return Ok(None);
        };
        let (answer, event) = match &decision {
            Decision::Granted(_) => (Answer::Granted, EventKind::StudyConsented),
            Decision::Refused(_) => (Answer::Refused, EventKind::StudyRefused),
            Decision::NotReady(_) => (Answer::NotReady, EventKind::StudyNotReady),
            Decision::Pending(_) => (Answer::Pending, EventKind::StudyApprovalRequested),
        };
        if self.study.answers.insert(from.clone(), answer) == Some(answer) {
            return Ok(None);
        }
        let mut event =
            Event::new(event, now(), Actor::silo(from.as_str())).with_study(self.reference());
        let ending = match decision {
            Decision::Granted(_) | Decision::Pending(_) => None,
            Decision::NotReady(_) => {
                event = event.with_outcome(Outcome::Refused);
                Some(Ending::Refused(format!("`{from}` is not ready")))
            }
            Decision::Refused(refused) => {
                event = refusal_event(event, &refused);
                let refusal = Refusal {
                    silo: from.clone(),
                    conditions: refused
                        .conditions
                        .into_iter()
                        .map(|condition| (condition.rule, condition.text))
                        .collect(),
                    policy_version: refused.policy_version,
                };
                self.study.refusals.push(refusal);
                Some(Ending::Refused(format!("refused by `{from}`")))
            }
        };
        self.federation.log.append_one(event).await?;
        self.save().await?;
        Ok(ending)
    }
}

fn refusal_event(event: Event, refused: &v1::Refused) -> Event {
    let mut event = event.with_outcome(Outcome::Refused);
    for (number, condition) in (1..=CONDITIONS_IN_LOG).zip(&refused.conditions) {
        let text: String = condition.text.chars().take(300).collect();
        event = event.with_detail(
            format!("condition_{number:02}"),
            format!("{}: {text}", condition.rule),
        );
    }
    let version = refused.policy_version.trim_start_matches('v').parse();
    match (version, Digest::try_from(refused.policy_digest.as_slice())) {
        (Ok(version), Ok(digest)) => event.with_policy(version, digest),
        (Err(_), _) | (_, Err(_)) => event,
    }
}
