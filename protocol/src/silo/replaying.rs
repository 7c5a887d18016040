// SPDX-License-Identifier: Apache-2.0
//! Holds: the committed sum and the seeds, which are public now. Asks for: its part of the sum, computed again from the
//! signed uploads. Sends: that it is equal. Aborts: when it is not, with the commitment and the seeds as evidence.

use super::Step;
use super::phase::{Phase, Reply};
use super::revealed::Certified;
use crate::effect::SiloEffect;
use crate::envelope::Delivery;
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{Release, SiloMessage, Verification};
use crate::release::Trail;
use crate::replay::{ReplayJob, ReplayOutcome, parts_of};
use crate::signed_list::Known;
use crate::unmask::{PublicSeed, UnmaskJob};
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Replaying {
    pub(crate) certified: Certified,
    /// H(S).
    pub(crate) sum: Digest,
    seeds: Vec<PublicSeed>,
    cover: u32,
}

/// This silo's part of the sum is equal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Replayed {
    pub(crate) certified: Certified,
    /// H(S).
    pub(crate) sum: Digest,
}

impl Replaying {
    /// Begins to compute the sum again, whichever phase the commitment to it had led to.
    pub(crate) fn begin(
        certified: Certified,
        sum: Digest,
        step: &mut Step<'_>,
        release: Release,
        attachments: &[Vec<u8>],
    ) -> Result<Phase, Fault> {
        let around = step.surroundings;
        let Certified { plan, cohort, .. } = &certified;
        let proof = attachments.first().map_or(&[][..], Vec::as_slice);
        let trail = Trail::verify(
            around.membership,
            around.log,
            (plan.id, cohort.digest),
            release,
            proof,
            &Known::new(),
        )?;
        if trail.survivors.digest != certified.survivors.digest {
            return Err(Fault::OtherCertificate);
        }
        if trail.sum != sum {
            return Err(Fault::OtherSum);
        }
        let Verification::Replay { cover, .. } = trail.verification else {
            return Err(Fault::Malformed("a Replay says nothing of its parts"));
        };
        let replaying = Self {
            certified,
            sum,
            seeds: trail.seeds,
            cover,
        };
        let job = replaying.job(around.name)?;
        // No tag is sent any more.
        if step.secrets.take().is_some() {
            step.effects.push(SiloEffect::EraseSecrets);
        }
        step.effects.push(SiloEffect::Replay(job));
        Ok(Phase::Replaying(replaying))
    }

    /// This silo's parts of the sum, and the masks to remove from them.
    pub(crate) fn job(&self, own: &SiloName) -> Result<ReplayJob, Fault> {
        let Certified {
            plan,
            keys,
            deals,
            cohort,
            survivors,
            ..
        } = &self.certified;
        let place = survivors
            .uploads
            .binary_search_by(|(silo, _)| silo.cmp(own))
            .map_err(|_| Fault::LeftOut {
                list: "survivor set",
            })?;
        Ok(ReplayJob {
            unmask: UnmaskJob::new(plan, keys, deals, cohort, survivors, &self.seeds)?,
            sum: self.sum,
            parts: parts_of(plan, survivors.uploads.len(), place, self.cover),
        })
    }

    pub(crate) fn replayed(
        self,
        step: &mut Step<'_>,
        outcome: ReplayOutcome,
    ) -> Result<Phase, Fault> {
        let Self {
            certified,
            sum,
            cover,
            ..
        } = self;
        match outcome {
            ReplayOutcome::Equal => {}
            ReplayOutcome::Different => return Err(Fault::FalseSum),
        }
        let message = SiloMessage::Replayed { sum, cover };
        let replayed = step.sign(certified.plan.id, certified.cohort.digest, message);
        step.reply = Reply::Send(Delivery::bare(replayed));
        Ok(Phase::Replayed(Replayed { certified, sum }))
    }
}
