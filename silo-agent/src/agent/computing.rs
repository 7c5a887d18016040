// SPDX-License-Identifier: Apache-2.0
//! Long work on threads of its own: training and masking. Its results come back as inputs.

use consilium_crypto::digest::Digest;
use consilium_crypto::mersenne::Element;
use consilium_crypto::secret::Secret;
use consilium_learning::contribution::{ContributionFault, ContributionReader};
use consilium_learning::{LocalTraining, Model};
use consilium_policies::Isolation;
use consilium_privacy::loss::ClippingNorm;
use consilium_privacy::noise_plan::{NoisePlacement, VectorPlan};
use consilium_protocol::{AttemptId, MaskJob, RoundPlan, TagJob};

use super::Agent;
use crate::attempt_files::AttemptFiles;
use crate::consent::job;
use crate::durable_file::FileFault;
use crate::explain;
use crate::journal::StudyState;
use crate::policy_file::PolicyFile;
use crate::randomness;
use crate::trainer::{Trainer, TrainerFault};
use crate::trainer_child::pipe::{Job, TableFacts};
use crate::update_pipeline::{self, PipelineFault};

/// A protected contribution on disk.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its digest.
    pub(crate) input: Digest,
    /// What the trainer saw; `None` when the vector was there from before a restart.
    pub(crate) facts: Option<TableFacts>,
    /// Why nobody of this silo is in the vector, or in one of its local steps, where a trainer failed.
    pub(crate) failed: Option<String>,
}

/// Everything a trainer and the pipeline need for one round.
pub(super) struct TrainingOrder {
    job: Job,
    model: Model,
    /// Where every local step is noised: the steps.
    local: Option<LocalTraining>,
    dimension: usize,
    vector: VectorPlan,
    clip: Option<ClippingNorm>,
    isolation: Isolation,
}

