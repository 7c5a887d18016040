// SPDX-License-Identifier: Apache-2.0
//! Holds: X. Accepts: signed roots and, from the driver, spooled uploads. Sends: the one survivor proposal.

use super::phase::{Close, Phase};
use super::voting::Voting;
use super::{Step, keep_first};
use crate::book::{Cohort, DealBook, KeyBook, Survivors};
use crate::effect::RecordKind;
use crate::envelope::{Body, Delivery, Envelope, VerifiedSilo, decode};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{CoordinatorMessage, SiloMessage};
use crate::round_plan::RoundPlan;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Uploading {
    pub(crate) keys: KeyBook,
    pub(crate) deals: DealBook,
    pub(crate) cohort: Cohort,
    pub(crate) uploads: BTreeMap<SiloName, Envelope>,
    pub(crate) spooled: BTreeMap<SiloName, (Digest, u64)>,
}

impl Uploading {
    pub(crate) fn accept(
        &mut self,
        plan: &RoundPlan,
        verified: VerifiedSilo,
        delivery: Delivery,
    ) -> Result<(), Fault> {
        let VerifiedSilo { silo, message } = verified;
        let SiloMessage::MaskedInput { length, .. } = message else {
            return Err(Fault::Unexpected {
                message: message.name(),
                phase: "uploading",
            });
        };
        if self.cohort.silos.binary_search(&silo).is_err() {
            return Err(Fault::UnknownSilo { silo });
        }
        if length != plan.packed_length() {
            return Err(Fault::BadUpload { silo });
        }
        keep_first(&mut self.uploads, silo, delivery.envelope, &message)
    }

    pub(crate) fn spooled(&mut self, silo: SiloName, root: Digest, length: u64) {
        self.spooled.insert(silo, (root, length));
    }

    /// Silos whose spooled upload is the one that they signed.
    pub(crate) fn complete(&self, plan: &RoundPlan) -> BTreeSet<SiloName> {
        self.uploads
            .iter()
            .filter(|(silo, envelope)| {
                let signed = signed_root(envelope);
                let spooled = self.spooled.get(*silo);
                spooled.is_some_and(|(root, length)| {
                    signed == Some(*root) && *length == plan.packed_length()
                })
            })
            .map(|(silo, _)| silo.clone())
            .collect()
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        let complete = self.complete(step.plan);
        let Self {
            keys,
            deals,
            cohort,
            uploads,
            spooled: _,
        } = self;
        let uploads: Vec<Envelope> = uploads
            .into_iter()
            .filter(|(silo, _)| complete.contains(silo))
            .map(|(_, envelope)| envelope)
            .collect();
        let membership = step.surroundings.membership;
        let survivors = Survivors::new(step.plan, membership, &cohort, &uploads)?;
        let message = CoordinatorMessage::SurvivorProposal { uploads };
        let envelope = step.sign(cohort.digest, message);
        let names: Vec<SiloName> = complete.into_iter().collect();
        step.record(RecordKind::Proposed, survivors.digest, names);
        step.send_all(&cohort.silos, &envelope);
        Ok(Close::Next(Phase::Voting(Voting {
            keys,
            deals,
            cohort,
            survivors,
            votes: BTreeMap::new(),
        })))
    }
}

fn signed_root(envelope: &Envelope) -> Option<Digest> {
    match decode::<Body<SiloMessage>>(&envelope.body).ok()?.message {
        SiloMessage::MaskedInput { root, .. } => Some(root),
        SiloMessage::AdvertiseKeys { .. }
        | SiloMessage::ShareKeys { .. }
        | SiloMessage::DealReceipt { .. }
        | SiloMessage::Ready
        | SiloMessage::Vote { .. }
        | SiloMessage::Reveal { .. }
        | SiloMessage::Nonce { .. }
        | SiloMessage::Tag { .. }
        | SiloMessage::Replayed { .. } => None,
    }
}
