// SPDX-License-Identifier: Apache-2.0
//! Holds: the deals. Accepts: the end of local computation. Sends: Ready, on the public grid.

use super::Step;
use super::phase::{Phase, Reply};
use super::ready::Ready;
use crate::book::{DealBook, KeyBook};
use crate::envelope::Delivery;
use crate::message::SiloMessage;
use crate::round_plan::RoundPlan;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

/// The outcome of the exchange of keys and shares.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) plan: RoundPlan,
    pub(crate) keys: KeyBook,
    pub(crate) deals: DealBook,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Training {
    pub(crate) exchange: Exchange,
}

impl Training {
    pub(crate) fn prepared(self, step: &mut Step<'_>, input: Digest) -> Phase {
        let Self { exchange } = self;
        let ready = step.sign(exchange.plan.id, exchange.deals.digest, SiloMessage::Ready);
        step.reply = Reply::SendOnGrid(Delivery::bare(ready.clone()));
        Phase::Ready(Ready {
            exchange,
            input,
            ready,
        })
    }
}
