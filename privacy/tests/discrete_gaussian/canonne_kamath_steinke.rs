// SPDX-License-Identifier: Apache-2.0
//! The reference: the discrete Gaussian of an integer variance, after [Canonne, Kamath and Steinke 2020],
//! algorithms 1 to 3: a discrete Laplace proposal, accepted with an exact Bernoulli(exp(-r)) for a
//! rational r. It shares nothing with the sampler that is tested: other proposals, no table, no
//! logarithm, nothing rounded. Its time tells its values.
//!
//! [Canonne, Kamath and Steinke 2020]: https://arxiv.org/abs/2004.00010

use consilium_crypto::random::RandomSource;

/// P(x) proportional to exp(-x^2/(2 variance)).
pub(crate) struct Reference {
    variance: u128,
    /// floor(sigma) + 1: the scale of the Laplace proposal.
    proposal_scale: u64,
}

impl Reference {
    /// A variance from 1 to 2^60.
    pub(crate) fn new(variance: u64) -> Self {
        assert!((1..=1 << 60).contains(&variance));
        Self {
            variance: variance.into(),
            proposal_scale: variance.isqrt() + 1,
        }
    }

    /// One sample.
    pub(crate) fn sample(&self, random: &mut impl RandomSource) -> i64 {
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
