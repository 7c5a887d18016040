// SPDX-License-Identifier: Apache-2.0
//! A study's jobs in the ledger: its training under the study's name, and its evaluation, if it has one, beside it.
//!
//! Each has attempts and a price of its own. They are set aside together or not at all, and end together.

use consilium_learning::model::Stage;
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::{WorkloadFault, check_workload};

/// What a study's vectors look like at each stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StudyVectors {
    /// Of every round of training.
    pub(crate) training: VectorPlan,
    /// Of the evaluation, if there is one.
    pub(crate) evaluation: Option<VectorPlan>,
}

impl StudyVectors {
    /// The jobs of a study of this name, with the vectors that each of their attempts releases.
    pub(crate) fn jobs(&self, study: &str) -> Vec<(String, VectorPlan)> {
        let evaluation = self.evaluation.map(|plan| (Stage::Evaluation, plan));
        std::iter::once((Stage::Training, self.training))
            .chain(evaluation)
            .map(|(stage, plan)| (job_name(study, stage), plan))
            .collect()
    }

    /// The vector of a stage, if the study has it.
    pub(crate) fn at(&self, stage: Stage) -> Option<VectorPlan> {
        match stage {
            Stage::Training => Some(self.training),
            Stage::Evaluation => self.evaluation,
        }
    }

    /// Whether every host certainly gets through each of them.
    pub(crate) fn check_workload(&self) -> Result<(), WorkloadFault> {
        check_workload(&self.training)?;
        self.evaluation.as_ref().map_or(Ok(()), check_workload)
    }

    /// The first stage whose attempts have this vector.
    ///
    /// SECURITY: an attempt is charged at the price of the noise in it, however far the model has come meanwhile.
    pub(crate) fn stage_of(&self, plan: &VectorPlan) -> Option<Stage> {
        [Stage::Training, Stage::Evaluation]
            .into_iter()
            .find(|stage| self.at(*stage).as_ref() == Some(plan))
    }
}

impl From<VectorPlan> for StudyVectors {
    /// A study without an evaluation.
    fn from(training: VectorPlan) -> Self {
        Self {
            training,
            evaluation: None,
        }
    }
}

/// The job of one stage of a study.
pub(crate) fn job_name(study: &str, stage: Stage) -> String {
    match stage {
        Stage::Training => study.to_owned(),
        Stage::Evaluation => format!("{study}{EVALUATION}"),
    }
}

/// The job of a study's evaluation, beside the one of its training under the study's own name.
#[must_use]
pub fn evaluation_job(study: &str) -> String {
    job_name(study, Stage::Evaluation)
}

/// All jobs that a study of this name may have.
pub(super) fn all_names(study: &str) -> [String; 2] {
    [Stage::Training, Stage::Evaluation].map(|stage| job_name(study, stage))
}

/// The study and the stage that a job belongs to.
pub(crate) fn named(job: &str) -> (&str, Stage) {
    match job.strip_suffix(EVALUATION) {
        Some(study) => (study, Stage::Evaluation),
        None => (job, Stage::Training),
    }
}

/// Names of studies are 64 digits: none of them ends like this.
const EVALUATION: &str = "/evaluation";
