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
use consilium_crypto::key_agreement::PublicKey;
use consilium_crypto::key_encapsulation::EncapsulationKey;
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
        let VerifiedSilo { silo, message } = verified;
        let Some((keys, encapsulation_key)) = keys_of(&message) else {
            return Err(Fault::Unexpected {
                message: message.name(),
                phase: "advertising keys",
            });
        };
        // Left out here, one silo's bad key does not end the attempt for all.
        let [channel, mask] = keys;
        let mut others = self
            .advertisements
            .iter()
            .filter(|(owner, _)| **owner != silo)
            .filter_map(|(_, envelope)| keys_of(&envelope.peek_silo_message()?));
        let taken = others.any(|(others, other)| {
            others.iter().any(|key| keys.contains(key)) || other == encapsulation_key
        });
        let usable = channel.is_usable()
            && mask.is_usable()
            && channel != mask
            && encapsulation_key.is_well_formed();
        if !usable || taken {
            return Err(Fault::WeakKey { silo });
        }
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

/// The keys of an advertisement.
pub(crate) fn keys_of(message: &SiloMessage) -> Option<([PublicKey; 2], EncapsulationKey)> {
    match message {
        SiloMessage::AdvertiseKeys {
            channel_public_key,
            mask_public_key,
            encapsulation_key,
            ..
        } => Some((
            [*channel_public_key, *mask_public_key],
            encapsulation_key.clone(),
        )),
        SiloMessage::ShareKeys { .. }
        | SiloMessage::DealReceipt { .. }
        | SiloMessage::Ready
        | SiloMessage::MaskedInput { .. }
        | SiloMessage::Vote { .. }
        | SiloMessage::Reveal { .. }
        | SiloMessage::Nonce { .. }
        | SiloMessage::Tag { .. }
        | SiloMessage::Replayed { .. } => None,
    }
}
