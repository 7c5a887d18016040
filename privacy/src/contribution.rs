// SPDX-License-Identifier: Apache-2.0
//! What one silo puts under its mask: clip, quantise, draw, add up, add noise, in this order.
//!
//! Quantising comes before summing and the noise after it, so the sensitivity is an integer bound and
//! no floating-point sum is trusted.
#![deny(clippy::float_arithmetic)]

use consilium_crypto::random::{InsecureSeededRandom, RandomSource, RoundRandom};
use thiserror::Error;

use crate::clipping::quantise_patient;
use crate::discrete_gaussian::{DiscreteGaussian, ScaleFault};
use crate::loss::ClippingNorm;
use crate::noise_plan::NoisePlan;

/// The noised sum of one vector per patient, in integers.
///
/// Who takes part is drawn here too, patient by patient, where the plan has a batch drawn. The vectors of the others are
/// read and worked on alike, and add zero.
///
/// A vector of another length than `dimension`, or one that is not finite, counts as zero: whether a
/// round goes on must not depend on what a patient's vector holds.
///
/// ```
/// # use consilium_crypto::random::RoundRandom;
/// # use consilium_privacy::{contribution::noised_sum, loss::ClippingNorm, noise_plan::NoisePlan};
/// fn release(plan: &NoisePlan, norm: ClippingNorm, random: &mut RoundRandom) {
///     noised_sum(plan, norm, 3, [[0.1, 0.2, 0.3]], random);
/// }
/// ```
///
/// The generator of tests and simulations, whose seed can be guessed, is refused by the compiler:
///
/// ```compile_fail,E0308
/// # use consilium_crypto::random::InsecureSeededRandom;
/// # use consilium_privacy::{contribution::noised_sum, loss::ClippingNorm, noise_plan::NoisePlan};
/// fn release(plan: &NoisePlan, norm: ClippingNorm, random: &mut InsecureSeededRandom) {
///     noised_sum(plan, norm, 3, [[0.1, 0.2, 0.3]], random);
/// }
/// ```
// SECURITY: the generator is the concrete type that the operating system alone seeds; no other is accepted.
pub fn noised_sum(
    plan: &NoisePlan,
    norm: ClippingNorm,
    dimension: usize,
    patients: impl IntoIterator<Item: AsRef<[f64]>>,
    random: &mut RoundRandom,
) -> Result<NoisedSum, ContributionFault> {
    noised_sum_from(plan, norm, dimension, patients, random).map(NoisedSum)
}

/// The same integers from a generator whose seed is known: for tests, attacks on the noise and patients who do not exist.
///
/// They hide nobody, and no [`NoisedSum`] can be made of them:
///
/// ```compile_fail,E0308
/// # use consilium_crypto::random::InsecureSeededRandom;
/// # use consilium_privacy::contribution::{NoisedSum, simulated_sum};
/// # use consilium_privacy::{loss::ClippingNorm, noise_plan::NoisePlan};
/// fn release(plan: &NoisePlan, norm: ClippingNorm, random: &mut InsecureSeededRandom) -> NoisedSum {
///     simulated_sum(plan, norm, 3, [[0.1, 0.2, 0.3]], random).unwrap()
/// }
/// ```
pub fn simulated_sum(
    plan: &NoisePlan,
    norm: ClippingNorm,
    dimension: usize,
    patients: impl IntoIterator<Item: AsRef<[f64]>>,
    random: &mut InsecureSeededRandom,
) -> Result<Vec<i64>, ContributionFault> {
    noised_sum_from(plan, norm, dimension, patients, random)
}

/// Integers whose noise came from the operating system. [`noised_sum`] alone makes one, so that whoever releases sums can
/// ask for this type and get nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoisedSum(Vec<i64>);

impl NoisedSum {
    /// One integer for each coordinate.
    #[must_use]
    pub fn integers(&self) -> &[i64] {
        &self.0
    }
}

