// SPDX-License-Identifier: Apache-2.0
//! Holds: the challenge. Accepts: one tag of every survivor. Asks for: the inner product of the challenge with the sum.
//! Sends: the release when they agree; asks for a replay when a tag is missing or they do not.

use super::challenging::is_late;
use super::phase::{Close, Phase};
use super::releasing::Logged;
use super::replaying::Replaying;
use super::{Step, demand_the_same, keep_first};
use crate::challenge::{Challenge, InnerProduct, claimed_tag, total_of_tags};
use crate::effect::CoordinatorEffect;
use crate::envelope::{Delivery, Envelope, Sender, VerifiedSilo};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{SiloMessage, Verification};
use crate::round_plan::RoundPlan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tagging {
    pub(crate) logged: Logged,
    pub(crate) nonces: Vec<Envelope>,
    pub(crate) challenge: Challenge,
    pub(crate) tags: BTreeMap<SiloName, Envelope>,
}

/// All tags are there; the sum is being checked against them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Checking {
    tagged: Tagging,
}

impl Tagging {
    pub(crate) fn accept(
        &mut self,
        verified: VerifiedSilo,
        delivery: Delivery,
    ) -> Result<(), Fault> {
        let VerifiedSilo { silo, message } = verified;
        if is_late(&message) {
            return self
                .logged
                .voted()
                .late(&silo, &message, &delivery.envelope);
        }
        match message {
            // A repeat of a voter that came back.
            SiloMessage::Nonce { .. } if self.nonce(&silo).is_some() => {
                demand_the_same(self.nonce(&silo), &silo, &delivery.envelope, &message)
            }
            SiloMessage::Tag { .. } if self.logged.voted().survivors.contains(&silo) => {
                claimed_tag(&self.logged.sum, &self.challenge, &silo, &message)?;
                keep_first(&mut self.tags, silo, delivery.envelope, &message)
            }
            other => Err(Fault::Unexpected {
                message: other.name(),
                phase: "gathering tags",
            }),
        }
    }

    /// What a voter opened.
    pub(crate) fn nonce(&self, silo: &SiloName) -> Option<&Envelope> {
        let mut nonces = self.nonces.iter();
        nonces.find(|nonce| nonce.sender == Sender::Silo(silo.clone()))
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        let survivors = &self.logged.voted().survivors.uploads;
        if self.tags.len() < survivors.len() {
            return Ok(Close::Next(Replaying::begin(step, self.logged)));
        }
        let checking = Checking { tagged: self };
        let product = checking.inner_product(step.plan)?;
        step.effects.push(CoordinatorEffect::CheckSum(product));
        Ok(Close::Next(Phase::Checking(checking)))
    }
}

impl Checking {
    /// The work of the CPU pool.
    pub(crate) fn inner_product(&self, plan: &RoundPlan) -> Result<InnerProduct, Fault> {
        let cohort = &self.tagged.logged.voted().cohort.digest;
        self.tagged.challenge.inner_product(plan, cohort)
    }

    pub(crate) fn checked(self, step: &mut Step<'_>, product: InnerProduct) -> Phase {
        let Tagging {
            logged,
            nonces,
            challenge,
            tags,
        } = self.tagged;
        let tags: Vec<Envelope> = tags.into_values().collect();
        let total = total_of_tags(
            logged.subject(step.plan),
            step.surroundings.membership,
            &challenge,
            &logged.voted().survivors.uploads,
            &tags,
        );
        if total.is_ok() && product.finish_within_range() == total.ok() {
            logged.release(step, Verification::Tags { nonces, tags })
        } else {
            Replaying::begin(step, logged)
        }
    }
}
