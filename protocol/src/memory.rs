// SPDX-License-Identifier: Apache-2.0
//! What a silo remembers across attempts, restarts and aborts.

use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::round_plan::RoundPlan;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The part of a silo's state that no abort and no new attempt erases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SiloMemory {
    /// The highest attempt that was ever opened.
    highest: Option<AttemptId>,
    /// The upload that the masks of the highest attempt were spent on.
    burn: Option<Burn>,
    /// From its vote on, a sum of (model, task) counts as released.
    voted: BTreeMap<(Digest, Digest), VotedPair>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Burn {
    id: AttemptId,
    cohort: Digest,
    root: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct VotedPair {
    survivors: Vec<SiloName>,
    input: Digest,
}

impl SiloMemory {
    /// Journals the beginning of an attempt; numbers only grow.
    pub(crate) fn open(&mut self, id: AttemptId) -> Result<(), Fault> {
        if let Some(journalled) = self.highest.filter(|highest| highest.order() >= id.order()) {
            return Err(Fault::StaleAttempt {
                offered: id,
                journalled,
            });
        }
        self.highest = Some(id);
        Ok(())
    }

    /// Spends the masks of an attempt on one upload.
    pub(crate) fn burn(
        &mut self,
        id: AttemptId,
        cohort: Digest,
        root: Digest,
    ) -> Result<(), Fault> {
        let burn = Burn { id, cohort, root };
        match &self.burn {
            Some(earlier) if earlier.id == id && *earlier != burn => Err(Fault::MasksUsed(id)),
            Some(_) | None => {
                self.burn = Some(burn);
                Ok(())
            }
        }
    }

    /// Whether a vector may be uploaded for this model and task.
    ///
    /// SECURITY: asked before the upload, because a quorum of others can release an upload without this silo's vote.
    pub(crate) fn may_upload(&self, plan: &RoundPlan, input: Digest) -> Result<(), Fault> {
        let earlier = self.voted.get(&(plan.model, plan.task));
        match earlier {
            Some(vote) if vote.input != input && plan.vector.noise.is_none() => {
                Err(Fault::AlreadyReleased)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Counts (model, task) as released by `survivors` with `input`.
    ///
    /// Without noise the same pair may be voted for again only with equal survivors and an equal vector.
    /// With noise every attempt is fresh noise and a full charge, so it may.
    pub(crate) fn vote(
        &mut self,
        plan: &RoundPlan,
        survivors: Vec<SiloName>,
        input: Digest,
    ) -> Result<(), Fault> {
        let pair = (plan.model, plan.task);
        let vote = VotedPair { survivors, input };
        let repeated = self
            .voted
            .get(&pair)
            .is_some_and(|earlier| *earlier != vote);
        if repeated && plan.vector.noise.is_none() {
            return Err(Fault::AlreadyReleased);
        }
        self.voted.insert(pair, vote);
        Ok(())
    }
}
