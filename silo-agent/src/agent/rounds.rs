// SPDX-License-Identifier: Apache-2.0
//! The rounds of a study: the coordinator's messages in, and what the state machine asks for done.

use std::time::{Duration, Instant};

use consilium_audit::entry::{EventKind, Outcome};
use consilium_crypto::digest::Digest;
use consilium_crypto::mersenne::Element;
use consilium_crypto::secret::Secret;
use consilium_protocol::{
    AttemptId, Envelope, Fault, READY_GRID_MILLISECONDS, RoundPlan, SiloEffect, SiloEvent,
};
use consilium_wire::v1;
use tracing::warn;

use super::accusing::against_the_coordinator;
use super::uploads::RunningUpload;
use super::{Agent, AgentFault, Delayed, Input, computing};
use crate::coordinator_link::Session;
use crate::crash::CrashPlace;
use crate::explain;
use crate::ledger::{LedgerFault, job_name};

impl Agent {
    /// A signed message of the coordinator.
    ///
    /// SECURITY: the frame's study is not signed. What an attempt is about was settled when this silo accepted its Open;
    /// no later frame can say otherwise.
    pub(super) fn protocol_message(
        &mut self,
        message: v1::ProtocolMessage,
    ) -> Result<(), AgentFault> {
        let study = message.study_id.clone();
        let delivery = match message.into_delivery() {
            Ok(delivery) => delivery,
            Err(fault) => {
                warn!("a message of the coordinator was discarded: {fault}");
                return Ok(());
            }
        };
        let own = delivery
            .envelope
            .peek_attempt()
            .and_then(|id| self.study_of(id));
        if own.as_ref().is_some_and(|own| *own != study) {
            warn!(
                study,
                "a message was discarded: its attempt belongs to another study"
            );
            return Ok(());
        }
        match (delivery.envelope.peek_name(), own) {
            (Some("Open"), _) => self.opened(&study, delivery),
            (Some("Release"), _) => self.released(&study, delivery),
            (Some("Replay"), Some(own)) => {
                self.step(&own, SiloEvent::Delivered(delivery))?;
                self.resume_replay(&own)
            }
            (Some(_), Some(own)) => self.step(&own, SiloEvent::Delivered(delivery)),
            (Some(name), None) => {
                warn!(
                    study,
                    name, "a message was discarded: its attempt is not in progress"
                );
                Ok(())
            }
            (None, _) => {
                warn!("a message of the coordinator was discarded: it cannot be read");
                Ok(())
            }
        }
    }

    pub(super) fn perform(&mut self, study: &str, effect: SiloEffect) -> Result<(), AgentFault> {
        match effect {
            SiloEffect::Send(delivery) => self.send_protocol(study, delivery),
            SiloEffect::SendOnGrid(delivery) => {
                let due = self.next_grid_time();
                // Asked for again, it waits once.
                if self
                    .delayed
                    .iter()
                    .all(|waiting| waiting.delivery != delivery)
                {
                    self.delayed.push(Delayed {
                        due,
                        study: study.to_owned(),
                        delivery,
                    });
                }
            }
            SiloEffect::Train(plan) => return self.train(study, &plan),
            SiloEffect::Mask(job) => {
                let (files, inputs, id) = (self.files.clone(), self.inputs.clone(), job.plan().id);
                std::thread::spawn(move || {
                    let outcome = computing::mask(&files, &job).map_err(|fault| explain(&fault));
                    inputs.send(Input::Masked { id, outcome })
                });
            }
            SiloEffect::Tag(job) => {
                let (files, inputs, id) = (self.files.clone(), self.inputs.clone(), job.plan().id);
                std::thread::spawn(move || {
                    let outcome = computing::tag(&files, job).map_err(|fault| explain(&fault));
                    inputs.send(Input::Tagged { id, outcome })
                });
            }
            SiloEffect::Replay(job) => self.replay(job),
            SiloEffect::Upload { id, root, signed } => self.upload(study, id, root, signed),
            // The step that erased them from the machine has erased their file.
            SiloEffect::EraseSecrets => {}
            SiloEffect::Finished(verified) => return self.finished(study, &verified),
            SiloEffect::Aborted {
                id,
                fault,
                evidence,
            } => return self.aborted(study, id, &fault, &evidence),
            SiloEffect::Refused { id, fault, message } => {
                return self.refused(study, id, &fault, message);
            }
            SiloEffect::Rejected(fault) => {
                warn!(study, "a message was discarded: {}", explain(&fault))
            }
        }
        Ok(())
    }

