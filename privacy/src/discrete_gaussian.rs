// SPDX-License-Identifier: Apache-2.0
//! The discrete Gaussian, sampled exactly, in integers only.
//!
//! P(x) is proportional to exp(-x^2/(2 variance)) over all integers x. The method is that of [Canonne,
//! Kamath and Steinke 2020], algorithms 1 to 3: a discrete Laplace proposal, accepted with an exact
//! Bernoulli(exp(-r)) for a rational r. Nothing is rounded, so nothing leaks through low-order bits.
//!
//! The number of random words drawn varies with the samples: who can time single samples learns
//! something about the noise. Noise is therefore drawn for a whole vector, off the network path.
//!
//! [Canonne, Kamath and Steinke 2020]: https://arxiv.org/abs/2004.00010

use consilium_crypto::random::RandomSource;
use thiserror::Error;

/// A discrete Gaussian of integer variance, centred on zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscreteGaussian {
    variance: u128,
    /// floor(sigma) + 1: the scale of the Laplace proposal.
    proposal_scale: u64,
}

impl DiscreteGaussian {
    /// A variance from 1 to 2^60.
    pub fn new(variance: u64) -> Result<Self, VarianceFault> {
        if (1..=MOST_VARIANCE).contains(&variance) {
            Ok(Self {
                variance: u128::from(variance),
                proposal_scale: variance.isqrt() + 1,
            })
        } else {
            Err(VarianceFault { variance })
        }
    }

    /// One sample.
    pub fn sample(&self, random: &mut impl RandomSource) -> i64 {
        let scale = u128::from(self.proposal_scale);
        // At most 2^121.
        let denominator = 2 * self.variance * scale * scale;
        loop {
            let Some(proposal) = discrete_laplace(self.proposal_scale, random) else {
                continue;
            };
            let distance = (u128::from(proposal.magnitude) * scale).abs_diff(self.variance);
            // A distance of 2^64 or more is rejected outright. It would have been accepted with a
            // probability below exp(-112), and is proposed at all with one below exp(-15).
            if distance >> 64 == 0 && bernoulli_exp(distance * distance, denominator, random) {
                return proposal.signed();
            }
        }
    }

    /// As many independent samples as asked for.
    pub fn sample_vector(&self, length: usize, random: &mut impl RandomSource) -> Vec<i64> {
        (0..length).map(|_| self.sample(random)).collect()
    }

    /// Adds an independent sample to every coordinate.
    pub fn add_to(&self, vector: &mut [i64], random: &mut impl RandomSource) {
        for coordinate in vector {
            *coordinate = coordinate.wrapping_add(self.sample(random));
        }
    }
}

/// A variance that the sampler's 128-bit arithmetic does not cover.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a noise variance of {variance} is outside 1 to 2^60")]
pub struct VarianceFault {
    variance: u64,
}

struct Proposal {
    magnitude: u64,
    negative: bool,
}

impl Proposal {
    fn signed(&self) -> i64 {
        // A magnitude that reaches 2^63 is never accepted; it saturates rather than wraps.
        let magnitude = i64::try_from(self.magnitude).unwrap_or(i64::MAX);
        if self.negative { -magnitude } else { magnitude }
    }
}

/// Algorithm 2: P(x) proportional to exp(-|x|/scale). `None` is a magnitude of 2^64 or more, which has
/// a probability below exp(-2^33).
fn discrete_laplace(scale: u64, random: &mut impl RandomSource) -> Option<Proposal> {
    loop {
        let remainder = below(u128::from(scale), random);
        if !bernoulli_exp_unit(remainder, u128::from(scale), random) {
            continue;
        }
        let mut quotient = 0_u64;
        while bernoulli_exp_unit(1, 1, random) {
            quotient = quotient.checked_add(1)?;
        }
        let magnitude = u64::try_from(remainder)
            .ok()?
            .checked_add(scale.checked_mul(quotient)?)?;
        let negative = random.next_u64() & 1 == 1;
        // A negative zero would count zero twice.
        if magnitude != 0 || !negative {
            return Some(Proposal {
                magnitude,
                negative,
            });
        }
    }
}

/// True with probability exp(-numerator/denominator), exactly.
fn bernoulli_exp(mut numerator: u128, denominator: u128, random: &mut impl RandomSource) -> bool {
    while numerator > denominator {
        if !bernoulli_exp_unit(1, 1, random) {
            return false;
        }
        numerator -= denominator;
    }
    bernoulli_exp_unit(numerator, denominator, random)
}

/// Algorithm 1, for numerator <= denominator: the parity of the first failure in a run of Bernoulli(r/j).
fn bernoulli_exp_unit(numerator: u128, denominator: u128, random: &mut impl RandomSource) -> bool {
    let mut trial = 1_u128;
    // Bernoulli(r/j) as Bernoulli(r) and Bernoulli(1/j): the product of the denominators could overflow.
    while below(denominator, random) < numerator && below(trial, random) == 0 {
        trial += 1;
    }
    trial & 1 == 1
}

/// Uniform below `bound` (at least 1), by rejection.
fn below(bound: u128, random: &mut impl RandomSource) -> u128 {
    let bits = u128::BITS - (bound - 1).leading_zeros();
    loop {
        let candidate = match bits {
            0 => return 0,
            1..=64 => u128::from(random.next_u64() >> (64 - bits)),
            _ => {
                (u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()))
                    >> (128 - bits)
            }
        };
        if candidate < bound {
            return candidate;
        }
    }
}

const MOST_VARIANCE: u64 = 1 << 60;
