// SPDX-License-Identifier: Apache-2.0
//! The acceptance of a candidate with probability 2^(-e), e = numerator/k^2, in integers.
//!
//! e = q + f with q whole and f below one. With h = f/2,
//!
//! ```text
//! 1 - 2^(-h) = h (c1 - h (c2 - h (c3 - ...))),   c_n = (ln 2)^n/n!
//! 2^(-f)     = (2^(-h))^2
//! ```
//!
//! No difference in there is negative, and as h < 1/2 an error of one step counts half in the next.
//!
//! The probability is known in two precisions. [`Acceptance::decide`] takes 15 terms, in multiples of
//! 2^-64, and is off by less than [`MARGIN`] of them; [`Acceptance::decide_exactly`] takes 26 terms, in
//! multiples of 2^-128, and is off by less than 16 of them. Decision 21 has the sums.
#![deny(clippy::float_arithmetic)]

/// Decides about candidates of one scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acceptance {
    /// k^2, at most 2^60.
    square: u64,
    /// floor(2^s/k^2), from 2^62 to 2^63, with s = 62 + the bits of k^2.
    reciprocal: u64,
    /// s - 63: numerator * reciprocal / 2^(s - 63) holds 63 bits of f below q. From 2 to 60.
    shift: u32,
}

impl Acceptance {
    /// For a scale from 2 to 2^30.
    pub(super) fn new(scale: u64) -> Self {
        let square = scale * scale;
        let bits = u64::BITS - square.leading_zeros();
        let reciprocal = (1_u128 << (62 + bits)) / u128::from(square);
        Self {
            square,
            // INVARIANT: k^2 >= 2^(bits - 1), so this is at most 2^63.
            reciprocal: u64::try_from(reciprocal).unwrap_or(u64::MAX),
            shift: bits - 1,
        }
    }

    /// Whether each of `upper` lies below its probability, and whether 64 of 128 bits leave this open.
    ///
    /// For numerators below 16 k^2. Whatever the numerator is, exactly 2 MARGIN + 1 of the 2^64 words leave it open.
    #[inline]
    pub(super) fn decide(
        &self,
        numerators: [u64; LANES],
        upper: [u64; LANES],
    ) -> [(bool, bool); LANES] {
        let thresholds = self.thresholds(numerators);
        std::array::from_fn(|lane| {
            let distance = thresholds[lane]
                .wrapping_sub(upper[lane])
                .wrapping_add(MARGIN);
            (upper[lane] < thresholds[lane], distance <= 2 * MARGIN)
        })
    }

    /// Whether all 128 bits lie below the probability.
    pub(super) fn decide_exactly(&self, numerator: u128, word: u128) -> bool {
        word < self.threshold_exactly(numerator)
    }

    /// Side by side, because each multiplication waits for the one before it.
    #[inline]
    fn thresholds(&self, numerators: [u64; LANES]) -> [u64; LANES] {
        let exponents = numerators.map(|numerator| {
            let (low, high) = numerator.carrying_mul(self.reciprocal, 0);
            let half = high.wrapping_shl(64 - self.shift) | low.wrapping_shr(self.shift);
            (high.wrapping_shr(self.shift - 1), half & (u64::MAX >> 1))
        });
        let mut terms = [0; LANES];
        for coefficient in COEFFICIENTS {
            for (term, (_, half)) in terms.iter_mut().zip(exponents) {
                *term = coefficient.wrapping_sub(half.carrying_mul(*term, 0).1);
            }
        }
        std::array::from_fn(|lane| {
            let (whole, half) = exponents[lane];
            let lost = half.carrying_mul(terms[lane], 0).1;
            let lost = lost
                .wrapping_mul(2)
                .wrapping_sub(lost.carrying_mul(lost, 0).1);
            (!lost) >> (whole & 63)
        })
    }

    pub(super) fn threshold_exactly(&self, numerator: u128) -> u128 {
        let square = u128::from(self.square);
        let (whole, rest) = (numerator / square, numerator % square);
        // Two digits of 64 bits, by long division.
        let (first, rest) = ((rest << 64) / square, (rest << 64) % square);
        let half = ((first << 64) | ((rest << 64) / square)) >> 1;
        let mut term = 0;
        for coefficient in EXACT_COEFFICIENTS.iter().rev() {
            term = coefficient - high_product(half, term);
        }
        let lost = high_product(half, term);
        let lost = 2 * lost - high_product(lost, lost);
        u32::try_from(whole)
            .ok()
            .and_then(|whole| (!lost).checked_shr(whole))
            .unwrap_or(0)
    }
}

/// Candidates that are judged side by side.
pub(super) const LANES: usize = 4;

/// How far the faster probability may be from the true one, in units of 2^-64: proven below 9.
const MARGIN: u64 = 16;

/// (ln 2)^n/n! in units of 2^-128, for n from 1.
const EXACT_COEFFICIENTS: [u128; 26] = exact_coefficients();

/// The first of them in units of 2^-64, the last one first, as Horner's rule takes them.
const COEFFICIENTS: [u64; 15] = coefficients();

/// floor(2^128 ln 2).
const LN_2: u128 = 0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af;

const fn exact_coefficients() -> [u128; 26] {
    let mut coefficients = [LN_2; 26];
    let (mut index, mut number) = (1, 2);
    while index < coefficients.len() {
        coefficients[index] = high_product(coefficients[index - 1], LN_2) / number;
        index += 1;
        number += 1;
    }
    coefficients
}

const fn coefficients() -> [u64; 15] {
    let mut coefficients = [0; 15];
    let mut index = 0;
    while index < coefficients.len() {
        // Exact: the upper half of 128 bits. `try_from` is not const.
        let upper = (EXACT_COEFFICIENTS[index] >> 64) as u64;
        coefficients[coefficients.len() - 1 - index] = upper;
        index += 1;
    }
    coefficients
}

/// The upper half of a product of 256 bits; `carrying_mul` is not const yet.
const fn high_product(first: u128, second: u128) -> u128 {
    const HALF: u128 = u64::MAX as u128;
    let (first_high, first_low) = (first >> 64, first & HALF);
    let (second_high, second_low) = (second >> 64, second & HALF);
    let low = first_low * second_low;
    let middle = first_high * second_low + (low >> 64);
    let other = first_low * second_high + (middle & HALF);
    first_high * second_high + (middle >> 64) + (other >> 64)
}