    /// The grid runs from the arrival of Open, so that the time of training does not show.
    pub(super) fn next_grid_time(&self) -> Instant {
        let (opened, grid) = self.attempt.as_ref().map_or_else(
            || (Instant::now(), READY_GRID_MILLISECONDS),
            |attempt| (attempt.opened, attempt.plan.ready_grid_milliseconds),
        );
        let grid = u128::from(grid.max(1));
        let next = (opened.elapsed().as_millis() / grid + 1) * grid;
        opened + Duration::from_millis(u64::try_from(next).unwrap_or(0))
    }

    fn train(&mut self, study: &str, plan: &RoundPlan) -> Result<(), AgentFault> {
        let order = match self.training_order(study, plan) {
            Ok(order) => order,
            Err(reason) => return self.give_up(plan.id, study, &reason),
        };
        let (files, trainer, inputs, id) = (
            self.files.clone(),
            self.trainer.clone(),
            self.inputs.clone(),
            plan.id,
        );
        std::thread::spawn(move || {
            let outcome =
                computing::prepare(&files, &trainer, id, order).map_err(|fault| explain(&fault));
            inputs.send(Input::Prepared { id, outcome })
        });
        Ok(())
    }

    /// The protected vector is stored.
    pub(super) fn prepared(
        &mut self,
        id: AttemptId,
        outcome: Result<computing::Prepared, String>,
    ) -> Result<(), AgentFault> {
        let Some(study) = self.study_of(id) else {
            // It may have been stored when its attempt was over.
            return Ok(self.files.erase(id)?);
        };
        match outcome {
            Ok(computing::Prepared {
                input,
                facts,
                failed,
            }) => {
                if let Some(facts) = facts {
                    self.log_facts(&study, &facts)?;
                }
                if let Some(reason) = failed {
                    self.log_failed_trainer(&study, id, &reason)?;
                }
                self.step(&study, SiloEvent::Prepared { id, input })
            }
            Err(reason) => self.give_up(id, &study, &reason),
        }
    }

    /// SECURITY: in the hospital's own log alone. Operators see the attempt go on as any other.
    fn log_failed_trainer(
        &mut self,
        study: &str,
        id: AttemptId,
        reason: &str,
    ) -> Result<(), AgentFault> {
        let words = format!("the trainer failed, and noise alone was contributed: {reason}");
        let details = [("reason", words.as_str())];
        Ok(self.own_log.record_attempt(
            EventKind::DataSetWarned,
            study,
            id,
            Outcome::Failed,
            &details,
        )?)
    }

    /// The masked vector is spooled: charge the attempt, burn the masks on it, and only then let it leave.
    pub(super) fn masked(
        &mut self,
        id: AttemptId,
        outcome: Result<(Digest, u64), String>,
    ) -> Result<(), AgentFault> {
        let Some(study) = self.study_of(id) else {
            return Ok(self.files.erase(id)?);
        };
        let (root, length) = match outcome {
            Ok(spooled) => spooled,
            Err(reason) => return self.give_up(id, &study, &reason),
        };
        let Some(record) = self.journal.study(&study)? else {
            return Ok(());
        };
        let terms = match self.terms_of(&record) {
            Ok(terms) => terms,
            Err(fault) => return self.give_up(id, &study, &explain(&fault)),
        };
        if terms.study.is_noised() {
            // Of the machine: it is the plan that the masks are spent on.
            let plan = self.machine.plan();
            let model = terms.model(record.model.as_deref());
            let stage = plan
                .zip(model.ok())
                .and_then(|(plan, model)| terms.stage_of(plan, &model));
            let Some(stage) = stage else {
                return self.give_up(id, &study, "the vector is none of the study's");
            };
            let job = job_name(&study, stage);
            match self
                .ledger
                .commit(&mut self.journal, &job, &attempt_name(id))
            {
                Ok(()) => {}
                Err(LedgerFault::Refused(refusal)) => {
                    return self.give_up(id, &study, &explain(&refusal));
                }
                Err(fault) => return Err(fault.into()),
            }
            self.crash_at(CrashPlace::LedgerCommitted);
            self.own_log.record_attempt(
                EventKind::PrivacyCommitted,
                &study,
                id,
                Outcome::Success,
                &[],
            )?;
        }
        self.step(&study, SiloEvent::Masked { id, root, length })
    }

