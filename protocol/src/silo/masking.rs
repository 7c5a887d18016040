// SPDX-License-Identifier: Apache-2.0
//! Holds: X. Accepts: the end of masking. Sends: the upload, after the masks are burnt on its root.

use super::Step;
use super::phase::{Phase, Reply};
use super::training::Exchange;
use super::uploaded::Uploaded;
use crate::book::Cohort;
use crate::envelope::Delivery;
use crate::fault::Fault;
use crate::id::SiloName;
use crate::mask_job::MaskJob;
use crate::message::SiloMessage;
use crate::secrets::Seeds;
use consilium_crypto::digest::Digest;
use consilium_crypto::secret::Secret32;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Masking {
    pub(crate) exchange: Exchange,
    pub(crate) input: Digest,
    pub(crate) cohort: Cohort,
}

impl Masking {
    /// The masks of this attempt, and the roots of the masks over its tags.
    pub(crate) fn derive(
        &self,
        own: &SiloName,
        seeds: &Seeds,
    ) -> Result<(MaskJob, Vec<(SiloName, Secret32)>), Fault> {
        MaskJob::derive(
            &self.exchange.plan,
            self.input,
            own,
            seeds,
            &self.exchange.keys,
            &self.cohort,
        )
    }

    pub(crate) fn masked(
        self,
        step: &mut Step<'_>,
        root: Digest,
        length: u64,
    ) -> Result<Phase, Fault> {
        let Self {
            exchange,
            input,
            cohort,
        } = self;
        let plan = &exchange.plan;
        let id = plan.id;
        // SECURITY: a length that depends on the values would tell about them.
        if length != plan.packed_length() {
            return Err(Fault::BadUpload {
                silo: step.surroundings.name.clone(),
            });
        }
        // SECURITY: another vector under the same masks would be a two-time pad.
        let members = (&cohort.digest, cohort.silos.as_slice());
        step.memory.burn(plan, members, root, input)?;
        let message = SiloMessage::MaskedInput { root, length };
        let signed = Delivery::bare(step.sign(id, cohort.digest, message));
        step.reply = Reply::Upload { id, root, signed };
        Ok(Phase::Uploaded(Uploaded {
            exchange,
            input,
            cohort,
            root,
        }))
    }
}
