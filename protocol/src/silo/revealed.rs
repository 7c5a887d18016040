// SPDX-License-Identifier: Apache-2.0
//! Holds: X alone. Accepts: the logged commitment to the sum, then the release. Sends: nothing.

use super::Step;
use super::phase::Phase;
use crate::fault::Fault;
use crate::round_plan::RoundPlan;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Revealed {
    pub(crate) plan: RoundPlan,
    /// X.
    pub(crate) cohort: Digest,
    /// Digest of U3 and its upload roots.
    pub(crate) survivors: Digest,
}

/// The sum is committed and logged; it is not known yet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) plan: RoundPlan,
    /// X.
    pub(crate) cohort: Digest,
    /// Digest of U3 and its upload roots.
    pub(crate) survivors: Digest,
    /// H(S).
    pub(crate) sum: Digest,
}

impl Revealed {
    pub(crate) fn sum_commitment(
        self,
        step: &mut Step<'_>,
        sum: Digest,
        attachments: Vec<Vec<u8>>,
    ) -> Result<Phase, Fault> {
        let Self {
            plan,
            cohort,
            survivors,
        } = self;
        let proof = attachments.first().map_or(&[][..], Vec::as_slice);
        if !step.surroundings.log.sum_is_logged(plan.id, &sum, proof) {
            return Err(Fault::SumNotLogged);
        }
        Ok(Phase::Committed(Committed {
            plan,
            cohort,
            survivors,
            sum,
        }))
    }
}
