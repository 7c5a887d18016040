// SPDX-License-Identifier: Apache-2.0
//! What this silo itself derives from a study: the task, the public model, and the one plan it accepts for a round.
//!
//! Nothing here is taken from the coordinator but the attempt's number.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;
use consilium_learning::model::{Model, ModelFault, Stage};
use consilium_learning::study::{Study, StudyFault};
use consilium_learning::task::{EVALUATION_CLIP, Step, Task, TaskFault};
use consilium_privacy::loss::ClippingNorm;
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::{
    AttemptId, Fault, Membership, PlanFault, RoundPlan, SiloName, SiloNameFault, Thresholds,
    VerifiedSum, WorkloadFault,
};

use crate::ledger::StudyVectors;

/// A study with everything that follows from it under the pinned roster.
#[derive(Clone, Debug)]
pub(crate) struct StudyTerms {
    pub(crate) study: Study,
    pub(crate) task: Task,
    pub(crate) invited: Vec<SiloName>,
    pub(crate) thresholds: Thresholds,
    /// The vectors of its stages.
    pub(crate) vectors: StudyVectors,
}

/// Why no safe round follows from a study.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TermsFault {
    /// The study file.
    #[error(transparent)]
    Study(#[from] StudyFault),
    /// What it computes.
    #[error(transparent)]
    Task(#[from] TaskFault),
    /// Who is invited.
    #[error(transparent)]
    Silo(#[from] SiloNameFault),
    /// How many are invited.
    #[error(transparent)]
    Plan(#[from] PlanFault),
    /// The released sum.
    #[error(transparent)]
    Sum(#[from] Fault),
    /// The stored model.
    #[error(transparent)]
    Model(#[from] ModelFault),
    /// More than every host certainly holds.
    #[error(transparent)]
    Workload(#[from] WorkloadFault),
    /// More silos than can be counted.
    #[error("{0} silos are invited, which is more than this version counts")]
    TooManySilos(usize),
}

impl StudyTerms {
    /// Derives everything from the study's bytes and the list of the invited.
    pub(crate) fn derive(
        bytes: &[u8],
        invited: &[String],
        membership: &Membership,
    ) -> Result<StudyTerms, TermsFault> {
        let study = Study::parse(bytes)?;
        let task = Task::new(&study)?;
        let mut invited = invited
            .iter()
            .map(|name| SiloName::parse(name))
            .collect::<Result<Vec<_>, _>>()?;
        invited.sort();
        let count =
            u32::try_from(invited.len()).map_err(|_| TermsFault::TooManySilos(invited.len()))?;
        let thresholds = Thresholds::new(count, membership.colluders, dropouts(&study))?;
        let (dropouts, colluders) = (thresholds.dropouts, membership.colluders);
        let vectors = StudyVectors {
            training: study.vector_plan(count, dropouts, colluders)?,
            evaluation: study.evaluation_plan(count, dropouts, colluders)?,
        };
        // SECURITY: here, where public numbers alone decide. What a host does not hold would fail later, by its patients.
        vectors.check_workload()?;
        Ok(StudyTerms {
            study,
            task,
            invited,
            thresholds,
            vectors,
        })
    }

    /// The only plan that this silo accepts for a round from `model`. The attempt's number alone is the coordinator's.
    pub(crate) fn plan(
        &self,
        id: AttemptId,
        membership: &Membership,
        model: &Model,
    ) -> Result<RoundPlan, TermsFault> {
        let id = AttemptId {
            epoch: membership.epoch,
            ..id
        };
        Ok(RoundPlan::new(
            id,
            membership,
            &self.invited,
            dropouts(&self.study),
            model_digest(model),
            self.task_digest(),
            self.vector_at(model.stage)?,
        )?)
    }

    /// The vector of a sum that starts from a model at this stage.
    ///
    /// SECURITY: the stage is the model's, and the model is what verified sums made of it: no coordinator chooses when the
    /// evaluation comes, or at which model.
    pub(crate) fn vector_at(&self, stage: Stage) -> Result<VectorPlan, TermsFault> {
        Ok(self.vectors.at(stage).ok_or(TaskFault::NotEvaluated)?)
    }

    /// The stage to which an attempt belongs, `model` being where the study has come to.
    ///
    /// SECURITY: training and evaluation may have equal vectors and yet jobs of their own. The model at which the attempt
    /// runs tells them apart; one that the study has gone beyond is charged at the price of the noise in it.
    pub(crate) fn stage_of(&self, plan: &RoundPlan, model: &Model) -> Option<Stage> {
        let is_from_here = model_digest(model) == plan.model;
        match self.vectors.at(model.stage) {
            Some(vector) if is_from_here && vector == plan.vector => Some(model.stage),
            Some(_) | None => self.vectors.stage_of(&plan.vector),
        }
    }

    /// H(task).
    pub(crate) fn task_digest(&self) -> Digest {
        hash(Label::Task, &[&self.study.task_bytes()])
    }

    /// The public model after the rounds so far.
    pub(crate) fn model(&self, stored: Option<&[u8]>) -> Result<Model, TermsFault> {
        match stored {
            Some(bytes) => Ok(Model::from_bytes(bytes)?),
            None => Ok(self.task.initial_model()),
        }
    }

    /// The public model after one more verified sum, and whether the study is complete with it.
    pub(crate) fn advance(
        &self,
        model: &Model,
        verified: &VerifiedSum,
    ) -> Result<(Model, bool), TermsFault> {
        let word_bits = verified.plan.word_bits()?;
        let sum: Vec<i64> = verified
            .words()?
            .iter()
            .map(|word| word_bits.lift(*word))
            .collect();
        let vector = self.vector_at(model.stage)?;
        let sum = self.task.decode_at(model.stage, &vector, &sum)?;
        Ok(match self.task.advance(model, &sum)? {
            Step::Continue(next) => (next, false),
            Step::Trained(outcome) => (outcome.model, false),
            Step::Finished(outcome) => (outcome.model, true),
            Step::Evaluated { model, .. } => (model, true),
        })
    }

    /// Bytes of the longest packed vector of this study.
    pub(crate) fn packed_bytes(&self) -> u64 {
        let packed = |vector: VectorPlan| {
            let bits = vector.dimension.saturating_mul(u64::from(vector.word_bits));
            bits.div_ceil(8)
        };
        let evaluation = self.vectors.evaluation.map_or(0, packed);
        packed(self.vectors.training).max(evaluation)
    }

    /// The norm to which each patient's vector is clipped at a stage; `None` without noise.
    pub(crate) fn clip_at(&self, stage: Stage) -> Option<ClippingNorm> {
        self.study.privacy.promise().map(|promise| match stage {
            Stage::Training => promise.clip,
            Stage::Evaluation => EVALUATION_CLIP,
        })
    }

    /// The invited silos' names as text.
    pub(crate) fn invited_names(&self) -> Vec<String> {
        self.invited
            .iter()
            .map(|silo| silo.as_str().to_owned())
            .collect()
    }
}

/// H(model), or the digest that says that a study has none.
pub(crate) fn model_digest(model: &Model) -> Digest {
    if model.is_none() {
        hash(Label::NoModel, &[])
    } else {
        hash(Label::Model, &[&model.to_bytes()])
    }
}

/// Without noise nobody may be missing: the difference of two sums would be somebody's contribution.
fn dropouts(study: &Study) -> Option<u32> {
    if study.is_noised() { None } else { Some(0) }
}
