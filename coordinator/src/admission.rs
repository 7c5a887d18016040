// SPDX-License-Identifier: Apache-2.0
//! Whether a study can run at all under the roster in force, and what follows from it.
//!
//! Every silo derives the same for itself; nothing here binds anybody but the researcher, who hears early.

use crate::federation::PublishedRoster;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;
use consilium_learning::model::Stage;
use consilium_learning::{Model, Study, StudyFault, Task, TaskFault};
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::{
    AttemptId, Membership, PlanFault, RoundPlan, SiloName, SiloNameFault, Thresholds,
};

/// A study that can run.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    /// The parsed study.
    pub(crate) study: Study,
    /// What it computes.
    pub(crate) task: Task,
    /// H(task).
    task_digest: Digest,
    /// The vector of every round of training.
    vector: VectorPlan,
    /// The vector of the evaluation, if there is one.
    evaluation: Option<VectorPlan>,
    /// The plan of a round from the initial model, under no attempt's number.
    pub(crate) plan: RoundPlan,
}

/// Why a study cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdmissionFault {
    /// The file.
    #[error(transparent)]
    Study(#[from] StudyFault),
    /// What it computes.
    #[error(transparent)]
    Task(#[from] TaskFault),
    /// A name in `study.invite` that is none.
    #[error(transparent)]
    Silo(#[from] SiloNameFault),
    /// The silos.
    #[error(transparent)]
    Plan(#[from] PlanFault),
}

/// Checks a study against the roster. `asked` are the silos that were asked already; empty before.
pub(crate) fn admit(
    bytes: &[u8],
    asked: &[SiloName],
    roster: &PublishedRoster,
) -> Result<Admitted, AdmissionFault> {
    let study = Study::parse(bytes)?;
    let task = Task::new(&study)?;
    let membership = &roster.membership;
    let mut invited = study
        .heading
        .invite
        .iter()
        .map(|name| SiloName::parse(name))
        .collect::<Result<Vec<_>, _>>()?;
    if !asked.is_empty() {
        invited = asked.to_vec();
    } else if invited.is_empty() {
        invited = membership.silos.keys().cloned().collect();
    }
    invited.sort();
    let count = u32::try_from(invited.len()).unwrap_or(u32::MAX);
    let thresholds = Thresholds::new(count, membership.colluders, dropouts(&study))?;
    let vector = study.vector_plan(count, thresholds.dropouts, membership.colluders)?;
    let evaluation = study.evaluation_plan(count, thresholds.dropouts, membership.colluders)?;
    let task_digest = hash(Label::Task, &[&study.task_bytes()]);
    let nowhere = AttemptId {
        epoch: membership.epoch,
        round: 0,
        attempt: 0,
    };
    let plan = RoundPlan::new(
        nowhere,
        membership,
        &invited,
        dropouts(&study),
        model_digest(&task.initial_model()),
        task_digest,
        vector,
    )?;
    Ok(Admitted {
        study,
        task,
        task_digest,
        vector,
        evaluation,
        plan,
    })
}

impl Admitted {
    /// The plan of one attempt at a round from `model`.
    pub(crate) fn plan_for(
        &self,
        id: AttemptId,
        membership: &Membership,
        model: &Model,
    ) -> Result<RoundPlan, PlanFault> {
        RoundPlan::new(
            id,
            membership,
            &self.plan.silos,
            dropouts(&self.study),
            model_digest(model),
            self.task_digest,
            match model.stage {
                Stage::Training => self.vector,
                // No model of a study without an evaluation has this stage.
                Stage::Evaluation => self.evaluation.unwrap_or(self.vector),
            },
        )
    }
}

/// H(model), or the digest that says that a study has none.
fn model_digest(model: &Model) -> Digest {
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
