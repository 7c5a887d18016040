// SPDX-License-Identifier: Apache-2.0
//! Holds: the deals. Accepts: receipts and readiness, while silos compute. Sends: the cohort freeze.

use super::phase::{Close, Phase};
use super::uploading::Uploading;
use super::{Step, keep_first};
use crate::book::{Cohort, DealBook, KeyBook};
use crate::effect::RecordKind;
use crate::envelope::Body;
use crate::envelope::{Delivery, Envelope, VerifiedSilo, decode};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{CoordinatorMessage, SiloMessage};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Preparing {
    pub(crate) keys: KeyBook,
    pub(crate) deals: DealBook,
    pub(crate) receipts: BTreeMap<SiloName, Envelope>,
    pub(crate) ready: BTreeMap<SiloName, Envelope>,
}

impl Preparing {
    pub(crate) fn accept(
        &mut self,
        verified: VerifiedSilo,
        delivery: Delivery,
    ) -> Result<(), Fault> {
        let VerifiedSilo { silo, message } = verified;
        if self.deals.entry(&silo).is_none() {
            return Err(Fault::UnknownSilo { silo });
        }
        let kept = match &message {
            // SECURITY: everybody gets all receipts in one message, so a long one would reach nobody.
            SiloMessage::DealReceipt { good } if good.len() != self.keys.entries.len() => {
                return Err(Fault::Malformed(
                    "a receipt without one mark for every silo",
                ));
            }
            SiloMessage::DealReceipt { .. } => &mut self.receipts,
            SiloMessage::Ready => &mut self.ready,
            SiloMessage::AdvertiseKeys { .. }
            | SiloMessage::ShareKeys { .. }
            | SiloMessage::MaskedInput { .. }
            | SiloMessage::Vote { .. }
            | SiloMessage::Reveal { .. }
            | SiloMessage::Nonce { .. }
            | SiloMessage::Tag { .. }
            | SiloMessage::Replayed { .. } => {
                return Err(Fault::Unexpected {
                    message: message.name(),
                    phase: "computing",
                });
            }
        };
        keep_first(kept, silo, delivery.envelope, &message)
    }

    /// Silos that have sent both a receipt and Ready.
    pub(crate) fn complete(&self) -> BTreeSet<SiloName> {
        self.ready
            .keys()
            .filter(|silo| self.receipts.contains_key(*silo))
            .cloned()
            .collect()
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        let silos = self.mutually_good();
        if silos.len() < step.plan.fewest() {
            return Ok(Close::Wait(Phase::Preparing(self)));
        }
        let Self {
            keys,
            deals,
            receipts,
            ready,
        } = self;
        let pick = |envelopes: &BTreeMap<SiloName, Envelope>| -> Vec<Envelope> {
            silos
                .iter()
                .filter_map(|silo| envelopes.get(silo).cloned())
                .collect()
        };
        let (receipts, ready) = (pick(&receipts), pick(&ready));
        let membership = step.surroundings.membership;
        let cohort = Cohort::new(step.plan, membership, &keys, &deals, &receipts, &ready)?;
        let message = CoordinatorMessage::CohortFreeze { receipts, ready };
        let envelope = step.sign(deals.digest, message);
        step.record(RecordKind::Frozen, cohort.digest, cohort.silos.clone());
        // A silo that is left out learns so from the same message.
        let everybody: Vec<SiloName> = deals
            .entries
            .iter()
            .map(|entry| entry.silo.clone())
            .collect();
        step.send_all(&everybody, &envelope);
        Ok(Close::Next(Phase::Uploading(Uploading {
            keys,
            deals,
            cohort,
            uploads: BTreeMap::new(),
            spooled: BTreeMap::new(),
        })))
    }

    /// The largest set found by leaving out, again and again, the silo with the most bad receipts, given or received.
    fn mutually_good(&self) -> Vec<SiloName> {
        let mut silos: Vec<SiloName> = self.complete().into_iter().collect();
        let mut good = BTreeMap::new();
        for silo in &silos {
            good.insert(silo.clone(), self.good_dealers(silo));
        }
        loop {
            let bad = |left: &SiloName, right: &SiloName| {
                let holds = |holder: &SiloName, dealer: &SiloName| {
                    good.get(holder)
                        .is_some_and(|dealers| dealers.contains(dealer))
                };
                !holds(left, right) || !holds(right, left)
            };
            let counted = silos
                .iter()
                .enumerate()
                .map(|(at, silo)| (silos.iter().filter(|other| bad(silo, other)).count(), at))
                .max();
            match counted {
                Some((count, at)) if count > 0 => {
                    silos.remove(at);
                }
                Some(_) | None => return silos,
            }
        }
    }

    fn good_dealers(&self, holder: &SiloName) -> BTreeSet<SiloName> {
        let body = self
            .receipts
            .get(holder)
            .and_then(|receipt| decode(&receipt.body).ok());
        let Some(Body {
            message: SiloMessage::DealReceipt { good },
            ..
        }) = body
        else {
            return BTreeSet::new();
        };
        self.keys
            .entries
            .iter()
            .zip(good)
            .filter(|(_, good)| *good)
            .map(|(entry, _)| entry.silo.clone())
            .collect()
    }
}
