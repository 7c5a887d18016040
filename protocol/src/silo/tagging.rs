// SPDX-License-Identifier: Apache-2.0
//! Holds: the challenge. Accepts: the end of the inner product, or a replay. Sends: the one tag of this attempt, then
//! erases what masks it.

use super::Step;
use super::phase::{Phase, Reply};
use super::revealed::Certified;
use crate::challenge::{Challenge, TagJob, masked_tag};
use crate::effect::SiloEffect;
use crate::envelope::Delivery;
use crate::fault::Fault;
use consilium_crypto::digest::Digest;
use consilium_crypto::mersenne::Element;
use consilium_crypto::secret::Secret;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tagging {
    pub(crate) certified: Certified,
    /// H(S).
    pub(crate) sum: Digest,
    pub(crate) challenge: Challenge,
}

/// The tag is on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tagged {
    pub(crate) certified: Certified,
    /// H(S).
    pub(crate) sum: Digest,
}

impl Tagging {
    /// The inner product of the challenge with this silo's own vector.
    pub(crate) fn job(&self) -> Result<TagJob, Fault> {
        let Certified {
            plan,
            cohort,
            input,
            ..
        } = &self.certified;
        Ok(TagJob {
            input: *input,
            product: self.challenge.inner_product(plan, &cohort.digest)?,
        })
    }

    pub(crate) fn tagged(
        self,
        step: &mut Step<'_>,
        product: &Secret<Element>,
    ) -> Result<Phase, Fault> {
        let Self {
            certified,
            sum,
            challenge,
        } = self;
        let id = certified.plan.id;
        let message = masked_tag(
            certified.subject(&sum),
            &challenge,
            step.surroundings.name,
            step.secrets(id)?,
            &certified.survivors.uploads,
            *product.expose(),
        )?;
        let tag = step.sign(id, certified.cohort.digest, message);
        step.reply = Reply::Send(Delivery::bare(tag));
        *step.secrets = None;
        step.effects.push(SiloEffect::EraseSecrets);
        Ok(Phase::Tagged(Tagged { certified, sum }))
    }
}
