// SPDX-License-Identifier: Apache-2.0
//! Offering a study until every silo has agreed, or one has not.

use super::{Halt, StudyRun, word};
use crate::federation::unix_milliseconds;
use crate::input::Input;
use crate::log_keeper::{clamp, now};
use crate::study::{Answer, Refusal, StudyState};
use consilium_audit::{Actor, Event, EventKind};
use consilium_crypto::digest::Digest;
use consilium_protocol::SiloName;
use consilium_wire::v1;
use consilium_wire::v1::consent::Decision;
use consilium_wire::v1::coordinator_frame::Frame;
use std::time::Duration;

/// The most conditions of one refusal that are kept.
const CONDITIONS: usize = 64;

/// The most bytes of a rule's name, of a condition's words and of a policy's version that are kept.
const RULE_BYTES: usize = 100;
const WORDS_BYTES: usize = 1000;
const VERSION_BYTES: usize = 32;

impl StudyRun<'_> {
    /// Offers the study until every silo has agreed, or one has not.
    pub(super) async fn gather_consent(&mut self) -> Result<(), Halt> {
        for silo in self.study.invited.clone() {
            self.offer(&silo);
        }
        self.show("");
        let deadline = self.deadline_milliseconds();
        loop {
            if self.study.is_agreed() {
                self.study.state = StudyState::Running;
                return Ok(self.save().await?);
            }
            let left = Duration::from_millis(deadline.saturating_sub(unix_milliseconds()));
            let input = tokio::select! {
                input = self.inputs.recv() => input,
                Some(_) = self.catch_ups.next(), if !self.catch_ups.is_empty() => continue,
                () = tokio::time::sleep(left) => {
                    let reason = self.unanswered();
                    return Err(self.end(StudyState::Refused, reason, None).await?);
                }
            };
            match input.unwrap_or(Input::Stop) {
                Input::Consent { from, consent } => self.take_consent(from, consent).await?,
                Input::Declined {
                    from,
                    study_id,
                    reason,
                } if study_id == self.study.id => self.take_decline(from, &reason).await?,
                Input::Opened(silo) => {
                    self.take(Input::Opened(silo.clone())).await?;
                    self.offer(&silo);
                }
                other => self.take(other).await?,
            }
            self.show("");
        }
    }

    fn offer(&self, silo: &SiloName) {
        if !self.study.invites(silo) || self.study.answers.get(silo) == Some(&Answer::Granted) {
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

    /// An offer's time runs from the moment at which it was made, not while the study waited for its turn.
    fn deadline_milliseconds(&self) -> u64 {
        let hours = u64::from(self.admitted.study.heading.deadline_hours);
        self.study
            .offered_milliseconds
            .saturating_add(hours.saturating_mul(3_600_000))
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

    async fn take_decline(&mut self, from: SiloName, reason: &str) -> Result<(), Halt> {
        if !self.study.invites(&from) {
            return Ok(());
        }
        let reason = format!("`{from}` declined: {}", word(reason));
        Err(self.end(StudyState::Refused, reason, Some(from)).await?)
    }

    /// Takes one silo's answer. The first that does not agree ends the study: answer and ending are stored together.
    async fn take_consent(&mut self, from: SiloName, consent: v1::Consent) -> Result<(), Halt> {
        let decided = self
            .study
            .answers
            .get(&from)
            .is_some_and(|answer| *answer != Answer::Pending);
        let asked = consent.study_id == self.study.id && self.study.invites(&from);
        let Some(decision) = consent.decision.filter(|_| asked && !decided) else {
            return Ok(());
        };
        match decision {
            Decision::Granted(_) => {
                self.take_agreement(from, Answer::Granted, EventKind::StudyConsented)
                    .await
            }
            Decision::Pending(_) => {
                self.take_agreement(from, Answer::Pending, EventKind::StudyApprovalRequested)
                    .await
            }
            Decision::NotReady(_) => {
                self.study.answers.insert(from.clone(), Answer::NotReady);
                let reason = format!("`{from}` is not ready");
                Err(self.end(StudyState::Refused, reason, Some(from)).await?)
            }
            Decision::Refused(refused) => {
                self.study.answers.insert(from.clone(), Answer::Refused);
                self.study.refusals.push(refusal(from.clone(), &refused));
                let reason = format!("refused by `{from}`");
                Err(self.end(StudyState::Refused, reason, Some(from)).await?)
            }
        }
    }

    async fn take_agreement(
        &mut self,
        from: SiloName,
        answer: Answer,
        kind: EventKind,
    ) -> Result<(), Halt> {
        if self.study.answers.get(&from) == Some(&answer) {
            return Ok(());
        }
        let event =
            Event::new(kind, now(), Actor::silo(from.as_str())).with_study(self.reference());
        self.federation.log.append_one(event).await?;
        self.study.answers.insert(from, answer);
        Ok(self.save().await?)
    }
}

/// What is kept of a refusal. The words are the silo's: they are cut to what the record and the log bear.
fn refusal(silo: SiloName, refused: &v1::Refused) -> Refusal {
    let conditions = refused.conditions.iter().take(CONDITIONS);
    Refusal {
        silo,
        conditions: conditions
            .map(|condition| {
                (
                    clamp(&condition.rule, RULE_BYTES),
                    clamp(&condition.text, WORDS_BYTES),
                )
            })
            .collect(),
        policy_version: clamp(&refused.policy_version, VERSION_BYTES),
        policy_digest: Digest::try_from(refused.policy_digest.as_slice()).ok(),
    }
}
