// SPDX-License-Identifier: Apache-2.0
//! Silos that come and go during an attempt.

use super::RoundDriver;
use crate::catch_up::OpenProofs;
use crate::study_run::RunFault;
use consilium_protocol::{Beside, CoordinatorEvent, CoordinatorMachine, Envelope, SiloName};
use tokio::time::Instant;

impl RoundDriver<'_, '_> {
    pub(super) async fn silo_returned(&mut self, silo: SiloName) -> Result<(), RunFault> {
        self.run
            .catch_ups
            .begin(self.run.federation, &silo, Some(&self.run.study));
        if self.gone.contains(&silo) && !self.run.study.declined.contains_key(&silo) {
            self.gone.remove(&silo);
            self.missing.remove(&silo);
            self.count_present();
            self.step(CoordinatorEvent::Back(silo)).await?;
        }
        Ok(())
    }

    pub(super) async fn silo_is_gone(&mut self, silo: SiloName) -> Result<(), RunFault> {
        let invited = self.plan.silos.binary_search(&silo).is_ok();
        if !invited || !self.gone.insert(silo.clone()) {
            return Ok(());
        }
        let phase = self.phase_name();
        if !self.run.study.absent.contains(&silo) {
            tracing::warn!(%silo, phase, "a silo dropped");
        }
        self.missing.insert(silo.clone(), phase.to_owned());
        self.count_present();
        self.step(CoordinatorEvent::Gone(silo)).await
    }

    /// Tells the machine about silos that were gone before the attempt.
    pub(super) async fn notice_absent_silos(&mut self) -> Result<(), RunFault> {
        for silo in self.plan.silos.clone() {
            if self.run.federation.sessions.is_gone(&silo)
                || self.run.study.declined.contains_key(&silo)
            {
                self.silo_is_gone(silo).await?;
            }
        }
        Ok(())
    }

    /// Once uploads are there, fewer silos are needed than before.
    pub(super) fn count_present(&mut self) {
        let fewest = self.machine.as_ref().map_or(0, CoordinatorMachine::fewest);
        let enough = self.plan.silos.len().saturating_sub(self.gone.len()) >= fewest;
        if enough {
            self.lacking = None;
        } else if self.lacking.is_none() {
            self.lacking = Some(Instant::now());
        }
    }

    /// Sends a returned silo everything of this attempt again, with proofs of its latest start.
    pub(super) fn replay(&self, silo: &SiloName, proofs: Option<OpenProofs>) {
        let Some(machine) = &self.machine else { return };
        for mut outgoing in machine.outbox(silo) {
            if is_open(&outgoing.envelope)
                && let Some(proofs) = &proofs
            {
                outgoing.beside = Beside::Proofs(proofs.clone().attachments().into());
            }
            self.send_message(silo, outgoing);
        }
    }
}

fn is_open(envelope: &Envelope) -> bool {
    envelope.peek_name() == Some("Open")
}