/// Why a round's vector could not be prepared; for the hospital's own log.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareFault {
    #[error(transparent)]
    Trainer(#[from] TrainerFault),
    #[error(transparent)]
    Contribution(#[from] ContributionFault),
    #[error("the study's plan names no clipping norm")]
    NoClip,
    #[error(transparent)]
    Pipeline(#[from] PipelineFault),
    #[error(transparent)]
    File(#[from] FileFault),
}

impl PrepareFault {
    /// Whether it may come from what patients' rows hold: everything after a trainer has begun to read them.
    fn may_follow_the_data(&self) -> bool {
        match self {
            PrepareFault::Trainer(
                TrainerFault::Start(_)
                | TrainerFault::Isolation { .. }
                | TrainerFault::OtherFile(_),
            )
            | PrepareFault::NoClip
            | PrepareFault::File(_)
            | PrepareFault::Pipeline(PipelineFault::File(_)) => false,
            PrepareFault::Trainer(
                TrainerFault::NoAnswer(_)
                | TrainerFault::TooLong(_)
                | TrainerFault::OtherAnswer
                | TrainerFault::Data(_),
            )
            | PrepareFault::Contribution(_)
            | PrepareFault::Pipeline(_) => true,
        }
    }
}

/// Trains, protects, stores. A vector that is stored already is taken as it is: new noise under the masks of an
/// attempt that had been answered would be a second message under one key.
///
/// SECURITY: with noise a trainer that fails is one that saw nobody. Whether it fails may follow the data, at the wish of
/// whoever wrote the study: an attempt that ended for it would answer exactly, and uncharged.
pub(super) fn prepare(
    files: &AttemptFiles,
    trainer: &Trainer,
    id: AttemptId,
    order: TrainingOrder,
) -> Result<Prepared, PrepareFault> {
    if let Some(input) = files.stored_input(id)? {
        return Ok(Prepared {
            input,
            facts: None,
            failed: None,
        });
    }
    if let Some(training) = order.local.clone() {
        return prepare_locally(files, trainer, id, &order, training);
    }
    let TrainingOrder {
        job,
        model,
        local: _,
        dimension,
        vector,
        clip,
        isolation,
    } = order;
    let mut random = randomness::round_random();
    let contributed = trainer.contribute(job, model.to_bytes(), isolation, |pipe| {
        let mut contribution = ContributionReader::open(pipe, dimension)?;
        let mut input = files.store_input(id)?;
        update_pipeline::protect(&mut contribution, &vector, clip, &mut random, &mut input)?;
        Ok::<_, PrepareFault>(input.finish()?)
    });
    match (contributed, vector.noise, clip) {
        (Ok((input, facts)), _, _) => Ok(Prepared {
            input,
            facts: Some(facts),
            failed: None,
        }),
        (Err(fault), Some(noise), Some(clip)) if fault.may_follow_the_data() => {
            let sum = update_pipeline::noised_nobody(&vector, &noise, clip, &mut random)?;
            let mut input = files.store_input(id)?;
            input.push(sum.integers())?;
            Ok(Prepared {
                input: input.finish()?,
                facts: None,
                failed: Some(explain(&fault)),
            })
        }
        (Err(fault), _, _) => Err(fault),
    }
}

/// The same for a round of local steps that are all noised. Each has a trainer of its own, which knows the public study,
/// the data and the model, and nothing of the other steps.
///
/// COST: the table is read once for each local step.
fn prepare_locally(
    files: &AttemptFiles,
    trainer: &Trainer,
    id: AttemptId,
    order: &TrainingOrder,
    training: LocalTraining,
) -> Result<Prepared, PrepareFault> {
    let TrainingOrder {
        job,
        dimension,
        vector,
        clip,
        isolation,
        ..
    } = order;
    let (noise, clip) = (*training.noise(), clip.ok_or(PrepareFault::NoClip)?);
    let mut random = randomness::round_random();
    let (mut seen, mut failed) = (None, None);
    let mut input = files.store_input(id)?;
    let step = |model: &Model| {
        let contributed = trainer.contribute(job.clone(), model.to_bytes(), *isolation, |pipe| {
            let mut contribution = ContributionReader::open(pipe, *dimension)?;
            let sum =
                update_pipeline::noised(&mut contribution, vector, &noise, clip, &mut random)?;
            Ok::<_, PrepareFault>(sum)
        });
        match contributed {
            Ok((sum, facts)) => {
                seen.get_or_insert(facts);
                Ok::<_, PrepareFault>(sum)
            }
            // The steps before it are paid for with the round, and those after it go on from the same public numbers.
            Err(fault) if fault.may_follow_the_data() => {
                failed.get_or_insert_with(|| explain(&fault));
                let sum = update_pipeline::noised_nobody(vector, &noise, clip, &mut random)?;
                Ok(sum)
            }
            Err(fault) => Err(fault),
        }
    };
    update_pipeline::protect_steps(training, step, &mut input)?;
    Ok(Prepared {
        input: input.finish()?,
        facts: seen,
        failed,
    })
}

/// Masks the stored vector into the spool, and no other than the one that the journal names.
pub(super) fn mask(files: &AttemptFiles, job: &MaskJob) -> Result<(Digest, u64), PipelineFault> {
    let plan = job.plan();
    let input = files.read_input(plan.id, &job.input(), plan.vector.dimension)?;
    update_pipeline::mask(input, job, files.spool_masked(plan.id)?)
}

/// Applies the challenge to the stored vector, and to no other than the one that was masked.
pub(super) fn tag(files: &AttemptFiles, job: TagJob) -> Result<Secret<Element>, PipelineFault> {
    let plan = job.plan();
    let input = files.read_input(plan.id, &job.input(), plan.vector.dimension)?;
    update_pipeline::tag(input, job)
}

impl Agent {
    /// What a trainer needs for the round of this plan; the reason for having none stays here.
    ///
    /// SECURITY: the last look before patient data is read. The study must be consented to, and the plan must be the one
    /// that follows from it: what is computed is what the plan's masks and noise were made for.
    pub(super) fn training_order(
        &mut self,
        study: &str,
        plan: &RoundPlan,
    ) -> Result<TrainingOrder, String> {
        let record = self
            .journal
            .study(study)
            .map_err(|fault| explain(&fault))?
            .ok_or_else(|| "the study is not in the journal".to_owned())?;
        if record.state != StudyState::Granted {
            return Err(format!("the study is {}", record.state.word()));
        }
        let terms = self.terms_of(&record).map_err(|fault| explain(&fault))?;
        let model = terms
            .model(record.model.as_deref())
            .map_err(|fault| explain(&fault))?;
        let expected = terms
            .plan(plan.id, &self.membership, &model)
            .map_err(|fault| explain(&fault))?;
        if expected != *plan {
            return Err("the round's plan does not follow from the study".to_owned());
        }
        let data_set = self
            .data_sets
            .find(&terms.study.heading.data)
            .map_err(|fault| explain(&fault))?;
        let policy = PolicyFile::read(&self.folder.policy(), self.name.as_str())
            .map_err(|fault| explain(&fault))?;
        let vector = plan.vector;
        let local = match vector.noise.map(|noise| noise.placement) {
            Some(NoisePlacement::Local { .. }) => {
                let steps = terms.task.local_training(&vector, &model);
                Some(steps.map_err(|fault| explain(&fault))?)
            }
            Some(NoisePlacement::Shared) | None => None,
        };
        Ok(TrainingOrder {
            job: job(&data_set, &record.offer.study),
            local,
            dimension: terms.task.dimension_at(model.stage),
            vector,
            clip: terms.clip_at(model.stage),
            model,
            isolation: policy.policy.floor.isolation,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