    /// The challenge is answered.
    pub(super) fn tagged(
        &mut self,
        id: AttemptId,
        outcome: Result<Secret<Element>, String>,
    ) -> Result<(), AgentFault> {
        let Some(study) = self.study_of(id) else {
            return Ok(());
        };
        match outcome {
            Ok(product) => self.step(&study, SiloEvent::Tagged { id, product }),
            // Without this tag the survivors compute the sum again.
            Err(reason) => {
                warn!(%study, "no tag is sent: {reason}");
                Ok(())
            }
        }
    }

    /// The coordinator has the whole upload on its disk.
    pub(super) fn uploaded(
        &mut self,
        id: AttemptId,
        session: &Session,
        outcome: Result<(), String>,
    ) -> Result<(), AgentFault> {
        let is_this = |running: &RunningUpload| running.is(id, session);
        if self.upload.as_ref().is_some_and(is_this) {
            self.upload = None;
        }
        match outcome {
            Ok(()) if self.study_of(id).is_some() => self.crash_at(CrashPlace::Uploaded),
            Ok(()) => {}
            Err(reason) => warn!(%id, "the upload ended early: {reason}"),
        }
        Ok(())
    }

    /// Ends the attempt because this silo cannot go on; the reason stays here.
    pub(super) fn give_up(
        &mut self,
        id: AttemptId,
        study: &str,
        reason: &str,
    ) -> Result<(), AgentFault> {
        self.decline(study, "not_ready", reason)?;
        self.show_attempt(id, "sat out: not ready; this silo's own log says why")?;
        self.step(
            study,
            SiloEvent::Abandon {
                id,
                reason: "this silo cannot go on".to_owned(),
            },
        )
    }

    fn aborted(
        &mut self,
        study: &str,
        id: AttemptId,
        fault: &Fault,
        evidence: &[Envelope],
    ) -> Result<(), AgentFault> {
        let reason = explain(fault);
        warn!(study, %id, "this silo sits the attempt out: {reason}");
        // What ends an attempt here comes from messages and the journal, never from the data.
        self.show_attempt(id, &format!("sat out: {reason}"))?;
        if is_misbehaviour(fault) {
            let evidence = against_the_coordinator(fault, evidence);
            self.accuse_the_coordinator(study, id, &reason, &evidence)?;
        } else {
            let details = [("reason", reason.as_str())];
            self.own_log.record_attempt(
                EventKind::RoundAbandoned,
                study,
                id,
                Outcome::Failed,
                &details,
            )?;
        }
        self.own_log.sign_head()?;
        Ok(self.files.erase(id)?)
    }

    /// Tells this silo's operators what became of an attempt, for `status`.
    ///
    /// SECURITY: they need not be allowed to see what comes from the data: that is in the hospital's own log alone.
    pub(super) fn show_attempt(&mut self, id: AttemptId, what: &str) -> Result<(), AgentFault> {
        let words = format!("{} {what}", attempt_name(id));
        Ok(self.journal.set_status("attempt", &words)?)
    }

    /// The study that an attempt in flight belongs to.
    pub(super) fn study_of(&self, id: AttemptId) -> Option<String> {
        self.attempt
            .as_ref()
            .filter(|attempt| attempt.plan.id == id)
            .map(|attempt| attempt.study.clone())
    }
}

/// Whether a fault is evidence against somebody, or what befalls a silo that crashed or came late.
fn is_misbehaviour(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::Abandoned(_)
            | Fault::SecretsGone(_)
            | Fault::LeftOut { .. }
            | Fault::StaleAttempt { .. }
            | Fault::StartNotLogged
            | Fault::ReleaseNotLogged
    )
}

/// The attempt as the ledger names it.
pub(super) fn attempt_name(id: AttemptId) -> String {
    id.to_string()
}