/// Why a silo has nothing to contribute.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContributionFault {
    /// More patients than the public bound; the sum could wrap.
    // The count is not carried: it is a fact about patients.
    #[error("the data set holds more patients than `most_patients_per_silo` ({cap}) of this study")]
    TooManyPatients {
        /// The public bound.
        cap: u64,
    },
    /// The plan's noise cannot be sampled.
    #[error(transparent)]
    Scale(#[from] ScaleFault),
}

fn noised_sum_from(
    plan: &NoisePlan,
    norm: ClippingNorm,
    dimension: usize,
    patients: impl IntoIterator<Item: AsRef<[f64]>>,
    random: &mut impl RandomSource,
) -> Result<Vec<i64>, ContributionFault> {
    let noise = DiscreteGaussian::new(plan.scale)?;
    let mut sum = vec![0_i64; dimension];
    let mut counted = 0_u64;
    for patient in patients {
        let patient = patient.as_ref();
        counted += 1;
        if counted > plan.patients_cap {
            return Err(ContributionFault::TooManyPatients {
                cap: plan.patients_cap,
            });
        }
        // SECURITY: drawn for every patient, whatever the vector holds, and known to nobody beyond this loop.
        let taking_part = plan.batch.draw(random);
        if patient.len() == dimension {
            for (total, term) in
                sum.iter_mut()
                    .zip(quantise_patient(patient, norm, plan.clip_integer))
            {
                // INVARIANT: at most cap * D < 2^60, which a validated plan guarantees.
                *total = total.wrapping_add(term & taking_part);
            }
        }
    }
    noise.add_to(&mut sum, random);
    Ok(sum)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)]
mod tests {
    use consilium_crypto::random::InsecureSeededRandom;

    use super::*;
    use crate::loss::{NoiseMultiplier, SamplingRate};
    use crate::noise_plan::NoiseTerms;

    fn plan(patients_cap: u64) -> NoisePlan {
        NoisePlan::derive(&NoiseTerms {
            multiplier: NoiseMultiplier::new(1.0).unwrap(),
            silos: 4,
            dropouts: 1,
            colluders: 1,
            attempts: 1,
            patients_cap,
            dimension: 3,
        })
        .unwrap()
    }

    fn sum(patients: &[Vec<f64>], cap: u64) -> Result<Vec<i64>, ContributionFault> {
        let norm = ClippingNorm::new(1.0).unwrap();
        let mut random = InsecureSeededRandom::from_seed(1);
        noised_sum_from(
            &plan(cap),
            norm,
            3,
            patients.iter().map(Vec::as_slice),
            &mut random,
        )
    }

    #[test]
    fn one_patient_moves_the_sum_by_at_most_the_clip_integer() {
        let without = sum(&[vec![0.1, 0.2, 0.3]], 10).unwrap();
        for patient in [
            vec![1e9, -2e9, 5.0],
            vec![f64::NAN, 0.0, 0.0],
            vec![0.0, 1.0, 0.0],
            vec![9.0; 7],
            vec![0.0; 3],
        ] {
            let with = sum(&[vec![0.1, 0.2, 0.3], patient], 10).unwrap();
            let shift: i128 = with
                .iter()
                .zip(&without)
                .map(|(a, b)| i128::from(a - b).pow(2))
                .sum();
            assert!(shift <= i128::from(plan(10).clip_integer).pow(2));
        }
    }

    #[test]
    fn a_vector_that_is_not_finite_or_has_another_length_counts_as_nothing() {
        let without = sum(&[vec![0.1, 0.2, 0.3]], 10).unwrap();
        for patient in [
            vec![f64::INFINITY, 0.1, 0.1],
            vec![],
            vec![0.1; 2],
            vec![0.1; 4],
        ] {
            assert_eq!(sum(&[vec![0.1, 0.2, 0.3], patient], 10).unwrap(), without);
        }
    }

    #[test]
    fn every_coordinate_is_noised_even_without_patients() {
        assert!(sum(&[], 10).unwrap().iter().all(|value| *value != 0));
    }

    #[test]
    fn patients_beyond_the_public_bound_are_refused_not_dropped() {
        let patients = vec![vec![0.0; 3]; 11];
        assert_eq!(
            sum(&patients, 10),
            Err(ContributionFault::TooManyPatients { cap: 10 })
        );
    }

