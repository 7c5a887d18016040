// SPDX-License-Identifier: Apache-2.0
//! Holds: nothing. Accepts: advertisements. Sends: the KeyBook.

use super::phase::{Close, Phase};
use super::sharing::Sharing;
use super::{Step, keep_first};
use crate::book::KeyBook;
use crate::effect::RecordKind;
use crate::envelope::{Delivery, Envelope, VerifiedSilo};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{CoordinatorMessage, SiloMessage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Advertising {
    pub(crate) advertisements: BTreeMap<SiloName, Envelope>,
}

impl Advertising {
    pub(crate) fn accept(
        &mut self,
        verified: VerifiedSilo,
        delivery: Delivery,
    ) -> Result<(), Fault> {
        let SiloMessage::AdvertiseKeys { .. } = verified.message else {
            return Err(Fault::Unexpected {
                message: verified.message.name(),
                phase: "advertising keys",
            });
        };
        let VerifiedSilo { silo, message } = verified;
        keep_first(&mut self.advertisements, silo, delivery.envelope, &message)
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        let advertisements: Vec<Envelope> = self.advertisements.into_values().collect();
        let keys = KeyBook::new(step.plan, step.surroundings.membership, &advertisements)?;
        let silos: Vec<SiloName> = keys
            .entries
            .iter()
            .map(|entry| entry.silo.clone())
            .collect();
        let message = CoordinatorMessage::KeyBook { advertisements };
        let envelope = step.sign(step.plan.opening_transcript(), message);
        step.record(RecordKind::KeyBook, keys.digest, silos.clone());
        step.send_all(&silos, &envelope);
        Ok(Close::Next(Phase::Sharing(Sharing {
            keys,
            deals: BTreeMap::new(),
        })))
    }
}
