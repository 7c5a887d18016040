// SPDX-License-Identifier: Apache-2.0
//! Holds: the set it voted for. Accepts: a certificate for that set. Sends: exactly one kind of share of every member of
//! the cohort, then erases all secrets. Aborts: on a certificate for another set.

use super::Step;
use super::phase::{Phase, Reply};
use super::revealed::Revealed;
use super::training::Exchange;
use crate::book::{Cohort, Survivors};
use crate::deal;
use crate::effect::SiloEffect;
use crate::envelope::{Delivery, Envelope};
use crate::fault::Fault;
use crate::message::SiloMessage;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Voted {
    pub(crate) exchange: Exchange,
    pub(crate) cohort: Cohort,
    pub(crate) survivors: Survivors,
}

impl Voted {
    pub(crate) fn certificate(
        self,
        step: &mut Step<'_>,
        votes: &[Envelope],
    ) -> Result<Phase, Fault> {
        let Self {
            exchange,
            cohort,
            survivors,
        } = self;
        let Exchange {
            plan,
            keys,
            deals,
            ciphertexts,
        } = exchange;
        survivors.verify_certificate(&plan, step.surroundings.membership, &cohort, votes)?;
        let own = step.surroundings.name;
        let secrets = step.secrets(plan.id)?;
        let mut shares = Vec::with_capacity(cohort.silos.len());
        for (entry, ciphertext) in deals.entries.iter().zip(&ciphertexts) {
            if cohort.silos.binary_search(&entry.silo).is_err() {
                continue;
            }
            let dealt = deal::open(own, secrets, &keys, &deals, &entry.silo, ciphertext)
                .ok_or_else(|| Fault::BadDeal {
                    silo: entry.silo.clone(),
                })?;
            // INVARIANT: one kind per peer. The other kind is dropped here, unrevealed.
            let share = if survivors.contains(&entry.silo) {
                dealt.self_mask.clone()
            } else {
                dealt.mask_key.clone()
            };
            shares.push(share);
        }
        let reveal = step.sign(plan.id, cohort.digest, SiloMessage::Reveal { shares });
        step.reply = Reply::Send(Delivery::bare(reveal));
        *step.secrets = None;
        step.effects.push(SiloEffect::EraseSecrets);
        Ok(Phase::Revealed(Revealed {
            plan,
            cohort: cohort.digest,
            survivors: survivors.digest,
        }))
    }
}
