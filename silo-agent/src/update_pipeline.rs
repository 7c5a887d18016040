// SPDX-License-Identifier: Apache-2.0
//! The only way from what the trainer computed to what leaves the hospital.
//!
//! ```text
//! patient vectors -> clip -> quantise -> sum -> noise ─┐
//!                                                      ├─> stored input -> mod 2^bits -> mask -> packed spool
//! plain sum --------------------> fixed point ─────────┘
//! ```
//!
//! INVARIANT: this order, in this file, and nowhere else. The noise path holds integers only.

use consilium_crypto::digest::Digest;
use consilium_crypto::random::RoundRandom;
use consilium_learning::contribution::Contribution;
use consilium_privacy::clipping::quantise_patient;
use consilium_privacy::discrete_gaussian::{DiscreteGaussian, VarianceFault};
use consilium_privacy::fixed_point::FixedPointFault;
use consilium_privacy::loss::ClippingNorm;
use consilium_privacy::noise_plan::{NoisePlan, VectorPlan};
use consilium_protocol::PlanFault;
use consilium_protocol::{MaskJob, chunk_digest, upload_root};

use crate::attempt_files::{InputReader, MaskedSpool};
use crate::durable_file::FileFault;

/// Why a contribution does not become a vector.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipelineFault {
    /// The trainer computed another kind of contribution than the plan protects.
    #[error("the trainer gave {given}, but the plan {expected}")]
    OtherKind {
        /// What came.
        given: &'static str,
        /// What the plan says.
        expected: &'static str,
    },
    /// A vector of another length.
    #[error("the trainer gave vectors of {given} coordinates, but the plan has {expected}")]
    OtherDimension {
        /// Coordinates that came.
        given: usize,
        /// Coordinates of the plan.
        expected: u64,
    },
    /// More patients than the words of the sum have room for.
    #[error(
        "the data set has more patients than the study's `most_patients_per_silo`; none may be left out to fit"
    )]
    TooManyPatients,
    /// A coordinate of an unnoised sum that cannot be encoded.
    #[error("coordinate {coordinate} of the sum cannot be encoded")]
    Encoding {
        /// Which coordinate, from 0.
        coordinate: usize,
        /// Why.
        #[source]
        source: FixedPointFault,
    },
    /// The plan contradicts itself.
    #[error("the study's numbers cannot be encoded")]
    FixedPoint(#[source] FixedPointFault),
    /// The plan's noise.
    #[error("the plan's noise cannot be sampled")]
    Noise(#[source] VarianceFault),
    /// The words of the plan.
    #[error("the plan's words cannot be masked")]
    Words(#[source] PlanFault),
    /// The attempt's files.
    #[error(transparent)]
    File(#[from] FileFault),
}

/// Turns a contribution into the integers that will be masked. `clip` is the study's, and absent without noise.
pub(crate) fn protect(
    contribution: Contribution,
    plan: &VectorPlan,
    clip: Option<ClippingNorm>,
    random: &mut RoundRandom,
) -> Result<Vec<i64>, PipelineFault> {
    match (contribution, &plan.noise, clip) {
        (Contribution::PatientVectors { dimension, vectors }, Some(noise), Some(clip)) => {
            check_dimension(dimension, plan)?;
            let mut sum = clipped_sum(&vectors, dimension, noise, clip)?;
            add_noise(&mut sum, noise, random)?;
            Ok(sum)
        }
        (Contribution::Sum(sum), None, None) => encode(&sum, plan),
        (Contribution::PatientVectors { .. }, Some(_), None) => Err(PipelineFault::OtherKind {
            given: "one vector per patient",
            expected: "names no clipping norm",
        }),
        (Contribution::PatientVectors { .. }, None, _) => Err(PipelineFault::OtherKind {
            given: "one vector per patient",
            expected: "has no noise",
        }),
        (Contribution::Sum(_), _, _) => Err(PipelineFault::OtherKind {
            given: "a sum over patients",
            expected: "clips every patient",
        }),
    }
}

/// Clip and quantise each patient, then add up. A vector that is not finite or too long after rounding counts zero.
fn clipped_sum(
    vectors: &[Vec<f64>],
    dimension: usize,
    noise: &NoisePlan,
    clip: ClippingNorm,
) -> Result<Vec<i64>, PipelineFault> {
    if u64::try_from(vectors.len()).map_or(true, |patients| patients > noise.patients_cap) {
        return Err(PipelineFault::TooManyPatients);
    }
    let mut sum = vec![0_i64; dimension];
    for vector in vectors {
        if vector.len() != dimension {
            let expected = u64::try_from(dimension).unwrap_or(u64::MAX);
            return Err(PipelineFault::OtherDimension {
                given: vector.len(),
                expected,
            });
        }
        for (total, term) in sum
            .iter_mut()
            .zip(quantise_patient(vector, clip, noise.clip_integer))
        {
            // The plan's cap keeps this far from its end: cap * D < 2^62.
            *total = total.wrapping_add(term);
        }
    }
    Ok(sum)
}

/// Adds this silo's share of the noise: integers from an integer sampler.
fn add_noise(
    sum: &mut [i64],
    noise: &NoisePlan,
    random: &mut RoundRandom,
) -> Result<(), PipelineFault> {
    DiscreteGaussian::new(noise.variance)
        .map_err(PipelineFault::Noise)?
        .add_to(sum, random);
    Ok(())
}

/// A sum without noise as fixed-point numbers; one that is not finite or too large is refused.
fn encode(sum: &[f64], plan: &VectorPlan) -> Result<Vec<i64>, PipelineFault> {
    check_dimension(sum.len(), plan)?;
    let format = plan.fixed_point().map_err(PipelineFault::FixedPoint)?;
    sum.iter()
        .enumerate()
        .map(|(coordinate, value)| {
            format
                .encode(*value)
                .map_err(|source| PipelineFault::Encoding { coordinate, source })
        })
        .collect()
}

fn check_dimension(given: usize, plan: &VectorPlan) -> Result<(), PipelineFault> {
    if u64::try_from(given).ok() == Some(plan.dimension) {
        Ok(())
    } else {
        Err(PipelineFault::OtherDimension {
            given,
            expected: plan.dimension,
        })
    }
}

/// Masks the stored input chunk by chunk into the spool; gives the root over the chunks and their length in bytes.
pub(crate) fn mask(
    mut input: InputReader,
    job: &MaskJob,
    mut spool: MaskedSpool,
) -> Result<(Digest, u64), PipelineFault> {
    let plan = job.plan();
    let word_bits = plan.word_bits().map_err(PipelineFault::Words)?;
    let mut digests = Vec::new();
    for index in 0..plan.chunk_count() {
        let fields = input.next(plan.fields_in_chunk(index))?;
        let mut words: Vec<u64> = fields
            .into_iter()
            .map(|field| word_bits.encode(field))
            .collect();
        let packed = job.mask_chunk(index, &mut words);
        digests.push(chunk_digest(&packed));
        spool.append(&packed)?;
    }
    let length = spool.finish()?;
    Ok((upload_root(&digests), length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
