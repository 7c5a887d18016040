// SPDX-License-Identifier: Apache-2.0
//! One step of the protocol's state machine: handle, persist, log, and only then act.

use std::time::Instant;

use consilium_audit::entry::{EventKind, Outcome};
use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_protocol::{AttemptId, SiloEffect, SiloEvent, SiloMachine};

use super::{ActiveAttempt, Agent, AgentFault};
use crate::attempt_files::Reached;
use crate::crash::{CrashPlace, CrashPoint};
use crate::journal::{Advance, Step};
use crate::randomness;

impl Agent {
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
            self.show_attempt(plan.id, "in progress")?;
            self.attempt = Some(ActiveAttempt {
                plan,
                study: study.to_owned(),
                round,
                opened: Instant::now(),
            });
            self.delayed.clear();
            self.upload = None;
            self.replay = None;
        }
        let verified = effects.iter().find_map(|effect| match effect {
            SiloEffect::Finished(verified) => Some(verified),
            _ => None,
        });
        let advance = match verified {
            Some(verified) => self.advance(study, verified)?,
            None => None,
        };
        // The commit rule asks for the newest release in the next Open, whichever study that is for.
        let newest = self.journal.newest_release()?.map(|(id, _)| id.order());
        let released = verified
            .map(|verified| (verified.plan.id, verified.digest))
            .filter(|(id, _)| newest < Some(id.order()));
        let advanced = advance.as_ref().map(|advanced| Advance {
            study,
            rounds_done: advanced.rounds_done,
            model: &advanced.model,
            complete: advanced.complete,
            release: advanced.release,
        });
        self.persist(advanced, released)?;
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
        // SECURITY: the vector of an attempt that is over, bare or masked, is of use to nobody who should have it.
        if let Some(over) = attempt_before.filter(|before| attempt_now != Some(*before)) {
            self.files.erase(over)?;
        }
        if attempt_now.is_none() {
            self.attempt = None;
            self.delayed.clear();
            self.upload = None;
            self.replay = None;
        }
        Ok(())
    }

    /// Secrets first, then the journal's step that refers to them, then older secrets are erased.
    fn persist(
        &mut self,
        advance: Option<Advance<'_>>,
        released: Option<(AttemptId, Digest)>,
    ) -> Result<(), AgentFault> {
        let snapshot = self.machine.snapshot();
        let digest = sha256(&snapshot);
        if self.recorded == Some(digest) && advance.is_none() && released.is_none() {
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
            released,
        };
        self.journal.record_step(&step)?;
        self.step_number = number;
        self.record_reached()?;
        self.recorded = Some(digest);
        Ok(self
            .files
            .keep_only_secrets(self.secrets_at.map(|(id, number, _)| (id, number)))?)
    }

    /// The journal has gone further; nobody was told of it yet.
    pub(super) fn record_reached(&self) -> Result<(), AgentFault> {
        Ok(self.files.record_reached(Reached {
            step: self.step_number,
            cosigned: self.witness.head().size,
        })?)
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
            "tagged" => (&[CrashPlace::Tagged], None),
            "replaying" => (&[CrashPlace::Replaying], None),
            "replayed" => (&[CrashPlace::Replayed], None),
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
}
