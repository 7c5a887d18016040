// SPDX-License-Identifier: Apache-2.0
//! Holds: the digest of the local vector. Accepts: the first cohort freeze. Asks for: masking. Aborts: when a member
//! lacks good shares of another, so that a starved silo never uploads.

use super::Step;
use super::masking::Masking;
use super::phase::Phase;
use super::training::Exchange;
use crate::book::Cohort;
use crate::defence::{Defence, stands};
use crate::effect::SiloEffect;
use crate::envelope::Envelope;
use crate::fault::Fault;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) exchange: Exchange,
    pub(crate) input: Digest,
    pub(crate) ready: Envelope,
}

impl Ready {
    pub(crate) fn cohort_freeze(
        self,
        step: &mut Step<'_>,
        receipts: &[Envelope],
        ready: &[Envelope],
    ) -> Result<Phase, Fault> {
        let Self {
            exchange,
            input,
            ready: own_ready,
        } = self;
        let cohort = Cohort::new(
            &exchange.plan,
            step.surroundings.membership,
            &exchange.keys,
            &exchange.deals,
            receipts,
            ready,
        )?;
        if cohort.silos.binary_search(step.surroundings.name).is_err() {
            return Err(Fault::LeftOut { list: "cohort" });
        }
        if stands(Defence::OwnEcho) && !ready.contains(&own_ready) {
            return Err(Fault::OwnMessageChanged { message: "Ready" });
        }
        step.memory
            .may_upload(&exchange.plan, &cohort.silos, input)?;
        let masking = Masking {
            exchange,
            input,
            cohort,
        };
        let own = step.surroundings.name;
        let (job, tag_roots) = masking.derive(own, step.seeds(masking.exchange.plan.id)?)?;
        if let Some(secrets) = step.secrets.as_mut() {
            secrets.keep_tag_roots(tag_roots);
        }
        step.effects.push(SiloEffect::Mask(job));
        Ok(Phase::Masking(masking))
    }
}
