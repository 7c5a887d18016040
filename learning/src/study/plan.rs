// SPDX-License-Identifier: Apache-2.0
//! From a study and the number of silos to the integers of its vector, and to what it promises patients.
//!
//! Every silo and the coordinator derive the same plan from public numbers. A study with an evaluation has two vectors: one
//! of its rounds of training, and one of the evaluation. Their noises are chosen so that both together keep one promise.

use consilium_privacy::accountant::{
    Adjacency, NoiseEvent, NoisedVectors, PrivacyStatement, RdpCurve, SamplerDistance, Sampling,
};
use consilium_privacy::calibration::{Beside, Target, multiplier_of_share};
use consilium_privacy::loss::{ClippingNorm, NoiseMultiplier};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, VectorPlan};

use super::privacy::{Aggregation, Distributed, Privacy};
use super::{EvaluationCharge, Study, StudyFault};
use crate::model::Stage;
use crate::task::Task;

impl Study {
    /// The vector of every round of training, for `silos` invited, of which `dropouts` may drop and `colluders` collude.
    ///
    /// # Errors
    /// [`StudyFault`] when no noise meets the privacy amounts, or the words are too narrow for so many silos.
    pub fn vector_plan(
        &self,
        silos: u32,
        dropouts: u32,
        colluders: u32,
    ) -> Result<VectorPlan, StudyFault> {
        let dimension = self.dimension(Stage::Training)?;
        match (&self.privacy, self.aggregation) {
            (
                Privacy::None,
                Aggregation::FixedPoint {
                    fraction_bits,
                    word_bits,
                },
            ) => plain(dimension, silos, word_bits, fraction_bits),
            (Privacy::Distributed(distributed), Aggregation::Quantised) => {
                let terms = NoiseTerms {
                    multiplier: self.multiplier(distributed, silos, dimension)?,
                    silos,
                    dropouts,
                    colluders,
                    attempts: self.attempts(),
                    patients_cap: distributed.most_patients_per_silo,
                    dimension,
                };
                NoisePlan::derive(&terms)
                    .map(|noise| {
                        noise
                            .with_sampling_rate(distributed.sampling_rate)
                            .with_unit(distributed.unit)
                            .with_silos_per_patient(distributed.most_silos_per_patient)
                    })
                    .map_err(|fault| unplanned("privacy", fault.into()))
                    .and_then(|noise| {
                        VectorPlan::noised(dimension, noise)
                            .map_err(|fault| unplanned("privacy", fault.into()))
                    })
            }
            (
                Privacy::Local(promise),
                Aggregation::FixedPoint {
                    fraction_bits,
                    word_bits,
                },
            ) => {
                let terms = NoiseTerms {
                    multiplier: self.multiplier(promise, 1, dimension)?,
                    silos,
                    dropouts,
                    colluders,
                    attempts: self.attempts(),
                    patients_cap: promise.most_patients_per_silo,
                    dimension,
                };
                NoisePlan::derive_local(&terms, self.releases_per_attempt())
                    .map_err(|fault| unplanned("privacy", fault.into()))
                    .and_then(|noise| {
                        VectorPlan::noised_locally(dimension, word_bits, fraction_bits, noise)
                            .map_err(|fault| unplanned("aggregation", fault.into()))
                    })
            }
            (Privacy::None | Privacy::Local(_), Aggregation::Quantised)
            | (Privacy::Distributed(_), Aggregation::FixedPoint { .. }) => Err(unplanned(
                "aggregation",
                "the aggregation does not fit the privacy mode".into(),
            )),
        }
    }

    /// The vector of the evaluation; `None` without one.
    ///
    /// # Errors
    /// As [`Self::vector_plan`].
    pub fn evaluation_plan(
        &self,
        silos: u32,
        dropouts: u32,
        colluders: u32,
    ) -> Result<Option<VectorPlan>, StudyFault> {
        let Some(evaluation) = &self.evaluation else {
            return Ok(None);
        };
        let dimension = self.dimension(Stage::Evaluation)?;
        let plan = match (&self.privacy, self.aggregation, evaluation.charge) {
            (
                Privacy::None,
                Aggregation::FixedPoint {
                    fraction_bits,
                    word_bits,
                },
                None,
            ) => plain(dimension, silos, word_bits, fraction_bits),
            (Privacy::Distributed(promise), Aggregation::Quantised, Some(charge)) => {
                let attempts = evaluation.attempts();
                NoisePlan::derive(&NoiseTerms {
                    multiplier: evaluation_multiplier(promise, charge, attempts)?,
                    silos,
                    dropouts,
                    colluders,
                    attempts,
                    patients_cap: promise.most_patients_per_silo,
                    dimension,
                })
                .map_err(|fault| unplanned("evaluation", fault.into()))
                .and_then(|noise| {
                    VectorPlan::noised(dimension, noise)
                        .map_err(|fault| unplanned("evaluation", fault.into()))
                })
            }
            (Privacy::None | Privacy::Distributed(_) | Privacy::Local(_), _, _) => Err(unplanned(
                "evaluation",
                "the evaluation does not fit the privacy mode".into(),
            )),
        };
        plan.map(Some)
    }