    /// How many of `patients` a seed draws: equal noise cancels in the difference to vectors of zeros.
    fn drawn(plan: &NoisePlan, patients: usize, seed: u64) -> i64 {
        let norm = ClippingNorm::new(1.0).unwrap();
        let first = |vector: [f64; 3]| {
            let mut random = InsecureSeededRandom::from_seed(seed);
            noised_sum_from(plan, norm, 3, vec![vector; patients], &mut random).unwrap()[0]
        };
        let unit = quantise_patient(&[1.0, 0.0, 0.0], norm, plan.clip_integer)[0];
        let moved = first([1.0, 0.0, 0.0]) - first([0.0; 3]);
        assert_eq!(moved % unit, 0);
        moved / unit
    }

    #[test]
    fn each_seed_draws_a_batch_of_its_own() {
        let tenth = plan(100).with_sampling_rate(SamplingRate::new(0.1).unwrap());
        let sizes: Vec<i64> = (0..200).map(|seed| drawn(&tenth, 50, seed)).collect();
        // Nobody is in one batch of two hundred, more than 15 of 50 in one of 6,000; the seeds are fixed.
        assert!(sizes.contains(&0) && sizes.iter().all(|size| (0..=15).contains(size)));
        let all: i64 = sizes.iter().sum();
        // 10,000 draws: five standard deviations of 30, a false alarm in 10^6.
        assert!((all - 1_000).abs() < 150, "{all}");
        assert_eq!(drawn(&plan(100), 50, 3), 50);
    }

    #[test]
    fn who_is_drawn_depends_on_no_vector_and_the_bound_counts_everybody() {
        let half = plan(10).with_sampling_rate(SamplingRate::new(0.5).unwrap());
        let norm = ClippingNorm::new(1.0).unwrap();
        let sum = |patients: &[Vec<f64>]| {
            let mut random = InsecureSeededRandom::from_seed(8);
            noised_sum_from(&half, norm, 3, patients, &mut random)
        };
        let mut patients = vec![vec![0.1, 0.2, 0.3]; 10];
        let whole = sum(&patients).unwrap();
        let mut moved = 0;
        for changed in 0..10 {
            for vector in [vec![f64::NAN, 0.0, 0.0], vec![], vec![0.0; 3]] {
                patients[changed] = vector;
                let without = sum(&patients).unwrap();
                // Those who come after draw the same, so that only this patient's own part is missing.
                moved += usize::from(without != whole);
                let shift: i128 = whole
                    .iter()
                    .zip(&without)
                    .map(|(a, b)| i128::from(a - b).pow(2))
                    .sum();
                assert!(shift <= i128::from(half.clip_integer).pow(2));
            }
            patients[changed] = vec![0.1, 0.2, 0.3];
        }
        assert!(moved > 0 && moved < 30 && moved % 3 == 0, "{moved}");
        // Whether there are too many must not depend on the draw.
        let eleven = vec![vec![0.0; 3]; 11];
        assert_eq!(
            sum(&eleven),
            Err(ContributionFault::TooManyPatients { cap: 10 })
        );
    }

    #[test]
    fn a_released_sum_has_noise_that_the_system_drew_and_a_simulated_one_that_of_its_seed() {
        let norm = ClippingNorm::new(1.0).unwrap();
        let nobody = [[0.0; 3]; 0];
        let released = || {
            let mut random = RoundRandom::from_operating_system().unwrap();
            noised_sum(&plan(10), norm, 3, nobody, &mut random).unwrap()
        };
        // Three draws of a standard deviation of some 10^4: equal by chance once in 10^13.
        assert_ne!(released(), released());
        let simulated = |seed: u8| {
            let mut random = InsecureSeededRandom::from_bytes([seed; 32]);
            simulated_sum(&plan(10), norm, 3, nobody, &mut random).unwrap()
        };
        assert_eq!(simulated(1), simulated(1));
        assert_ne!(simulated(1), simulated(2));
    }
}
