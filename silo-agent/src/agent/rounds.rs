// SPDX-License-Identifier: Apache-2.0
//! Drives the protocol's state machine: handle, persist, log, and only then act.

use std::sync::Arc;
use std::time::{Duration, Instant};

use consilium_audit::entry::{EventKind, Outcome};
use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_protocol::{
    AttemptId, Delivery, Envelope, Fault, READY_GRID_MILLISECONDS, RoundPlan, SiloEffect,
    SiloEvent, SiloMachine, peek_plan,
};
use consilium_wire::v1;
use tracing::warn;

use super::{ActiveAttempt, Agent, AgentFault, Delayed, Input, work};
use crate::crash::{CrashPlace, CrashPoint};
use crate::explain;
use crate::journal::{Advance, JournalFault, Step, StudyState};
use crate::ledger::LedgerFault;
use crate::randomness;

impl Agent {
    /// A signed message of the coordinator.
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
        match delivery.envelope.peek_name() {
            Some("Open") => self.opened(&study, delivery),
            Some("Release") => self.released(&study, delivery),
            Some(_) => self.step(&study, SiloEvent::Delivered(delivery)),
            None => {
                warn!("a message of the coordinator was discarded: it cannot be read");
                Ok(())
            }
        }
    }

    /// An Open: this silo derives the plan itself, from the study it consented to and its own model.
    fn opened(&mut self, study: &str, delivery: Delivery) -> Result<(), AgentFault> {
        let Some(offered) = peek_plan(&delivery) else {
            return Ok(());
        };
        let Some(record) = self.journal.study(study)? else {
            return self.decline(
                study,
                "unknown",
                "a round was opened for a study that was never offered",
            );
        };
        if record.state != StudyState::Granted {
            let reason = format!(
                "a round was opened for a study that is {}",
                record.state.word()
            );
            return self.decline(study, "not_consented", &reason);
        }
        let derived = self.terms_of(&record).and_then(|terms| {
            let model = terms.model(record.model.as_deref())?;
            Ok((
                Arc::clone(&terms),
                terms.plan(offered.id, &self.membership, &model)?,
            ))
        });
        let (terms, expected) = match derived {
            Ok(derived) => derived,
            Err(fault) => return self.decline(study, "not_ready", &explain(&fault)),
        };
        if terms.study.is_noised() {
            if !self.ledger.covers(study, &attempt_name(expected.id)) {
                return self.decline(
                    study,
                    "budget",
                    "no attempt that was set aside for the study is left",
                );
            }
        } else {
            match self
                .journal
                .bind_cohort(&terms.study.heading.data, &terms.invited_names())
            {
                Ok(()) => {}
                Err(fault @ JournalFault::OtherCohort { .. }) => {
                    return self.decline(study, "cohort", &fault.to_string());
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        self.shared_log.expect_release(record.last_release);
        self.step(study, SiloEvent::Opened { delivery, expected })
    }

    /// One step: nothing is sent or started before the journal and the log hold it.
    pub(super) fn step(&mut self, study: &str, event: SiloEvent) -> Result<(), AgentFault> {
        let machine = std::mem::replace(&mut self.machine, SiloMachine::new(self.files.instance()));
        let (phase_before, attempt_before) = (machine.phase_name(), machine.attempt());
        let offered = match &event {
            SiloEvent::Opened { expected, .. } => Some(expected.clone()),
            _ => None,
        };
        let mut effects = Vec::new();
        let mut random = randomness::round_random();
        self.machine = machine.handle(&self.surroundings(), event, &mut random, &mut effects);

        let attempt_now = self.machine.attempt();
        if let Some(plan) =
            offered.filter(|plan| attempt_now == Some(plan.id) && attempt_now != attempt_before)
        {
            let round = self
                .journal
                .study(study)?
                .map_or(1, |record| record.rounds_done.saturating_add(1));
            self.attempt = Some(ActiveAttempt {
                plan,
                study: study.to_owned(),
                round,
                opened: Instant::now(),
            });
            self.delayed.clear();
        }
        let advance = effects.iter().find_map(|effect| match effect {
            SiloEffect::Finished(verified) => Some(verified),
            _ => None,
        });
        let advance = match advance {
            Some(verified) => self.advance(study, verified)?,
            None => None,
        };
        self.persist(advance.as_ref().map(|advanced| Advance {
            study,
            rounds_done: advanced.rounds_done,
            model: &advanced.model,
            complete: advanced.complete,
            release: advanced.release,
        }))?;
        let phase = self.machine.phase_name();
        if phase != phase_before {
            self.entered(phase)?;
        }
        if advance.is_some() {
            self.crash_at(CrashPlace::Released);
        }
        for effect in effects {
            self.perform(study, effect)?;
        }
        if attempt_now.is_none() {
            self.attempt = None;
            self.delayed.clear();
        }
        Ok(())
    }

    /// Secrets first, then the journal's step that refers to them, then older secrets are erased.
    fn persist(&mut self, advance: Option<Advance<'_>>) -> Result<(), AgentFault> {
        let snapshot = self.machine.snapshot();
        let digest = sha256(&snapshot);
        if self.recorded == Some(digest) && advance.is_none() {
            return Ok(());
        }
        let number = self.step_number.saturating_add(1);
        let secrets = self.machine.attempt().zip(self.machine.secrets());
        self.secrets_at = match secrets {
            None => None,
            Some((id, secrets)) => {
                let digest = sha256(secrets.expose());
                match self.secrets_at {
                    Some((stored, from, held)) if stored == id && held == digest => {
                        self.files.carry_secrets(id, from, number)?;
                    }
                    Some(_) | None => self.files.write_secrets(id, number, &secrets)?,
                }
                Some((id, number, digest))
            }
        };
        let step = Step {
            snapshot: &snapshot,
            number,
            secrets_of: self.secrets_at.map(|(id, _, _)| id),
            attempt: self
                .attempt
                .as_ref()
                .map(|attempt| (attempt.plan.id, attempt.study.as_str())),
            advance,
        };
        self.journal.record_step(&step)?;
        self.step_number = number;
        self.recorded = Some(digest);
        Ok(self
            .files
            .keep_only_secrets(self.secrets_at.map(|(id, number, _)| (id, number)))?)
    }

    /// A phase was reached and is durable.
    fn entered(&mut self, phase: &str) -> Result<(), AgentFault> {
        let (places, kind): (&[CrashPlace], Option<EventKind>) = match phase {
            "advertised" => (
                &[CrashPlace::Opened, CrashPlace::Advertised],
                Some(EventKind::RoundOpened),
            ),
            "dealt" => (&[CrashPlace::Dealt], None),
            "training" => (&[CrashPlace::Receipted], None),
            "ready" => (&[CrashPlace::Prepared], Some(EventKind::RoundReady)),
            "masking" => (&[CrashPlace::Frozen], Some(EventKind::RoundFrozen)),
            "uploaded" => (&[CrashPlace::Burned], Some(EventKind::RoundBurned)),
            "voted" => (&[CrashPlace::Voted], Some(EventKind::RoundVoted)),
            "revealed" => (&[CrashPlace::Revealed], Some(EventKind::RoundRevealed)),
            "committed" => (&[CrashPlace::SumCommitted], None),
            _ => (&[], None),
        };
        for place in places {
            self.crash_at(*place);
        }
        if let (Some(kind), Some(attempt)) = (kind, &self.attempt) {
            self.own_log.record_attempt(
                kind,
                &attempt.study,
                attempt.plan.id,
                Outcome::Success,
                &[],
            )?;
        }
        Ok(())
    }

    pub(super) fn crash_at(&self, place: CrashPlace) {
        if let Some(attempt) = &self.attempt {
            CrashPoint::reached(self.crash_point, place, attempt.round);
        }
    }

    pub(super) fn perform(&mut self, study: &str, effect: SiloEffect) -> Result<(), AgentFault> {
        match effect {
            SiloEffect::Send(delivery) => self.send_protocol(study, delivery),
            SiloEffect::SendOnGrid(delivery) => {
                let due = self.next_grid_time();
                self.delayed.push(Delayed {
                    due,
                    study: study.to_owned(),
                    delivery,
                });
            }
            SiloEffect::Train(plan) => return self.train(study, &plan),
            SiloEffect::Mask(job) => {
                let (files, inputs, id) = (self.files.clone(), self.inputs.clone(), job.plan().id);
                std::thread::spawn(move || {
                    let outcome = work::mask(&files, &job).map_err(|fault| explain(&fault));
                    inputs.send(Input::Masked { id, outcome })
                });
            }
            SiloEffect::Upload { id, root, then } => self.upload(study, id, root, then),
            // The step that erased them from the machine has erased their file.
            SiloEffect::EraseSecrets => {}
            SiloEffect::Finished(verified) => return self.finished(study, &verified),
            SiloEffect::Aborted {
                id,
                fault,
                evidence,
            } => return self.aborted(study, id, &fault, &evidence),
            SiloEffect::Rejected(fault) => {
                warn!(study, "a message was discarded: {}", explain(&fault))
            }
        }
        Ok(())
    }

    /// The grid runs from the arrival of Open, so that the time of training does not show.
    fn next_grid_time(&self) -> Instant {
        let grid = u128::from(READY_GRID_MILLISECONDS.max(1));
        let opened = self
            .attempt
            .as_ref()
            .map_or_else(Instant::now, |attempt| attempt.opened);
        let next = (opened.elapsed().as_millis() / grid + 1) * grid;
        opened + Duration::from_millis(u64::try_from(next).unwrap_or(0))
    }

    fn train(&mut self, study: &str, plan: &RoundPlan) -> Result<(), AgentFault> {
        let order = match self.training_order(study) {
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
                work::prepare(&files, &trainer, id, order).map_err(|fault| explain(&fault));
            inputs.send(Input::Prepared { id, outcome })
        });
        Ok(())
    }

    /// The protected vector is stored.
    pub(super) fn prepared(
        &mut self,
        id: AttemptId,
        outcome: Result<work::Prepared, String>,
    ) -> Result<(), AgentFault> {
        let Some(study) = self.study_of(id) else {
            return Ok(());
        };
        match outcome {
            Ok(work::Prepared { input, facts }) => {
                if let Some(facts) = facts {
                    self.log_facts(&study, &facts)?;
                }
                self.step(&study, SiloEvent::Prepared { id, input })
            }
            Err(reason) => self.give_up(id, &study, &reason),
        }
    }

    /// The masked vector is spooled: charge the attempt, burn the masks on it, and only then let it leave.
    pub(super) fn masked(
        &mut self,
        id: AttemptId,
        outcome: Result<(Digest, u64), String>,
    ) -> Result<(), AgentFault> {
        let Some(study) = self.study_of(id) else {
            return Ok(());
        };
        let (root, length) = match outcome {
            Ok(spooled) => spooled,
            Err(reason) => return self.give_up(id, &study, &reason),
        };
        let Some(record) = self.journal.study(&study)? else {
            return Ok(());
        };
        let noised = match self.terms_of(&record) {
            Ok(terms) => terms.study.is_noised(),
            Err(fault) => return self.give_up(id, &study, &explain(&fault)),
        };
        if noised {
            match self
                .ledger
                .commit(&mut self.journal, &study, &attempt_name(id))
            {
                Ok(()) => {}
                Err(LedgerFault::Refused(refusal)) => {
                    return self.give_up(id, &study, &explain(&refusal));
                }
                Err(fault) => return Err(fault.into()),
            }
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

    /// The last chunk and the signed root are on their way.
    pub(super) fn uploaded(
        &mut self,
        id: AttemptId,
        outcome: Result<(), String>,
    ) -> Result<(), AgentFault> {
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
        warn!(study, %id, "attempt ended: {}", explain(fault));
        let reason = explain(fault);
        if is_misbehaviour(fault) {
            let bytes = postcard::to_allocvec(evidence).unwrap_or_default();
            let kept = self.own_log.keep(&bytes)?.to_string();
            let details = [("reason", reason.as_str()), ("evidence", kept.as_str())];
            self.own_log.record_attempt(
                EventKind::RoundMisbehaviour,
                study,
                id,
                Outcome::Failed,
                &details,
            )?;
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

    /// The study that an attempt in flight belongs to.
    fn study_of(&self, id: AttemptId) -> Option<String> {
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
fn attempt_name(id: AttemptId) -> String {
    id.to_string()
}
