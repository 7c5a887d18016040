// SPDX-License-Identifier: Apache-2.0
//! Holds: the KeyBook. Accepts: deals. Sends: the DealBook, with each silo's ciphertexts.

use super::Step;
use super::phase::{Close, Phase};
use super::preparing::Preparing;
use crate::book::{DealBook, KeyBook};
use crate::effect::RecordKind;
use crate::envelope::{Delivery, Envelope, VerifiedSilo};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{CoordinatorMessage, SiloMessage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sharing {
    pub(crate) keys: KeyBook,
    /// Signed deals with one ciphertext for every entry of the KeyBook.
    pub(crate) deals: BTreeMap<SiloName, Delivery>,
}

impl Sharing {
    pub(crate) fn accept(
        &mut self,
        verified: VerifiedSilo,
        delivery: Delivery,
    ) -> Result<(), Fault> {
        let VerifiedSilo { silo, message } = verified;
        let SiloMessage::ShareKeys { .. } = message else {
            return Err(Fault::Unexpected {
                message: message.name(),
                phase: "sharing keys",
            });
        };
        if self.keys.position(&silo).is_none() {
            return Err(Fault::UnknownSilo { silo });
        }
        if delivery.attachments.len() != self.keys.entries.len() {
            return Err(Fault::Malformed(
                "a deal without one ciphertext for every silo",
            ));
        }
        match self.deals.get(&silo) {
            Some(first) if first.envelope == delivery.envelope => Ok(()),
            Some(_) => Err(Fault::SecondAnswer {
                silo,
                message: message.name(),
            }),
            None => {
                self.deals.insert(silo, delivery);
                Ok(())
            }
        }
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        let Self { keys, mut deals } = self;
        let envelopes: Vec<Envelope> = deals.values().map(|deal| deal.envelope.clone()).collect();
        let book = DealBook::new(step.plan, step.surroundings.membership, &keys, &envelopes)?;
        let message = CoordinatorMessage::DealBook { deals: envelopes };
        let envelope = step.sign(keys.digest, message);
        let silos: Vec<SiloName> = deals.keys().cloned().collect();
        step.record(RecordKind::DealBook, book.digest, silos.clone());
        for silo in &silos {
            let Some(position) = keys.position(silo) else {
                continue;
            };
            // Taken, not copied: all of them together are the largest thing that the coordinator holds.
            let attachments = deals
                .values_mut()
                .filter_map(|deal| deal.attachments.get_mut(position))
                .map(std::mem::take)
                .collect();
            step.send(
                silo,
                Delivery {
                    envelope: envelope.clone(),
                    attachments,
                },
            );
        }
        Ok(Close::Next(Phase::Preparing(Preparing {
            keys,
            deals: book,
            receipts: BTreeMap::new(),
            ready: BTreeMap::new(),
        })))
    }
}
