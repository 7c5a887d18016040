// SPDX-License-Identifier: Apache-2.0
//! Holds: the proposed survivors. Accepts: votes. Sends: the certificate.

use super::phase::{Close, Phase};
use super::revealing::Revealing;
use super::{Step, demand_the_same, keep_first};
use crate::book::{Cohort, DealBook, KeyBook, Survivors};
use crate::effect::RecordKind;
use crate::envelope::{Delivery, Envelope, VerifiedSilo};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{CoordinatorMessage, SiloMessage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Voting {
    pub(crate) keys: KeyBook,
    pub(crate) deals: DealBook,
    pub(crate) cohort: Cohort,
    pub(crate) survivors: Survivors,
    pub(crate) votes: BTreeMap<SiloName, Envelope>,
}

impl Voting {
    /// A vote or a reveal that came once more, or after all that were needed.
    pub(crate) fn late(
        &self,
        silo: &SiloName,
        message: &SiloMessage,
        envelope: &Envelope,
    ) -> Result<(), Fault> {
        // The first reveal lies with the driver.
        if !matches!(message, SiloMessage::Vote { .. }) {
            return Ok(());
        }
        demand_the_same(self.votes.get(silo), silo, envelope, message)
    }

    pub(crate) fn survivor_names(&self) -> Vec<SiloName> {
        self.survivors
            .uploads
            .iter()
            .map(|(silo, _)| silo.clone())
            .collect()
    }

    pub(crate) fn accept(
        &mut self,
        verified: VerifiedSilo,
        delivery: Delivery,
    ) -> Result<(), Fault> {
        let VerifiedSilo { silo, message } = verified;
        let SiloMessage::Vote { survivors, .. } = message else {
            return Err(Fault::Unexpected {
                message: message.name(),
                phase: "voting",
            });
        };
        if !self.survivors.contains(&silo) || survivors != self.survivors.digest {
            return Err(Fault::OtherCertificate);
        }
        keep_first(&mut self.votes, silo, delivery.envelope, &message)
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        let votes: Vec<Envelope> = self.votes.values().cloned().collect();
        let message = CoordinatorMessage::Certificate { votes };
        let envelope = step.sign(self.cohort.digest, message);
        let silos = self.survivor_names();
        step.record(RecordKind::Certified, self.survivors.digest, silos.clone());
        step.send_all(&silos, &envelope);
        Ok(Close::Next(Phase::Revealing(Revealing::begin(self))))
    }
}
