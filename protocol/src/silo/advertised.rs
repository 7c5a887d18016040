// SPDX-License-Identifier: Apache-2.0
//! Holds: the accepted plan. Accepts: the KeyBook. Sends: the deal. Aborts: on any key that is not what its owner signed.

use super::Step;
use super::dealt::Dealt;
use super::phase::{Phase, Reply};
use crate::book::KeyBook;
use crate::deal::{self, Deal};
use crate::defence::{Defence, stands};
use crate::envelope::{Delivery, Envelope};
use crate::fault::Fault;
use crate::message::SiloMessage;
use crate::round_plan::RoundPlan;
use crate::secrets::AttemptSecrets;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Advertised {
    pub(crate) plan: RoundPlan,
    advertisement: Envelope,
}

impl Advertised {
    /// Answers an accepted Open with this attempt's public keys.
    pub(crate) fn open(step: &mut Step<'_>, plan: RoundPlan) -> Result<Phase, Fault> {
        let seeds = step.seeds(plan.id)?;
        let channel_public_key = seeds.channel_secret().public_key();
        let mask_public_key = seeds.mask_secret().public_key();
        let encapsulation_key = seeds.decapsulation_secret().encapsulation_key().clone();
        let mut nonce = [0; 32];
        step.random.fill(&mut nonce);
        let message = SiloMessage::AdvertiseKeys {
            channel_public_key,
            mask_public_key,
            encapsulation_key,
            nonce,
        };
        let advertisement = step.sign(plan.id, plan.opening_transcript(), message);
        step.reply = Reply::Send(Delivery::bare(advertisement.clone()));
        Ok(Phase::Advertised(Self {
            plan,
            advertisement,
        }))
    }

    pub(crate) fn key_book(
        self,
        step: &mut Step<'_>,
        advertisements: &[Envelope],
    ) -> Result<Phase, Fault> {
        let Self {
            plan,
            advertisement,
        } = self;
        let own = step.surroundings.name;
        let keys = KeyBook::new(&plan, step.surroundings.membership, advertisements)?;
        let position = keys
            .position(own)
            .ok_or(Fault::LeftOut { list: "KeyBook" })?;
        if stands(Defence::OwnEcho) && advertisements.get(position) != Some(&advertisement) {
            return Err(Fault::OwnMessageChanged {
                message: "AdvertiseKeys",
            });
        }
        let seeds = step
            .secrets
            .as_ref()
            .and_then(AttemptSecrets::seeds)
            .ok_or(Fault::SecretsGone(plan.id))?;
        let threshold = plan.thresholds.threshold;
        let Deal {
            message,
            ciphertexts,
            channels,
        } = deal::deal(own, seeds, &keys, advertisements, threshold, step.random)?;
        if let Some(secrets) = step.secrets.as_mut() {
            secrets.keep_channels(channels);
        }
        let deal = step.sign(plan.id, keys.digest, message);
        step.reply = Reply::Send(Delivery {
            envelope: deal.clone(),
            attachments: ciphertexts,
        });
        Ok(Phase::Dealt(Dealt { plan, keys, deal }))
    }
}
