// SPDX-License-Identifier: Apache-2.0
//! The only way from what the trainer computed to what leaves the hospital.
//!
//! ```text
//! patient vectors -> clip -> quantise -> draw -> sum -> noise ─┐
//!                                                              ├─> stored input -> mod 2^bits -> mask -> packed spool
//! plain sum --------------------> fixed point ─────────────────┘
//! ```
//!
//! With local noise the first line is walked once for each local step, the noised sum moves the model at which the next
//! patient vectors are taken, and what is stored is the model's whole move:
//!
//! ```text
//! [ patient vectors -> clip -> quantise -> sum -> noise -> step ] x local steps -> move -> fixed point -> stored input
//! ```
//!
//! Where the silo is the unit, its whole contribution goes the first line's way as one vector:
//!
//! ```text
//! plain sum -> clip -> quantise -> noise -> stored input -> mod 2^bits -> mask -> packed spool
//! ```
//!
//! Where a trainer fails in a study with noise, nobody's vectors go these ways, and the noise alone is stored.
//!
//! INVARIANT: this order, called from this file and nowhere else. Clip, quantise, draw, add up and noise are one function of the
//! privacy crate, `noised_sum`, which its canary attacks; the noise path holds integers only.

use std::io::Read;

use consilium_crypto::digest::Digest;
use consilium_crypto::mersenne::Element;
use consilium_crypto::random::RoundRandom;
use consilium_crypto::ring::WordBits;
use consilium_crypto::secret::Secret;
use consilium_learning::contribution::{
    ContributionFault as ShapeFault, ContributionKind, ContributionReader,
};
use consilium_learning::{LocalTraining, Model, TaskFault};
use consilium_privacy::contribution::{ContributionFault, NoisedSum, noised_sum};
use consilium_privacy::fixed_point::FixedPointFault;
use consilium_privacy::loss::ClippingNorm;
use consilium_privacy::noise_plan::{NoisePlacement, NoisePlan, Unit, VectorPlan};
use consilium_protocol::{MaskJob, PlanFault, RoundPlan, TagJob, chunk_digest, upload_root};

