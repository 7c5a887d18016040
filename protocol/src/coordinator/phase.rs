// SPDX-License-Identifier: Apache-2.0
//! The enum outside the phases' structs: what is stored, resumed and driven.

use super::advertising::Advertising;
use super::challenging::Challenging;
use super::committing::Committing;
use super::preparing::Preparing;
use super::releasing::Released;
use super::replaying::Replaying;
use super::revealing::{Revealing, Unmasking};
use super::sharing::Sharing;
use super::tagging::{Checking, Tagging};
use super::uploading::Uploading;
use super::voting::Voting;
use super::{Deadlines, Step};
use crate::challenge::InnerProduct;
use crate::effect::CoordinatorEffect;
use crate::envelope::{Delivery, Envelope, VerifiedSilo};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::round_plan::RoundPlan;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Where the attempt stands.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Phase {
    Advertising(Advertising),
    Sharing(Sharing),
    Preparing(Preparing),
    Uploading(Uploading),
    Voting(Voting),
    Revealing(Revealing),
    Unmasking(Unmasking),
    Committing(Committing),
    Challenging(Challenging),
    Tagging(Tagging),
    Checking(Checking),
    Replaying(Replaying),
    Released(Released),
    Abandoned,
}

/// What closing a phase gives.
pub(crate) enum Close {
    /// The next phase has begun.
    Next(Phase),
    /// The answers do not fit together yet.
    Wait(Phase),
}

