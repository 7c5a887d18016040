// SPDX-License-Identifier: Apache-2.0
//! Holds: the set it voted for. Accepts: a certificate for that set. Sends: exactly one kind of share of every member of
//! the cohort, then erases the seeds. Aborts: on a certificate for another set.

use super::Step;
use super::phase::{Phase, Reply};
use super::revealed::{Certified, Revealed};
use super::training::Exchange;
#[cfg(feature = "insecure_for_test")]
use super::uploaded::Uploaded;
use crate::book::{Cohort, Survivors};
use crate::certificate::Certificate;
use crate::defence::{Defence, stands};
use crate::envelope::{Delivery, Envelope};
use crate::fault::Fault;
use crate::message::{SecretKind, SiloMessage};
use crate::signed_list::Known;
use crate::unmask::kind_of;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Voted {
    pub(crate) exchange: Exchange,
    pub(crate) input: Digest,
    pub(crate) cohort: Cohort,
    pub(crate) survivors: Survivors,
}

impl Voted {
    /// Where a silo that votes twice would stand again.
    #[cfg(feature = "insecure_for_test")]
    pub(crate) fn before_the_vote(self, own: &crate::id::SiloName) -> Result<Uploaded, Fault> {
        let list = "survivor set";
        let root = *self.survivors.root(own).ok_or(Fault::LeftOut { list })?;
        Ok(Uploaded {
            exchange: self.exchange,
            input: self.input,
            cohort: self.cohort,
            root,
        })
    }

    pub(crate) fn certificate(
        self,
        step: &mut Step<'_>,
        votes: &[Envelope],
    ) -> Result<Phase, Fault> {
        let Self {
            exchange,
            input,
            cohort,
            survivors,
        } = self;
        let Exchange { plan, keys, deals } = exchange;
        let membership = step.surroundings.membership;
        let certificate =
            Certificate::new(&plan, membership, &cohort, &survivors, votes, &Known::new())?;
        // The shares go with the seeds: what was revealed once is not there any more.
        step.seeds(plan.id)?;
        let secrets = step.secrets(plan.id)?;
        let mut shares = Vec::with_capacity(cohort.silos.len());
        for dealer in &cohort.silos {
            let opened = keys.position(dealer).and_then(|at| secrets.dealt(at));
            let dealt = opened.ok_or_else(|| Fault::BadDeal {
                silo: dealer.clone(),
            })?;
            // INVARIANT: one kind per peer. The other kind is erased below, unrevealed.
            let share = match kind_of(&survivors, dealer) {
                SecretKind::SelfMask => dealt.self_mask.clone(),
                SecretKind::MaskKey => dealt.mask_key.clone(),
            };
            if !stands(Defence::OneKindPerPeer) {
                shares.extend([dealt.self_mask.clone(), dealt.mask_key.clone()]);
                continue;
            }
            shares.push(share);
        }
        let reveal = step.sign(plan.id, cohort.digest, SiloMessage::Reveal { shares });
        step.reply = Reply::Send(Delivery::bare(reveal));
        if let Some(secrets) = step.secrets.as_mut() {
            secrets.forget_seeds();
        }
        Ok(Phase::Revealed(Revealed {
            certified: Certified {
                plan,
                keys,
                deals,
                cohort,
                survivors,
                certificate,
                input,
            },
        }))
    }
}
