// SPDX-License-Identifier: Apache-2.0
//! The base of every candidate: P(x) proportional to 2^(-x^2) over x = 0, 1, 2, ...
//!
//! A uniform 128-bit word is compared with the whole table, so that neither time nor memory access tells
//! which x came out. The table is computed by the compiler, in integers: no number in it was typed.
#![deny(clippy::float_arithmetic)]

/// P(X >= x) in units of 2^-128, for x from 1 to [`MOST`], rounded down.
///
/// Weights beyond `MOST` are left out: together they are below 2^-144 of the rest.
const TAILS: [u128; MOST] = tails();

/// The upper halves of those tails that reach beyond the lower half.
const UPPER_TAILS: [u64; 7] = upper_tails();

/// 12^2 = 144 bits below one the table ends.
const MOST: usize = 11;

/// The x that 64 of the 128 bits decide, and whether they leave it open: then the word equals an entry.
#[inline]
pub(super) fn decide(upper: u64) -> (u64, bool) {
    let (mut below, mut at_most) = (0, 0);
    // One less is below the same tails, unless it is zero, or equals one of them.
    let less = upper.wrapping_sub(1);
    for tail in UPPER_TAILS {
        below += u64::from(upper < tail);
        at_most += u64::from(less < tail);
    }
    (below, below != at_most)
}

/// The x that all 128 bits give.
pub(super) fn decide_exactly(word: u128) -> u64 {
    TAILS.iter().map(|tail| u64::from(word < *tail)).sum()
}

const fn tails() -> [u128; MOST] {
    // In units of 2^-121 every weight 2^(-x^2) is whole.
    let mut weights = [0_u128; MOST + 1];
    let mut total = 0;
    let mut x = 0;
    while x <= MOST {
        weights[x] = 1 << (MOST * MOST - x * x);
        total += weights[x];
        x += 1;
    }
    let mut tails = [0; MOST];
    let mut tail = 0;
    while x > 1 {
        x -= 1;
        tail += weights[x];
        tails[x - 1] = fraction(tail, total);
    }
    tails
}

/// floor(2^128 numerator/denominator), bit by bit; for numerator < denominator < 2^127.
const fn fraction(numerator: u128, denominator: u128) -> u128 {
    let (mut quotient, mut rest, mut bit) = (0, numerator, 0);
    while bit < u128::BITS {
        rest <<= 1;
        quotient <<= 1;
        if rest >= denominator {
            rest -= denominator;
            quotient |= 1;
        }
        bit += 1;
    }
    quotient
}

const fn upper_tails() -> [u64; 7] {
    let mut upper = [0; 7];
    let mut x = 0;
    while x < MOST {
        let half = TAILS[x] >> 64;
        if half > 0 {
            // Exact: the upper half of 128 bits. `try_from` is not const.
            upper[x] = half as u64;
        }
        x += 1;
    }
    upper
}

#[cfg(test)]
#[allow(clippy::float_arithmetic, clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    /// The probability of x in units of 2^-128, as the table gives it; that of zero is the rest.
    pub(in super::super) fn probability(x: u64) -> Option<u128> {
        let x = usize::try_from(x).ok()?;
        match x {
            0 => Some(u128::MAX - TAILS[0] + 1),
            MOST => Some(TAILS[MOST - 1]),
            _ => Some(TAILS.get(x - 1)? - TAILS.get(x)?),
        }
    }

    #[test]
    fn the_first_tail_is_that_of_the_sum_of_powers() {
        // 1.564468413605938579... = sum of 2^(-x^2).
        let tail = TAILS[0] as f64 / 2_f64.powi(128);
        assert!((tail - (1.0 - 1.0 / 1.564_468_413_605_938_6)).abs() < 1e-15);
        assert_eq!(TAILS.iter().filter(|tail| **tail >> 64 > 0).count(), 7);
        assert!(TAILS.iter().all(|tail| *tail > 0));
    }

    #[test]
    fn sixty_four_bits_decide_what_all_bits_say_or_leave_it_open() {
        let near = TAILS.iter().flat_map(|tail| {
            let upper = (tail >> 64) as u64;
            [upper.wrapping_sub(1), upper, upper + 1]
        });
        let far =
            (0..64).flat_map(|bit| [1 << bit, (1_u64 << bit).wrapping_mul(0x9e37_79b9_7f4a_7c15)]);
        for upper in near.chain(far).chain([0, u64::MAX]) {
            let word = u128::from(upper) << 64;
            let ends = [word, word | u128::from(u64::MAX)].map(decide_exactly);
            let (decided, open) = decide(upper);
            if open {
                assert!(TAILS.iter().any(|tail| tail >> 64 == word >> 64));
            } else {
                assert_eq!(ends, [decided; 2], "{upper}");
            }
        }
    }

    #[test]
    fn an_open_word_is_settled_by_its_lower_half() {
        for (tail, x) in TAILS.iter().zip(1..) {
            assert_eq!(decide_exactly(tail - 1), x);
            assert_eq!(decide_exactly(*tail), x - 1);
            assert!(decide((tail >> 64) as u64).1);
        }
        assert_eq!(decide_exactly(0), 11);
        assert_eq!(decide_exactly(u128::MAX), 0);
    }
}