impl Phase {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Advertising(_) => "advertising keys",
            Self::Sharing(_) => "sharing keys",
            Self::Preparing(_) => "computing",
            Self::Uploading(_) => "uploading",
            Self::Voting(_) => "voting",
            Self::Revealing(_) => "revealing",
            Self::Unmasking(_) => "unmasking",
            Self::Committing(_) => "committing the sum",
            Self::Challenging(_) => "gathering nonces",
            Self::Tagging(_) => "gathering tags",
            Self::Checking(_) => "checking the sum",
            Self::Replaying(_) => "computing the sum again",
            Self::Released(_) => "released",
            Self::Abandoned => "abandoned",
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Released(_) | Self::Abandoned)
    }

    pub(crate) fn waits_for_silos(&self) -> bool {
        match self {
            Self::Advertising(_)
            | Self::Sharing(_)
            | Self::Preparing(_)
            | Self::Uploading(_)
            | Self::Voting(_)
            | Self::Revealing(_)
            | Self::Challenging(_)
            | Self::Tagging(_)
            | Self::Replaying(_) => true,
            Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Checking(_)
            | Self::Released(_)
            | Self::Abandoned => false,
        }
    }

    /// Whether inputs have been masked, so that an abandoned attempt stays charged.
    pub(crate) fn charged(&self) -> bool {
        match self {
            Self::Advertising(_) | Self::Sharing(_) | Self::Preparing(_) => false,
            Self::Uploading(_)
            | Self::Voting(_)
            | Self::Revealing(_)
            | Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Challenging(_)
            | Self::Tagging(_)
            | Self::Checking(_)
            | Self::Replaying(_)
            | Self::Released(_)
            | Self::Abandoned => true,
        }
    }

    pub(crate) fn duration(&self, deadlines: &Deadlines) -> u64 {
        match self {
            Self::Preparing(_) => deadlines.preparation_milliseconds,
            // Tags and replays run over the whole vector.
            Self::Uploading(_) | Self::Tagging(_) | Self::Replaying(_) => {
                deadlines.upload_milliseconds
            }
            Self::Advertising(_)
            | Self::Sharing(_)
            | Self::Voting(_)
            | Self::Revealing(_)
            | Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Challenging(_)
            | Self::Checking(_)
            | Self::Released(_)
            | Self::Abandoned => deadlines.exchange_milliseconds,
        }
    }

    /// The transcripts under which this phase accepts a silo's message.
    pub(crate) fn transcripts(&self, plan: &RoundPlan) -> Vec<Digest> {
        match self {
            Self::Advertising(_) => vec![plan.opening_transcript()],
            Self::Sharing(phase) => vec![phase.keys.digest],
            Self::Preparing(phase) => vec![phase.deals.digest],
            Self::Uploading(phase) => vec![phase.cohort.digest],
            Self::Voting(phase) => vec![phase.cohort.digest],
            Self::Revealing(phase) => vec![phase.voted.cohort.digest],
            Self::Challenging(phase) => vec![phase.logged.voted().cohort.digest],
            Self::Tagging(phase) => vec![phase.logged.voted().cohort.digest],
            Self::Replaying(phase) => vec![phase.transcript()],
            Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Checking(_)
            | Self::Released(_)
            | Self::Abandoned => Vec::new(),
        }
    }

    /// Takes a verified message of a silo of the plan.
    pub(crate) fn accept(
        &mut self,
        plan: &RoundPlan,
        verified: VerifiedSilo,
        delivery: Delivery,
        effects: &mut Vec<CoordinatorEffect>,
    ) -> Result<(), Fault> {
        match self {
            Self::Advertising(phase) => phase.accept(verified, delivery),
            Self::Sharing(phase) => phase.accept(verified, delivery, effects),
            Self::Preparing(phase) => phase.accept(verified, delivery),
            Self::Uploading(phase) => phase.accept(plan, verified, delivery),
            Self::Voting(phase) => phase.accept(verified, delivery),
            Self::Revealing(phase) => phase.accept(plan, verified, delivery, effects),
            Self::Challenging(phase) => phase.accept(plan.id, verified, delivery),
            Self::Tagging(phase) => phase.accept(verified, delivery),
            Self::Replaying(phase) => phase.accept(verified, delivery),
            Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Checking(_)
            | Self::Released(_)
            | Self::Abandoned => Err(Fault::Unexpected {
                message: verified.message.name(),
                phase: self.name(),
            }),
        }
    }

    pub(crate) fn uploaded(&mut self, from: SiloName, root: Digest, length: u64) {
        if let Self::Uploading(phase) = self {
            phase.spooled(from, root, length);
        }
    }

    /// The silos whose answers this phase waits for.
    pub(crate) fn expected(&self, plan: &RoundPlan) -> Vec<SiloName> {
        match self {
            Self::Advertising(_) => plan.silos.clone(),
            Self::Sharing(phase) => phase
                .keys
                .entries
                .iter()
                .map(|entry| entry.silo.clone())
                .collect(),
            Self::Preparing(phase) => phase
                .deals
                .entries
                .iter()
                .map(|entry| entry.silo.clone())
                .collect(),
            Self::Uploading(phase) => phase.cohort.silos.clone(),
            Self::Voting(phase) => phase.survivor_names(),
            Self::Revealing(phase) => phase.voted.survivor_names(),
            Self::Challenging(phase) => phase.voters(),
            Self::Tagging(phase) => phase.logged.voted().survivor_names(),
            Self::Replaying(phase) => phase.expected(plan),
            Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Checking(_)
            | Self::Released(_)
            | Self::Abandoned => Vec::new(),
        }
    }

    /// The survivors who compute the sum again, while they do.
    pub(crate) fn replaying(&self) -> Option<Vec<SiloName>> {
        match self {
            Self::Replaying(phase) => Some(phase.survivor_names()),
            Self::Advertising(_)
            | Self::Sharing(_)
            | Self::Preparing(_)
            | Self::Uploading(_)
            | Self::Voting(_)
            | Self::Revealing(_)
            | Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Challenging(_)
            | Self::Tagging(_)
            | Self::Checking(_)
            | Self::Released(_)
            | Self::Abandoned => None,
        }
    }

    /// The silos that have answered.
    pub(crate) fn answered(&self, plan: &RoundPlan) -> BTreeSet<SiloName> {
        match self {
            Self::Advertising(phase) => phase.advertisements.keys().cloned().collect(),
            Self::Sharing(phase) => phase.deals.keys().cloned().collect(),
            Self::Preparing(phase) => phase.complete(),
            Self::Uploading(phase) => phase.complete(plan),
            Self::Voting(phase) => phase.votes.keys().cloned().collect(),
            Self::Revealing(phase) => phase.reveals.keys().cloned().collect(),
            Self::Challenging(phase) => phase.nonces.keys().cloned().collect(),
            Self::Tagging(phase) => phase.tags.keys().cloned().collect(),
            Self::Replaying(phase) => phase.replayed.keys().cloned().collect(),
            Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Checking(_)
            | Self::Released(_)
            | Self::Abandoned => BTreeSet::new(),
        }
    }

    /// What a silo said first, where this phase or one before it asked for such a message and the answer is held as it
    /// came. Reveals lie with the driver.
    pub(crate) fn first_answer(&self, silo: &SiloName, message: &str) -> Option<&Envelope> {
        let kept = match self {
            Self::Advertising(phase) => &phase.advertisements,
            Self::Sharing(phase) => &phase.deals,
            Self::Preparing(phase) if message == "Ready" => &phase.ready,
            Self::Preparing(phase) => &phase.receipts,
            Self::Uploading(phase) => &phase.uploads,
            Self::Voting(phase) => &phase.votes,
            Self::Revealing(phase) => &phase.voted.votes,
            Self::Challenging(phase) if message == "Vote" => &phase.logged.voted().votes,
            Self::Challenging(phase) => &phase.nonces,
            Self::Tagging(phase) if message == "Vote" => &phase.logged.voted().votes,
            Self::Tagging(phase) if message == "Nonce" => return phase.nonce(silo),
            Self::Tagging(phase) => &phase.tags,
            Self::Replaying(phase) if message == "Vote" => &phase.logged.voted().votes,
            Self::Replaying(phase) => &phase.replayed,
            Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Checking(_)
            | Self::Released(_)
            | Self::Abandoned => return None,
        };
        kept.get(silo)
            .filter(|first| first.peek_name() == Some(message))
    }

    /// The fewest answers with which this phase may close.
    pub(crate) fn fewest(&self, plan: &RoundPlan) -> usize {
        match self {
            Self::Advertising(_) | Self::Sharing(_) | Self::Preparing(_) | Self::Uploading(_) => {
                plan.fewest()
            }
            Self::Voting(_) => plan.thresholds_quorum(),
            // Without all of them the sum is computed again.
            Self::Challenging(_) | Self::Tagging(_) | Self::Replaying(_) => 0,
            Self::Revealing(_)
            | Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Checking(_)
            | Self::Released(_)
            | Self::Abandoned => usize::try_from(plan.thresholds.threshold).unwrap_or(usize::MAX),
        }
    }

    /// Closes the phase and begins the next.
    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        match self {
            Self::Advertising(phase) => phase.close(step),
            Self::Sharing(phase) => phase.close(step),
            Self::Preparing(phase) => phase.close(step),
            Self::Uploading(phase) => phase.close(step),
            Self::Voting(phase) => phase.close(step),
            Self::Revealing(phase) => phase.close(step),
            Self::Challenging(phase) => phase.close(step),
            Self::Tagging(phase) => phase.close(step),
            Self::Replaying(phase) => Ok(phase.close(step)),
            over @ (Self::Unmasking(_)
            | Self::Committing(_)
            | Self::Checking(_)
            | Self::Released(_)
            | Self::Abandoned) => Ok(Close::Wait(over)),
        }
    }

    pub(crate) fn summed(self, digest: Digest, effects: &mut Vec<CoordinatorEffect>) -> Self {
        match self {
            Self::Unmasking(phase) => phase.summed(digest, effects),
            other => other,
        }
    }

    pub(crate) fn sum_logged(self, step: &mut Step<'_>, proof: Vec<u8>) -> Self {
        match self {
            Self::Committing(phase) => phase.sum_logged(step, proof),
            other => other,
        }
    }

    pub(crate) fn checked(self, step: &mut Step<'_>, product: InnerProduct) -> Self {
        match self {
            Self::Checking(phase) => phase.checked(step, product),
            other => other,
        }
    }

    pub(crate) fn resume(
        &self,
        plan: &RoundPlan,
        effects: &mut Vec<CoordinatorEffect>,
    ) -> Result<(), Fault> {
        match self {
            Self::Unmasking(phase) => effects.push(CoordinatorEffect::Unmask(phase.job(plan)?)),
            Self::Committing(phase) => effects.push(CoordinatorEffect::CommitSum(phase.sum)),
            Self::Checking(phase) => {
                effects.push(CoordinatorEffect::CheckSum(phase.inner_product(plan)?));
            }
            Self::Advertising(_)
            | Self::Sharing(_)
            | Self::Preparing(_)
            | Self::Uploading(_)
            | Self::Voting(_)
            | Self::Revealing(_)
            | Self::Challenging(_)
            | Self::Tagging(_)
            | Self::Replaying(_)
            | Self::Released(_)
            | Self::Abandoned => {}
        }
        Ok(())
    }
}
