// SPDX-License-Identifier: Apache-2.0
//! From a study and the number of silos to the integers of its vector, and to what it promises patients.
//!
//! Every silo and the coordinator derive the same plan from public numbers.

use consilium_privacy::accountant::{PrivacyStatement, SamplerDistance, Sampling};
use consilium_privacy::calibration::Target;
use consilium_privacy::loss::NoiseMultiplier;
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, VectorPlan};

use super::privacy::{Aggregation, Distributed, Privacy};
use super::{Study, StudyFault};
use crate::task::Task;

impl Study {
    /// The vector of every round, for `silos` invited, of which `dropouts` may drop and `colluders` collude.
    ///
    /// # Errors
    /// [`StudyFault`] when no noise meets the privacy amounts, or the words are too narrow for so many silos.
    pub fn vector_plan(
        &self,
        silos: u32,
        dropouts: u32,
        colluders: u32,
    ) -> Result<VectorPlan, StudyFault> {
        let dimension = Task::new(self)
            .ok()
            .and_then(|task| u64::try_from(task.dimension()).ok())
            .ok_or_else(|| unplanned("analysis", "the analysis does not fit its columns".into()))?;
        match (&self.privacy, self.aggregation) {
            (
                Privacy::None,
                Aggregation::FixedPoint {
                    fraction_bits,
                    word_bits,
                },
            ) => VectorPlan::plain(dimension, silos, word_bits, fraction_bits).map_err(|fault| {
                StudyFault::Invalid {
                    field: "aggregation.word_bits".to_owned(),
                    problem: fault.to_string(),
                    fix: "write 64 and fewer `fraction_bits`".to_owned(),
                }
            }),
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

    /// What the study promises each patient, or each silo; `None` without noise.
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
        let plan = self.vector_plan(silos, dropouts, colluders)?;
        match plan.noise {
            None => Ok(None),
            Some(noise) => PrivacyStatement::of_plan(&noise, plan.dimension, promise.delta)
                .map(Some)
                .map_err(|fault| unplanned("privacy", fault.into())),
        }
    }

    /// The least noise that meets the study's epsilon, where so many vectors of noise are drawn for each sum.
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
        .calibrate_as_sampled(SamplerDistance::of_vectors(vectors, dimension))
        .map_err(|fault| unplanned("privacy.epsilon", fault.into()))
        .and_then(|multiplier| {
            // Over the clip of one vector: a patient of several silos has one in each.
            let times = f64::from(promise.most_silos_per_patient);
            NoiseMultiplier::new(multiplier.value() * times)
                .map_err(|fault| unplanned("privacy.most_silos_per_patient", fault.into()))
        })
    }
}

fn unplanned(field: &str, source: Box<dyn std::error::Error + Send + Sync>) -> StudyFault {
    StudyFault::Noise {
        field: field.to_owned(),
        source,
    }
}
