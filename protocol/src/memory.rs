// SPDX-License-Identifier: Apache-2.0
//! What a silo remembers across attempts, restarts and aborts.

use crate::defence::{Defence, stands};
use crate::envelope::encode;
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::round_plan::RoundPlan;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The part of a silo's state that no abort and no new attempt erases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SiloMemory {
    /// The highest attempt that was ever opened.
    highest: Option<AttemptId>,
    /// The upload that the masks of the highest attempt were spent on.
    burn: Option<Burn>,
    /// By (model, task): every vector that left, and what was voted for it.
    ///
    /// SECURITY: an upload counts as released, because a quorum of others can release it without this silo's vote.
    spent: BTreeMap<(Digest, Digest), Vec<Spent>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Burn {
    id: AttemptId,
    cohort: Digest,
    root: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Spent {
    input: Digest,
    /// Digest of the cohort's names.
    cohort: Digest,
    /// Digest of the survivors' names, once this silo has voted.
    voted: Option<Digest>,
}

impl SiloMemory {
    /// Whether an attempt's number grows.
    pub(crate) fn follows(&self, id: AttemptId) -> Result<(), Fault> {
        let stale = |highest: &AttemptId| {
            highest.order() >= id.order() && stands(Defence::MonotoneAttempts)
        };
        match self.highest.filter(stale) {
            Some(journalled) => Err(Fault::StaleAttempt {
                offered: id,
                journalled,
            }),
            None => Ok(()),
        }
    }

    /// The highest attempt that was ever opened.
    pub(crate) fn highest(&self) -> Option<AttemptId> {
        self.highest
    }

    /// Journals the beginning of an attempt; numbers only grow.
    pub(crate) fn open(&mut self, id: AttemptId) -> Result<(), Fault> {
        self.follows(id)?;
        self.highest = Some(id);
        Ok(())
    }

    /// Whether a vector may be uploaded for this model and task.
    ///
    /// Without noise the same question gets the same answer among the same silos, or none. With noise each answer is
    /// a full charge and carries noise of its own.
    pub(crate) fn may_upload(
        &self,
        plan: &RoundPlan,
        cohort: &[SiloName],
        input: Digest,
    ) -> Result<(), Fault> {
        let cohort = names_digest(cohort);
        let earlier = self.spent.get(&(plan.model, plan.task));
        let allowed = earlier.into_iter().flatten().all(|spent| {
            if plan.vector.noise.is_some() {
                spent.input != input
            } else {
                spent.input == input && spent.cohort == cohort
            }
        });
        if allowed || !stands(Defence::ReleasedPairs) {
            Ok(())
        } else {
            Err(Fault::AlreadyReleased)
        }
    }

    /// Spends the masks of an attempt on one upload, and the upload on its model and task.
    pub(crate) fn burn(
        &mut self,
        plan: &RoundPlan,
        cohort: (&Digest, &[SiloName]),
        root: Digest,
        input: Digest,
    ) -> Result<(), Fault> {
        let (cohort, names) = cohort;
        let burn = Burn {
            id: plan.id,
            cohort: *cohort,
            root,
        };
        match &self.burn {
            Some(earlier) if *earlier == burn => return Ok(()),
            Some(earlier) if earlier.id == plan.id && stands(Defence::Burn) => {
                return Err(Fault::MasksUsed(plan.id));
            }
            Some(_) | None => {}
        }
        if stands(Defence::Burn) {
            self.may_upload(plan, names, input)?;
        }
        let spent = self.spent.entry((plan.model, plan.task)).or_default();
        let cohort = names_digest(names);
        if !spent.iter().any(|spent| spent.input == input) {
            spent.push(Spent {
                input,
                cohort,
                voted: None,
            });
        }
        self.burn = Some(burn);
        Ok(())
    }

    /// Counts (model, task) as released by `survivors` with `input`, which was burnt before.
    pub(crate) fn vote(
        &mut self,
        plan: &RoundPlan,
        survivors: &[SiloName],
        input: Digest,
    ) -> Result<(), Fault> {
        let survivors = names_digest(survivors);
        let spent = self.spent.get_mut(&(plan.model, plan.task));
        let spent = spent
            .into_iter()
            .flatten()
            .find(|spent| spent.input == input)
            .ok_or(Fault::AlreadyReleased)?;
        let other = spent.voted.is_some_and(|voted| voted != survivors);
        if other && stands(Defence::ReleasedPairs) {
            return Err(Fault::AlreadyReleased);
        }
        spent.voted = Some(survivors);
        Ok(())
    }

    /// Whether a released list of uploads agrees with what this silo burnt in that attempt.
    pub(crate) fn agrees(
        &self,
        id: AttemptId,
        cohort: &Digest,
        own_root: Option<&Digest>,
    ) -> Result<(), Fault> {
        match (&self.burn, own_root) {
            (Some(burn), Some(root))
                if burn.id == id && (burn.cohort != *cohort || burn.root != *root) =>
            {
                Err(Fault::OwnMessageChanged {
                    message: "MaskedInput",
                })
            }
            _ => Ok(()),
        }
    }
}

fn names_digest(names: &[SiloName]) -> Digest {
    hash(Label::SiloList, &[&encode(&names)])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::example_plan::example_plan;

    fn digest(text: &[u8]) -> Digest {
        hash(Label::VectorInput, &[text])
    }

    #[test]
    fn masks_are_spent_on_one_upload() {
        let plan = example_plan(4, 4, 32);
        let silos = plan.silos.clone();
        let mut memory = SiloMemory::default();
        let (x, input) = (digest(b"X"), digest(b"input"));
        let burn = |memory: &mut SiloMemory, x: &Digest, root: &[u8]| {
            memory.burn(&plan, (x, &silos), digest(root), input)
        };
        assert_eq!(burn(&mut memory, &x, b"root"), Ok(()));
        let burnt = memory.clone();
        assert_eq!(burn(&mut memory, &x, b"root"), Ok(()));
        let used = Err(Fault::MasksUsed(plan.id));
        assert_eq!(burn(&mut memory, &x, b"other root"), used);
        assert_eq!(burn(&mut memory, &digest(b"other X"), b"root"), used);
        assert_eq!(memory, burnt);
    }

    #[test]
    fn a_vector_is_voted_for_with_one_set_of_survivors() {
        let plan = example_plan(4, 4, 32);
        let silos = plan.silos.clone();
        let mut memory = SiloMemory::default();
        let (x, root, input) = (digest(b"X"), digest(b"root"), digest(b"input"));
        let refused = Err(Fault::AlreadyReleased);
        // What was never burnt is never voted for.
        assert_eq!(memory.vote(&plan, &silos, input), refused);
        memory.burn(&plan, (&x, &silos), root, input).unwrap();
        assert_eq!(memory.vote(&plan, &silos, digest(b"another")), refused);
        assert_eq!(memory.vote(&plan, &silos, input), Ok(()));
        assert_eq!(memory.vote(&plan, &silos, input), Ok(()));
        assert_eq!(memory.vote(&plan, &silos[..3], input), refused);
    }
}
