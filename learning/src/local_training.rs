// SPDX-License-Identifier: Apache-2.0
//! The local steps of one silo with noise at each of them.
//!
//! ```text
//! public model -> [ one vector per patient -> clip, quantise, add up, noise -> take ] x steps -> finish: the move
//! ```
//!
//! The agent runs it, and its trainer sees the model only. Everything here is computed from noised sums and from numbers
//! that stand in the study: what [`LocalTraining::finish`] gives tells no more of a patient than those sums do.
//!
//! INVARIANT: no number of the silo's own enters, not even how many patients it has. A step divides by the study's
//! `expected_patients` over the number of silos, and every silo weighs the same. With one local step a round is then the
//! one of FedSGD, where every silo's gradients count by its patients.

use consilium_privacy::fixed_point::FixedPoint;
use consilium_privacy::noise_plan::{NoisePlacement, NoisePlan, VectorPlan};

use crate::model::Model;
use crate::task::{TaskFault, in_reals};

/// What a study says of its local steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalStep {
    pub(crate) learning_rate: f64,
    pub(crate) steps: u32,
    pub(crate) ridge: f64,
    /// Patients of all silos, by public numbers.
    pub(crate) expected_batch: f64,
}

/// A silo between two of its local steps.
#[derive(Clone, Debug)]
pub struct LocalTraining {
    step: LocalStep,
    clip: f64,
    noise: NoisePlan,
    format: FixedPoint,
    start: Model,
    moved: Vec<f64>,
    taken: u32,
}

impl LocalTraining {
    pub(crate) fn begin(
        step: LocalStep,
        clip: f64,
        plan: &VectorPlan,
        model: &Model,
    ) -> Result<Self, TaskFault> {
        let noise = plan.noise.ok_or(TaskFault::OtherPlan)?;
        if noise.placement != (NoisePlacement::Local { steps: step.steps }) {
            return Err(TaskFault::OtherPlan);
        }
        Ok(Self {
            step,
            clip,
            noise,
            format: plan.fixed_point().map_err(|_| TaskFault::OtherPlan)?,
            start: model.clone(),
            moved: vec![0.0; model.parameters.len()],
            taken: 0,
        })
    }

    /// Whether steps are left.
    pub fn is_finished(&self) -> bool {
        self.taken >= self.step.steps
    }

    /// The noise that each step's sum must carry.
    pub fn noise(&self) -> &NoisePlan {
        &self.noise
    }

    /// Where the patients' vectors of the next step are taken.
    pub fn model(&self) -> Model {
        let pairs = self.start.parameters.iter().zip(&self.moved);
        Model {
            parameters: pairs.map(|(start, moved)| start + moved).collect(),
            ..self.start.clone()
        }
    }

    /// Steps along the mean of a noised sum.
    ///
    /// # Errors
    /// [`TaskFault`] when the sum is of another length, or no step is left.
    pub fn take(&mut self, noised: &[i64]) -> Result<(), TaskFault> {
        if noised.len() != self.moved.len() || self.is_finished() {
            return Err(TaskFault::OtherLength {
                expected: self.moved.len(),
                found: noised.len(),
            });
        }
        let patients = self.step.expected_batch / f64::from(self.noise.silos);
        let LocalStep {
            learning_rate,
            ridge,
            ..
        } = self.step;
        let furthest = self.furthest();
        let score = in_reals(noised, &self.noise, self.clip);
        let starts = self.start.parameters.iter().zip(score);
        for (moved, (start, slope)) in self.moved.iter_mut().zip(starts) {
            let gradient = slope / patients - ridge * (start + *moved);
            let next = *moved + learning_rate * gradient;
            // SECURITY: a model that grew beyond all bounds must not become a reason to fail, which the noise does not
            // cover as long as nothing was charged.
            *moved = if next.is_nan() {
                0.0
            } else {
                next.clamp(-furthest, furthest)
            };
        }
        self.taken += 1;
        Ok(())
    }

    /// The silo's part of the mean move, as the integers that are added up under the masks.
    ///
    /// # Errors
    /// [`TaskFault::StepsLeft`] before the last step.
    pub fn finish(self) -> Result<Vec<i64>, TaskFault> {
        if !self.is_finished() {
            return Err(TaskFault::StepsLeft);
        }
        let silos = f64::from(self.noise.silos);
        let encoded = self
            .moved
            .iter()
            .map(|moved| self.format.encode_saturating(moved / silos));
        Ok(encoded.collect())
    }

    /// As far as the integers reach.
    fn furthest(&self) -> f64 {
        self.format.largest() * f64::from(self.noise.silos)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation
)]
mod tests;
