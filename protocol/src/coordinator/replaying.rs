// SPDX-License-Identifier: Apache-2.0
//! Holds: a sum that tags do not vouch for. Accepts: survivors who computed it again and found it equal. Sends: the
//! release, once n_c + 1 of them vouch for every part. Aborts: at the deadline, and then the sum stays unreleased.

use super::challenging::is_late;
use super::phase::{Close, Phase};
use super::releasing::Logged;
use super::{Step, keep_first};
use crate::effect::RecordKind;
use crate::envelope::{Delivery, Envelope, VerifiedSilo};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{CoordinatorMessage, SiloMessage, Verification};
use crate::replay::{cover_of, vouched_for};
use crate::round_plan::RoundPlan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Replaying {
    pub(crate) logged: Logged,
    cover: u32,
    pub(crate) replayed: BTreeMap<SiloName, Envelope>,
}

impl Replaying {
    /// Asks every survivor to compute its part of the sum again.
    pub(crate) fn begin(step: &mut Step<'_>, logged: Logged) -> Phase {
        let names = logged.voted().survivor_names();
        let cover = cover_of(step.plan, names.len());
        let verification = Verification::Replay {
            cover,
            replayed: Vec::new(),
        };
        let message = CoordinatorMessage::Replay(Box::new(logged.trail(step.plan, verification)));
        let envelope = step.sign(logged.voted().cohort.digest, message);
        step.record(RecordKind::Replayed, logged.sum, names.clone());
        step.send_all_with(&names, &envelope, &logged.proof);
        Phase::Replaying(Self {
            logged,
            cover,
            replayed: BTreeMap::new(),
        })
    }

    /// X.
    pub(crate) fn transcript(&self) -> consilium_crypto::digest::Digest {
        self.logged.voted().cohort.digest
    }

    /// Who computes the sum again.
    pub(crate) fn survivor_names(&self) -> Vec<SiloName> {
        self.logged.voted().survivor_names()
    }

    /// Whom to wait for: nobody more, once every part is vouched for.
    pub(crate) fn expected(&self, plan: &RoundPlan) -> Vec<SiloName> {
        if self.is_vouched_for(plan) {
            Vec::new()
        } else {
            self.survivor_names()
        }
    }

    pub(crate) fn accept(
        &mut self,
        verified: VerifiedSilo,
        delivery: Delivery,
    ) -> Result<(), Fault> {
        let VerifiedSilo { silo, message } = verified;
        match message {
            // What was asked for before the replay.
            SiloMessage::Nonce { .. } | SiloMessage::Tag { .. } => Ok(()),
            late if is_late(&late) => {
                let voted = self.logged.voted();
                voted.late(&silo, &late, &delivery.envelope)
            }
            SiloMessage::Replayed { sum, cover }
                if self.logged.voted().survivors.contains(&silo)
                    && sum == self.logged.sum
                    && cover == self.cover =>
            {
                keep_first(&mut self.replayed, silo, delivery.envelope, &message)
            }
            other => Err(Fault::Unexpected {
                message: other.name(),
                phase: "computing the sum again",
            }),
        }
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Close {
        if !self.is_vouched_for(step.plan) {
            return Close::Wait(Phase::Replaying(self));
        }
        let Self {
            logged,
            cover,
            replayed,
        } = self;
        let replayed = replayed.into_values().collect();
        Close::Next(logged.release(step, Verification::Replay { cover, replayed }))
    }

    fn is_vouched_for(&self, plan: &RoundPlan) -> bool {
        let uploads = &self.logged.voted().survivors.uploads;
        let places = self
            .replayed
            .keys()
            .filter_map(|silo| uploads.binary_search_by(|(name, _)| name.cmp(silo)).ok());
        vouched_for(plan, uploads.len(), self.cover, places)
    }
}