    /// What the study promises each patient, or each silo; `None` without noise. Training and evaluation are one promise.
    ///
    /// # Errors
    /// As [`Self::vector_plan`].
    pub fn privacy_statement(
        &self,
        silos: u32,
        dropouts: u32,
        colluders: u32,
    ) -> Result<Option<PrivacyStatement>, StudyFault> {
        let Some(promise) = self.privacy.promise() else {
            return Ok(None);
        };
        let noised = |vector: VectorPlan| {
            let dimension = vector.dimension;
            vector.noise.map(|plan| NoisedVectors { plan, dimension })
        };
        let evaluation = self.evaluation_plan(silos, dropouts, colluders)?;
        match noised(self.vector_plan(silos, dropouts, colluders)?) {
            None => Ok(None),
            Some(training) => {
                PrivacyStatement::of_plans(training, evaluation.and_then(noised), promise.delta)
                    .map(Some)
                    .map_err(|fault| unplanned("privacy", fault.into()))
            }
        }
    }

    /// The least noise of a round that meets the study's epsilon beside an evaluation, where so many vectors of noise are
    /// drawn for each sum.
    fn multiplier(
        &self,
        promise: &Distributed,
        vectors: u32,
        dimension: u64,
    ) -> Result<NoiseMultiplier, StudyFault> {
        Target {
            epsilon: promise.epsilon,
            delta: promise.delta,
            sampling: Sampling::Poisson(promise.sampling_rate),
            adjacency: promise.unit.adjacency(),
            attempts: self.attempts().saturating_mul(self.releases_per_attempt()),
        }
        .calibrate_beside(
            SamplerDistance::of_vectors(vectors, dimension),
            &self.beside_training(promise, vectors)?,
        )
        .map_err(|fault| unplanned("privacy.epsilon", fault.into()))
        .and_then(|multiplier| {
            // Over the clip of one vector: a patient of several silos has one in each.
            let times = f64::from(promise.most_silos_per_patient);
            NoiseMultiplier::new(multiplier.value() * times)
                .map_err(|fault| unplanned("privacy.most_silos_per_patient", fault.into()))
        })
    }

    /// What the evaluation takes of the study's promise.
    fn beside_training(&self, promise: &Distributed, vectors: u32) -> Result<Beside, StudyFault> {
        let charged = self
            .evaluation
            .as_ref()
            .and_then(|evaluation| Some((evaluation.attempts(), evaluation.charge?)));
        let Some((attempts, charge)) = charged else {
            return Ok(Beside::nothing());
        };
        let multiplier = evaluation_multiplier(promise, charge, attempts)?;
        let event = NoiseEvent::new(multiplier.value(), ClippingNorm::ONE, Adjacency::AddRemove)
            .map_err(|fault| unplanned("evaluation", fault.into()))?;
        let dimension = self.dimension(Stage::Evaluation)?;
        Ok(Beside {
            curve: RdpCurve::full_batch(&event, attempts),
            distance: SamplerDistance::of_vectors(vectors, dimension).times(attempts),
        })
    }

    /// Coordinates of a vector.
    fn dimension(&self, stage: Stage) -> Result<u64, StudyFault> {
        Task::new(self)
            .ok()
            .and_then(|task| u64::try_from(task.dimension_at(stage)).ok())
            .ok_or_else(|| unplanned("analysis", "the analysis does not fit its columns".into()))
    }
}

/// The noise of an evaluation: as much as gives all its attempts their share of what a single release may lose.
fn evaluation_multiplier(
    promise: &Distributed,
    charge: EvaluationCharge,
    attempts: u32,
) -> Result<NoiseMultiplier, StudyFault> {
    let whole = Target {
        epsilon: promise.epsilon,
        delta: promise.delta,
        sampling: Sampling::Everybody,
        adjacency: Adjacency::AddRemove,
        attempts: 1,
    }
    .calibrate()
    .map_err(|fault| unplanned("privacy.epsilon", fault.into()))?;
    multiplier_of_share(whole, charge.loss_share, attempts)
        .map_err(|fault| unplanned("evaluation.loss_share", fault.into()))
}

fn plain(
    dimension: u64,
    silos: u32,
    word_bits: u8,
    fraction_bits: u8,
) -> Result<VectorPlan, StudyFault> {
    VectorPlan::plain(dimension, silos, word_bits, fraction_bits).map_err(|fault| {
        StudyFault::Invalid {
            field: "aggregation.word_bits".to_owned(),
            problem: fault.to_string(),
            fix: "write 64 and fewer `fraction_bits`".to_owned(),
        }
    })
}

fn unplanned(field: &str, source: Box<dyn std::error::Error + Send + Sync>) -> StudyFault {
    StudyFault::Noise {
        field: field.to_owned(),
        source,
    }
}
