// SPDX-License-Identifier: Apache-2.0
//! The discrete Gaussian, sampled in integers only, with the same work for every candidate.
//!
//! P(y) is proportional to 2^(-y^2/k^2) over all integers y: a variance of k^2/(2 ln 2). A candidate is
//!
//! ```text
//! x  from P(x) ~ 2^(-x^2), x >= 0        a 128-bit word against the whole table
//! u  uniform in 0 .. k, and a sign       a 64-bit word, times 2k; exact, by rejection
//! y  = kx + u
//! accept with probability 2^(-u(u + 2kx)/k^2), and no negative zero
//! ```
//!
//! after Ducas, Durmus, Lepoint and Lyubashevsky 2013. Whatever comes out, 68 in 100 are accepted.
//!
//! *Distance.* What comes out is within 2^-120 of exact in total variation: the table ends at x = 11 and
//! is rounded to 2^-128, the acceptance to 2^-124, and nothing else is rounded. 2^-96 is what is charged.
//!
//! *Time.* A candidate is judged by the same instructions whatever it is: nothing branches or indexes on
//! it. Of the two 128-bit words, 64 bits are drawn at first. They decide all but 2^-58 of the candidates;
//! for the others the rest is drawn and they are judged again, exactly. How many candidates a vector takes is
//! independent of the values in it. Decision 21, in `docs/decisions`, has the sums and what an observer of
//! those 2^-58 could learn.
#![deny(clippy::float_arithmetic)]

mod acceptance;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_arithmetic
)]
mod exactness;
mod half_gaussian;

use consilium_crypto::random::RandomSource;
use thiserror::Error;
use zeroize::Zeroize;

use acceptance::{Acceptance, LANES};

/// A discrete Gaussian of variance k^2/(2 ln 2), centred on zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscreteGaussian {
    /// k.
    scale: u64,
    /// 2^64 mod 2k: so many products of a word with 2k would make the smallest values likelier.
    surplus: u64,
    acceptance: Acceptance,
}

impl DiscreteGaussian {
    /// A scale k from 2 to 2^30.
    pub fn new(scale: u64) -> Result<Self, ScaleFault> {
        if !(LEAST_SCALE..=MOST_SCALE).contains(&scale) {
            return Err(ScaleFault { scale });
        }
        Ok(Self {
            scale,
            surplus: (2 * scale).wrapping_neg() % (2 * scale),
            acceptance: Acceptance::new(scale),
        })
    }

    /// One sample. COST: that of a batch of 128 candidates.
    pub fn sample(&self, random: &mut impl RandomSource) -> i64 {
        let mut value = [0];
        self.add_to(&mut value, random);
        value[0]
    }

    /// As many independent samples as asked for.
    pub fn sample_vector(&self, length: usize, random: &mut impl RandomSource) -> Vec<i64> {
        let mut vector = vec![0; length];
        self.add_to(&mut vector, random);
        vector
    }

    /// Adds an independent sample to every coordinate.
    pub fn add_to(&self, mut vector: &mut [i64], random: &mut impl RandomSource) {
        let mut batch = Batch::new();
        while !vector.is_empty() {
            let samples = self.draw_batch(&mut batch, random);
            let (now, later) = vector.split_at_mut(samples.len().min(vector.len()));
            for (coordinate, sample) in now.iter_mut().zip(samples) {
                *coordinate = coordinate.wrapping_add(*sample);
            }
            vector = later;
        }
    }