use crate::attempt_files::{InputReader, InputWriter, MaskedSpool};
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
    /// Too many patients, or a plan whose noise cannot be sampled.
    #[error(transparent)]
    Contribution(#[from] ContributionFault),
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
    /// The words of the plan.
    #[error("the plan's words cannot be masked")]
    Words(#[source] PlanFault),
    /// The plan cuts the vector otherwise than it is stored.
    #[error("chunk {0} of the plan is no piece of the stored vector")]
    OtherChunk(u64),
    /// A local step that does not follow from the study.
    #[error(transparent)]
    Steps(TaskFault),
    /// What came is no contribution, or broke off.
    #[error(transparent)]
    Shape(#[from] ShapeFault),
    /// The attempt's files.
    #[error(transparent)]
    File(#[from] FileFault),
}

/// Turns a contribution, while it is read, into the integers that will be masked, and stores them. `clip` is the study's,
/// and absent without noise.
///
/// COST: without noise one piece is in memory; with noise the sum, and one patient's (or the silo's) vector as it is quantised.
pub(crate) fn protect(
    contribution: &mut ContributionReader<impl Read>,
    plan: &VectorPlan,
    clip: Option<ClippingNorm>,
    random: &mut RoundRandom,
    input: &mut InputWriter,
) -> Result<(), PipelineFault> {
    match (contribution.kind(), &plan.noise, clip) {
        // One sum of vectors is no whole round where every local step is noised.
        (ContributionKind::PatientVectors, Some(noise), Some(clip))
            if noise.placement == NoisePlacement::Shared && noise.unit == Unit::Patient =>
        {
            let sum = noised(contribution, plan, noise, clip, random)?;
            Ok(input.push(sum.integers())?)
        }
        // SECURITY: one vector, clipped as a whole. Patients' vectors, each clipped to the same norm, would add up to more.
        (ContributionKind::Sum, Some(noise), Some(clip))
            if noise.placement == NoisePlacement::Shared && noise.unit == Unit::Silo =>
        {
            let sum = noised_whole(contribution, plan, noise, clip, random)?;
            Ok(input.push(sum.integers())?)
        }
        (ContributionKind::PatientVectors, Some(noise), Some(_)) if noise.unit == Unit::Silo => {
            Err(PipelineFault::OtherKind {
                given: "one vector per patient",
                expected: "clips a silo's whole contribution",
            })
        }
        (ContributionKind::PatientVectors, Some(_), Some(_)) => Err(PipelineFault::OtherKind {
            given: "one vector per patient",
            expected: "has several local steps",
        }),
        (ContributionKind::Sum, None, None) => encode(contribution, plan, input),
        (ContributionKind::PatientVectors, Some(_), None) => Err(PipelineFault::OtherKind {
            given: "one vector per patient",
            expected: "names no clipping norm",
        }),
        (ContributionKind::PatientVectors, None, _) => Err(PipelineFault::OtherKind {
            given: "one vector per patient",
            expected: "has no noise",
        }),
        (ContributionKind::Sum, _, _) => Err(PipelineFault::OtherKind {
            given: "a sum over patients",
            expected: "clips every patient",
        }),
    }
}

/// All local steps of a round, each on patient vectors that `vectors` reads at the model it is given; stores the move.
///
/// SECURITY: `vectors` gets the model and gives a sum that [`noised`] made of what it read: the raw vectors of one step never
/// meet those of another, and nothing but noised sums moves the model.
pub(crate) fn protect_steps<F: From<PipelineFault> + From<FileFault>>(
    mut training: LocalTraining,
    mut vectors: impl FnMut(&Model) -> Result<NoisedSum, F>,
    input: &mut InputWriter,
) -> Result<(), F> {
    while !training.is_finished() {
        let sum = vectors(&training.model())?;
        training
            .take(sum.integers())
            .map_err(PipelineFault::Steps)?;
    }
    let moved = training.finish().map_err(PipelineFault::Steps)?;
    Ok(input.push(&moved)?)
}

/// Clips, quantises, adds up and noises one vector per patient.
pub(crate) fn noised(
    contribution: &mut ContributionReader<impl Read>,
    plan: &VectorPlan,
    noise: &NoisePlan,
    clip: ClippingNorm,
    random: &mut RoundRandom,
) -> Result<NoisedSum, PipelineFault> {
    if contribution.kind() != ContributionKind::PatientVectors {
        return Err(PipelineFault::OtherKind {
            given: "a sum over patients",
            expected: "clips every patient",
        });
    }
    let dimension = check_dimension(contribution.dimension(), plan)?;
    let mut torn = None;
    let patients = std::iter::from_fn(|| match contribution.next_vector() {
        Ok(vector) => vector,
        Err(fault) => {
            torn = Some(fault);
            None
        }
    });
    let sum = noised_sum(noise, clip, dimension, patients, random)?;
    match torn {
        Some(fault) => Err(fault.into()),
        None => Ok(sum),
    }
}

/// The sum of nobody with all of its noise: what leaves where a trainer failed, under the same masks and at the same price.
pub(crate) fn noised_nobody(
    plan: &VectorPlan,
    noise: &NoisePlan,
    clip: ClippingNorm,
    random: &mut RoundRandom,
) -> Result<NoisedSum, PipelineFault> {
    let dimension = usize::try_from(plan.dimension).map_err(|_| PipelineFault::OtherDimension {
        given: usize::MAX,
        expected: plan.dimension,
    })?;
    let nobody: [&[f64]; 0] = [];
    Ok(noised_sum(noise, clip, dimension, nobody, random)?)
}

/// Clips, quantises and noises the one vector of a whole silo. One that is not finite counts as zero, like a patient's.
fn noised_whole(
    contribution: &mut ContributionReader<impl Read>,
    plan: &VectorPlan,
    noise: &NoisePlan,
    clip: ClippingNorm,
    random: &mut RoundRandom,
) -> Result<NoisedSum, PipelineFault> {
    let dimension = check_dimension(contribution.dimension(), plan)?;
    // Whatever follows the vector is more than was asked for.
    match (contribution.next_vector()?, contribution.next_vector()?) {
        (Some(whole), None) => Ok(noised_sum(noise, clip, dimension, [whole], random)?),
        _ => Err(ShapeFault::Shape.into()),
    }
}

/// A sum without noise as fixed-point numbers; one that is not finite or too large is refused.
fn encode(
    contribution: &mut ContributionReader<impl Read>,
    plan: &VectorPlan,
    input: &mut InputWriter,
) -> Result<(), PipelineFault> {
    let dimension = check_dimension(contribution.dimension(), plan)?;
    let format = plan.fixed_point().map_err(PipelineFault::FixedPoint)?;
    let mut coordinate = 0;
    loop {
        let numbers = contribution.next_numbers(NUMBERS_AT_ONCE)?;
        if numbers.is_empty() {
            break;
        }
        let encoded = numbers.iter().zip(coordinate..).map(|(value, coordinate)| {
            format
                .encode(*value)
                .map_err(|source| PipelineFault::Encoding { coordinate, source })
        });
        input.push(&encoded.collect::<Result<Vec<_>, _>>()?)?;
        coordinate += numbers.len();
    }
    if coordinate == dimension {
        Ok(())
    } else {
        Err(ShapeFault::Shape.into())
    }
}

fn check_dimension(given: usize, plan: &VectorPlan) -> Result<usize, PipelineFault> {
    if u64::try_from(given).ok() == Some(plan.dimension) {
        Ok(given)
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
        let words = next_words(&mut input, plan, word_bits, index)?;
        let packed = job.mask_chunk(index, &words);
        digests.push(chunk_digest(&packed));
        spool.append(&packed)?;
    }
    let length = spool.finish()?;
    Ok((upload_root(&digests), length))
}

/// The inner product of the challenge with the stored input, under no mask yet: it stays in this process.
pub(crate) fn tag(
    mut input: InputReader,
    mut job: TagJob,
) -> Result<Secret<Element>, PipelineFault> {
    let plan = job.plan().clone();
    let word_bits = plan.word_bits().map_err(PipelineFault::Words)?;
    for index in 0..plan.chunk_count() {
        let words = next_words(&mut input, &plan, word_bits, index)?;
        job.add_chunk(index, &words);
    }
    Ok(job.finish())
}

/// The stored integers of one chunk as words.
fn next_words(
    input: &mut InputReader,
    plan: &RoundPlan,
    word_bits: WordBits,
    index: u64,
) -> Result<Vec<u64>, PipelineFault> {
    let fields = input.next_piece()?;
    if fields.len() != plan.fields_in_chunk(index) {
        return Err(PipelineFault::OtherChunk(index));
    }
    Ok(fields
        .into_iter()
        .map(|field| word_bits.encode(field))
        .collect())
}

/// Numbers of a contribution without noise that are in memory at one time.
const NUMBERS_AT_ONCE: usize = 32_768;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
