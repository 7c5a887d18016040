// SPDX-License-Identifier: Apache-2.0
//! Holds: the KeyBook. Accepts: the DealBook. Keeps: the shares it opens, among its secrets. Sends: a receipt. Aborts: on a deal that is not what its dealer signed.

use super::Step;
use super::phase::{Phase, Reply};
use super::training::{Exchange, Training};
use crate::book::{DealBook, KeyBook};
use crate::deal::Opener;
use crate::defence::{Defence, stands};
use crate::effect::SiloEffect;
use crate::envelope::{Delivery, Envelope};
use crate::fault::Fault;
use crate::message::SiloMessage;
use crate::round_plan::RoundPlan;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Dealt {
    pub(crate) plan: RoundPlan,
    pub(crate) keys: KeyBook,
    pub(crate) deal: Envelope,
}

impl Dealt {
    pub(crate) fn deal_book(
        self,
        step: &mut Step<'_>,
        deals: &[Envelope],
        ciphertexts: &[Vec<u8>],
    ) -> Result<Phase, Fault> {
        let Self {
            plan,
            keys,
            deal: own_deal,
        } = self;
        let own = step.surroundings.name;
        let book = DealBook::new(&plan, step.surroundings.membership, &keys, deals)?;
        if book.entry(own).is_none() {
            return Err(Fault::LeftOut { list: "DealBook" });
        }
        if stands(Defence::OwnEcho) && !deals.contains(&own_deal) {
            return Err(Fault::OwnMessageChanged {
                message: "ShareKeys",
            });
        }
        let seeds = step.seeds(plan.id)?;
        let channels = step.secrets(plan.id)?.channels();
        let opener = Opener::new(own, seeds, channels, &keys, &book);
        let mut good = vec![false; keys.entries.len()];
        let mut dealt = Vec::with_capacity(book.entries.len());
        for (entry, ciphertext) in book.entries.iter().zip(ciphertexts) {
            let opened = opener.open(&entry.silo, ciphertext);
            if let Some(mark) = keys.position(&entry.silo).and_then(|at| good.get_mut(at)) {
                *mark = opened.is_some();
            }
            dealt.extend(opened);
        }
        if let Some(secrets) = step.secrets.as_mut() {
            secrets.keep_dealt(dealt);
        }
        let receipt = step.sign(plan.id, book.digest, SiloMessage::DealReceipt { good });
        step.reply = Reply::Send(Delivery::bare(receipt));
        step.effects.push(SiloEffect::Train(plan.clone()));
        Ok(Phase::Training(Training {
            exchange: Exchange {
                plan,
                keys,
                deals: book,
            },
        }))
    }
}