    /// Draws and judges a batch of candidates; gives those accepted.
    fn draw_batch<'a>(&self, batch: &'a mut Batch, random: &mut impl RandomSource) -> &'a [i64] {
        random.fill(&mut batch.words);
        let mut accepted = 0;
        let (candidates, _) = batch.words.as_chunks::<CANDIDATE_BYTES>();
        for words in candidates.as_chunks::<LANES>().0 {
            let draws = words.map(|words| Draw::from_bytes(&words));
            for (mut candidate, draw) in self.judge(draws).into_iter().zip(draws) {
                if candidate.open {
                    candidate = self.judge_exactly(draw, random.next_u64(), random.next_u64());
                }
                // Written in any case, and kept if accepted.
                if let Some(sample) = batch.samples.get_mut(accepted) {
                    *sample = candidate.value;
                }
                accepted += usize::from(candidate.accepted);
            }
        }
        batch.samples.get(..accepted).unwrap_or_default()
    }

    /// What 64 of each 128 bits say.
    #[inline]
    fn judge(&self, draws: [Draw; LANES]) -> [Candidate; LANES] {
        let bases = draws.map(|draw| half_gaussian::decide(draw.base));
        let places = draws.map(|draw| self.place(draw.place));
        // INVARIANT: below 16 k^2 <= 2^64, because no base above 7 is decided by 64 bits.
        let numerators = std::array::from_fn(|lane| {
            let (base, (position, ..)) = (bases[lane].0, places[lane]);
            let shift = self.scale.wrapping_mul(base);
            position.wrapping_mul(position.wrapping_add(shift.wrapping_mul(2)))
        });
        let decisions = self
            .acceptance
            .decide(numerators, draws.map(|draw| draw.acceptance));
        std::array::from_fn(|lane| {
            let ((base, base_open), (position, negative, unbiased)) = (bases[lane], places[lane]);
            let (below, open) = decisions[lane];
            let magnitude = self.scale.wrapping_mul(base).wrapping_add(position);
            Candidate::new(magnitude, negative, below & unbiased, base_open | open)
        })
    }

    /// What all bits say.
    #[cold]
    fn judge_exactly(&self, draw: Draw, base_rest: u64, acceptance_rest: u64) -> Candidate {
        let base = half_gaussian::decide_exactly(join(draw.base, base_rest));
        let (position, negative, unbiased) = self.place(draw.place);
        let shift = self.scale * base;
        let numerator = u128::from(position) * u128::from(position + 2 * shift);
        let below = self
            .acceptance
            .decide_exactly(numerator, join(draw.acceptance, acceptance_rest));
        Candidate::new(shift + position, negative, below & unbiased, false)
    }

    /// u, whether the sign is negative, and whether this word is not one too many.
    #[inline]
    fn place(&self, word: u64) -> (u64, bool, bool) {
        let (low, high) = word.carrying_mul(2 * self.scale, 0);
        (high >> 1, high & 1 == 1, low >= self.surplus)
    }
}

/// A scale that the sampler's arithmetic does not cover.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a noise scale of {scale} is outside 2 to 2^30")]
pub struct ScaleFault {
    scale: u64,
}

/// The words of a batch and what became of them; wiped after use, because both tell the noise.
struct Batch {
    words: [u8; CANDIDATES * CANDIDATE_BYTES],
    samples: [i64; CANDIDATES],
}

impl Batch {
    fn new() -> Self {
        Self {
            words: [0; CANDIDATES * CANDIDATE_BYTES],
            samples: [0; CANDIDATES],
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // COST: slices are wiped in one go, arrays element by element.
        self.words.as_mut_slice().zeroize();
        self.samples.as_mut_slice().zeroize();
    }
}

/// The words of one candidate.
#[derive(Clone, Copy)]
struct Draw {
    /// The upper half of the word that is compared with the table.
    base: u64,
    /// The word that u and the sign are made of.
    place: u64,
    /// The upper half of the word that is compared with the probability of acceptance.
    acceptance: u64,
}

impl Draw {
    #[inline]
    fn from_bytes(bytes: &[u8; CANDIDATE_BYTES]) -> Self {
        let mut words = bytes
            .as_chunks()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word));
        let mut next = || words.next().unwrap_or_default();
        Self {
            base: next(),
            place: next(),
            acceptance: next(),
        }
    }
}

struct Candidate {
    value: i64,
    accepted: bool,
    open: bool,
}

impl Candidate {
    #[inline]
    fn new(magnitude: u64, negative: bool, accepted: bool, open: bool) -> Self {
        let sign = i64::from(negative);
        Self {
            value: (magnitude.cast_signed() ^ -sign).wrapping_add(sign),
            // A negative zero would count zero twice.
            accepted: accepted & !(negative & (magnitude == 0)),
            open,
        }
    }
}

fn join(upper: u64, lower: u64) -> u128 {
    u128::from(upper) << 64 | u128::from(lower)
}

/// Candidates that are judged at a time.
const CANDIDATES: usize = 128;
const CANDIDATE_BYTES: usize = 24;
const LEAST_SCALE: u64 = 2;
const MOST_SCALE: u64 = 1 << 30;
