// SPDX-License-Identifier: Apache-2.0
//! Holds: the KeyBook. Accepts: deals, whose ciphertexts it has kept on the disk. Sends: the DealBook, with each silo's
//! ciphertexts.

use super::Step;
use super::phase::{Close, Phase};
use super::preparing::Preparing;
use crate::book::{DealBook, KeyBook};
use crate::deal::ciphertext_lengths;
use crate::effect::{CoordinatorEffect, RecordKind};
use crate::envelope::{Delivery, Envelope, VerifiedSilo};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{CoordinatorMessage, SiloMessage};
use crate::outgoing::Beside;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sharing {
    pub(crate) keys: KeyBook,
    /// Signed deals. One ciphertext of each for every entry of the KeyBook is kept.
    pub(crate) deals: BTreeMap<SiloName, Envelope>,
}

impl Sharing {
    pub(crate) fn accept(
        &mut self,
        verified: VerifiedSilo,
        delivery: Delivery,
        effects: &mut Vec<CoordinatorEffect>,
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
        let lengths = delivery.attachments.iter().map(Vec::len);
        // SECURITY: a silo gets everybody's ciphertexts in one message, so a long one would keep all the others from it.
        if !ciphertext_lengths(&self.keys, &silo).eq(lengths) {
            return Err(Fault::Malformed(
                "a deal without one ciphertext of the right length for every silo",
            ));
        }
        match self.deals.get(&silo) {
            Some(first) if first.body == delivery.envelope.body => Ok(()),
            Some(_) => Err(Fault::SecondAnswer {
                silo,
                message: message.name(),
            }),
            None => {
                self.deals.insert(silo.clone(), delivery.envelope);
                effects.push(CoordinatorEffect::KeepDeal {
                    dealer: silo,
                    ciphertexts: delivery.attachments,
                });
                Ok(())
            }
        }
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        let Self { keys, deals } = self;
        let dealers: Arc<[SiloName]> = deals.keys().cloned().collect();
        let deals: Vec<Envelope> = deals.into_values().collect();
        let book = DealBook::new(step.plan, step.surroundings.membership, &keys, &deals)?;
        let envelope = step.sign(keys.digest, CoordinatorMessage::DealBook { deals });
        step.record(RecordKind::DealBook, book.digest, dealers.to_vec());
        for silo in dealers.iter() {
            let Some(position) = keys.position(silo) else {
                continue;
            };
            let dealers = Arc::clone(&dealers);
            step.send(silo, &envelope, Beside::Deals { dealers, position });
        }
        Ok(Close::Next(Phase::Preparing(Preparing {
            keys,
            deals: book,
            receipts: BTreeMap::new(),
            ready: BTreeMap::new(),
        })))
    }
}
