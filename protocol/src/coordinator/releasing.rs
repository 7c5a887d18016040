// SPDX-License-Identifier: Apache-2.0
//! The end of an attempt with a sum: all that lets anybody check it, sent to everybody who was invited.

use super::Step;
use super::phase::Phase;
use super::revealing::Unmasking;
use super::voting::Voting;
use crate::challenge::Subject;
use crate::effect::{CoordinatorEffect, RecordKind};
use crate::message::{CoordinatorMessage, Release, Verification};
use crate::round_plan::RoundPlan;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A sum whose commitment is logged and cosigned.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Logged {
    pub(crate) unmasked: Unmasking,
    /// H(S).
    pub(crate) sum: Digest,
    /// The one log proof.
    pub(crate) proof: Arc<[Vec<u8>]>,
}

/// The attempt has ended with a sum.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Released {
    pub(crate) sum: Digest,
}

impl Logged {
    pub(crate) fn voted(&self) -> &Voting {
        &self.unmasked.voted
    }

    /// What a challenge to the sum is about.
    pub(crate) fn subject<'a>(&'a self, plan: &'a RoundPlan) -> Subject<'a> {
        let Voting {
            cohort, survivors, ..
        } = self.voted();
        Subject {
            plan,
            cohort: &cohort.digest,
            survivors: &survivors.digest,
            sum: &self.sum,
        }
    }

    /// The public trail of the sum.
    pub(crate) fn trail(&self, plan: &RoundPlan, verification: Verification) -> Release {
        let Voting {
            keys,
            deals,
            cohort,
            survivors,
            votes,
        } = self.voted();
        Release {
            plan: plan.clone(),
            key_book: keys.digest,
            deal_book: deals.digest,
            cohort: cohort.silos.clone(),
            survivors: survivors.uploads.clone(),
            votes: votes.values().cloned().collect(),
            sum: self.sum,
            seeds: self.unmasked.seeds.clone(),
            verification,
        }
    }

    /// Sends the release to everybody who was invited.
    pub(crate) fn release(self, step: &mut Step<'_>, verification: Verification) -> Phase {
        let names = self.voted().survivor_names();
        let release = self.trail(step.plan, verification);
        let envelope = step.sign(
            self.voted().cohort.digest,
            CoordinatorMessage::Release(Box::new(release)),
        );
        step.record(RecordKind::Released, self.sum, names.clone());
        let invited = step.plan.silos.clone();
        step.send_all_with(&invited, &envelope, &self.proof);
        let dropped = invited
            .into_iter()
            .filter(|silo| names.binary_search(silo).is_err())
            .collect();
        step.effects.push(CoordinatorEffect::Released {
            survivors: names,
            dropped,
        });
        Phase::Released(Released { sum: self.sum })
    }
}
