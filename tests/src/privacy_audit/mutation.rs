// SPDX-License-Identifier: Apache-2.0
//! A silo's part in a round, right and with one mistake in it.

use anyhow::Result;
use consilium_crypto::random::InsecureSeededRandom;
use consilium_crypto::transcript::sha256;
use consilium_privacy::batch::Batch;
use consilium_privacy::clipping::quantise_patient;
use consilium_privacy::contribution::simulated_sum;
use consilium_privacy::loss::ClippingNorm;
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, View};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing.
    None,
    /// The first honest silo adds no noise.
    MissingShare,
    /// Noise for all `n` silos, as if none dropped out or colluded.
    SharesOfAll,
    /// The silos of a round draw from one seed.
    EqualSeeds,
    /// Patients are clipped to `2 C` and scaled by `D/C`.
    DoubleClip,
    /// A vector with a coordinate that is no number is not clipped.
    NotANumber,
    /// The noised sum is weighted by the number of patients.
    WeightAfterNoise,
    /// The last coordinate is the number of patients, without noise.
    CountBesideNoise,
    /// Every patient takes part, where a batch is to be drawn and is charged for.
    NoPoisson,
}

impl Mutation {
    /// Every mistake.
    pub const MISTAKES: [Self; 8] = [
        Self::MissingShare,
        Self::SharesOfAll,
        Self::EqualSeeds,
        Self::DoubleClip,
        Self::NotANumber,
        Self::WeightAfterNoise,
        Self::CountBesideNoise,
        Self::NoPoisson,
    ];

    /// The plan that the silos follow, where another one was promised.
    pub fn plan(self, promised: &NoisePlan) -> Result<NoisePlan> {
        if self == Self::NoPoisson {
            return Ok(NoisePlan {
                batch: Batch::Everybody,
                ..*promised
            });
        }
        if self != Self::SharesOfAll {
            return Ok(*promised);
        }
        let terms = NoiseTerms {
            multiplier: promised.multiplier(View::Colluders)?,
            silos: promised.silos,
            dropouts: 0,
            colluders: 0,
            attempts: promised.attempts,
            patients_cap: promised.patients_cap,
            dimension: 1,
        };
        Ok(NoisePlan::derive(&terms)?)
    }
}

/// Where and when a silo adds up.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Which attack: two with different seeds share no randomness.
    pub seed: u64,
    /// The round, from 0.
    pub round: u32,
    /// The silo, from 0.
    pub silo: usize,
}

impl Moment {
    fn random(self) -> InsecureSeededRandom {
        let mut bytes = self.seed.to_le_bytes().to_vec();
        bytes.extend(self.round.to_le_bytes());
        bytes.extend(self.silo.to_le_bytes());
        InsecureSeededRandom::from_bytes(*sha256(&bytes).as_bytes())
    }
}

/// What a silo puts under its mask.
pub fn contribution(
    mutation: Mutation,
    plan: &NoisePlan,
    norm: ClippingNorm,
    dimension: usize,
    patients: &[Vec<f64>],
    moment: Moment,
) -> Result<Vec<i64>> {
    let mut random = if mutation == Mutation::EqualSeeds {
        Moment { silo: 0, ..moment }.random()
    } else {
        moment.random()
    };
    let mut right = |patients: &[Vec<f64>]| {
        simulated_sum(
            plan,
            norm,
            dimension,
            patients.iter().map(Vec::as_slice),
            &mut random,
        )
    };
    let quantised = |quantise: &dyn Fn(&[f64]) -> Vec<i64>, mut sum: Vec<i64>| {
        for patient in patients {
            for (total, term) in sum.iter_mut().zip(quantise(patient)) {
                *total = total.wrapping_add(term);
            }
        }
        sum
    };
    let honest = |patient: &[f64]| quantise_patient(patient, norm, plan.clip_integer);
    Ok(match mutation {
        Mutation::None | Mutation::SharesOfAll | Mutation::EqualSeeds | Mutation::NoPoisson => {
            right(patients)?
        }
        Mutation::MissingShare if moment.silo != 0 => right(patients)?,
        Mutation::MissingShare => quantised(&honest, vec![0; dimension]),
        Mutation::DoubleClip => {
            let twice = ClippingNorm::new(2.0 * norm.value())?;
            let too_long =
                |patient: &[f64]| quantise_patient(patient, twice, 2 * plan.clip_integer);
            quantised(&too_long, right(&[])?)
        }
        Mutation::NotANumber => {
            let unbounded = |patient: &[f64]| scaled(patient, norm, plan.clip_integer);
            let noise = right(&[])?;
            if patients.iter().flatten().all(|value| value.is_finite()) {
                quantised(&honest, noise)
            } else {
                quantised(&unbounded, noise)
            }
        }
        Mutation::WeightAfterNoise => {
            let weight = i64::try_from(patients.len())?;
            let noised = right(patients)?;
            noised.into_iter().map(|value| value * weight).collect()
        }
        Mutation::CountBesideNoise => {
            let mut noised = right(patients)?;
            if let Some(last) = noised.last_mut() {
                *last = i64::try_from(patients.len())?;
            }
            noised
        }
    })
}

/// Reals as integers, without a look at the norm.
fn scaled(vector: &[f64], norm: ClippingNorm, clip_integer: u64) -> Vec<i64> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the mistake itself: no number becomes zero and the others stay"
    )]
    vector
        .iter()
        .map(|value| (value * clip_integer as f64 / norm.value()) as i64)
        .collect()
}
