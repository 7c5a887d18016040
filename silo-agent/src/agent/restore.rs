// SPDX-License-Identifier: Apache-2.0
//! Unfinished work after a crash or a restart: taken up where the journal left it, or sat out.

use std::time::Instant;

use consilium_audit::entry::{EventKind, Outcome};
use consilium_crypto::transcript::sha256;
use consilium_protocol::SiloMachine;
use tracing::{info, warn};

use super::{ActiveAttempt, Agent, AgentFault};
use crate::explain;

impl Agent {
    /// Takes up what a crash or a restart interrupted. Without the attempt's secrets it is sat out.
    pub(super) fn restore(&mut self) -> Result<(), AgentFault> {
        let Some(stored) = self.journal.last_step()? else {
            return Ok(self.files.erase_all_but(None)?);
        };
        let secrets = match stored.secrets_of {
            Some(id) => self.files.read_secrets(id, stored.number)?,
            None => None,
        };
        let bytes = secrets.as_ref().map(|secrets| secrets.expose().as_slice());
        self.machine = SiloMachine::restore(&stored.snapshot, bytes, self.files.instance())?;
        self.step_number = stored.number;
        let resumed = self.machine.attempt();
        self.secrets_at = resumed
            .zip(self.machine.secrets())
            .map(|(id, secrets)| (id, stored.number, sha256(secrets.expose())));
        self.files
            .keep_only_secrets(self.secrets_at.map(|(id, number, _)| (id, number)))?;
        self.files.erase_all_but(resumed)?;
        let Some((id, study)) = stored.attempt else {
            return Ok(());
        };
        if resumed != Some(id) {
            if stored.secrets_of.is_some() {
                let reason = "the attempt's secrets are not on this machine: it is sat out";
                warn!(study, %id, reason);
                let details = [("reason", reason)];
                self.own_log.record_attempt(
                    EventKind::RoundAbandoned,
                    &study,
                    id,
                    Outcome::Failed,
                    &details,
                )?;
            }
            return Ok(());
        }
        info!(study, %id, phase = self.machine.phase_name(), "attempt taken up again");
        let details = [("phase", self.machine.phase_name())];
        self.own_log.record_attempt(
            EventKind::SystemRecovered,
            &study,
            id,
            Outcome::Success,
            &details,
        )?;
        let Some(record) = self.journal.study(&study)? else {
            return Ok(());
        };
        self.shared_log
            .expect_release(self.journal.newest_release()?);
        if id.epoch != self.membership.epoch {
            let reason = "the attempt was opened under another roster";
            return self.give_up(id, &study, reason);
        }
        let plan = self.terms_of(&record).and_then(|terms| {
            let model = terms.model(record.model.as_deref())?;
            terms.plan(id, &self.membership, &model)
        });
        let plan = match plan {
            Ok(plan) => plan,
            Err(fault) => return self.give_up(id, &study, &explain(&fault)),
        };
        let round = record.rounds_done.saturating_add(1);
        self.attempt = Some(ActiveAttempt {
            plan,
            study: study.clone(),
            round,
            opened: Instant::now(),
        });
        let mut effects = Vec::new();
        self.machine.resume(&self.surroundings(), &mut effects);
        for effect in effects {
            self.perform(&study, effect)?;
        }
        Ok(())
    }
}
