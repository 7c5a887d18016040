// SPDX-License-Identifier: Apache-2.0
//! Thirty-two elements of GF(2^8) at a time, without tables or branches on their values.
//!
//! The field is that of AES: bytes as polynomials modulo x^8 + x^4 + x^3 + x + 1.

use zeroize::Zeroize;

/// Thirty-two field elements, eight to a word.
#[derive(Clone, Copy)]
pub(crate) struct Lanes([u64; 4]);

impl Lanes {
    pub(crate) const ZERO: Lanes = Lanes([0; 4]);

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let mut lanes = [0; 4];
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = u64::from_le_bytes(*word);
        }
        Self(lanes)
    }

    /// Writes as many elements as `bytes` has room for.
    pub(crate) fn write_to(self, bytes: &mut [u8]) {
        let (words, _) = bytes.as_chunks_mut::<8>();
        for (word, lane) in words.iter_mut().zip(self.0) {
            *word = lane.to_le_bytes();
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let mut sum = self.0;
        for (lane, other) in sum.iter_mut().zip(other.0) {
            *lane ^= other;
        }
        Self(sum)
    }

    /// Every element times the one `factor`.
    pub(crate) fn times(self, factor: u8) -> Self {
        let mut product = [0; 4];
        for (result, mut lane) in product.iter_mut().zip(self.0) {
            for bit in 0..8 {
                // All ones when the bit is set, without a branch.
                let chosen = u64::from(factor >> bit & 1).wrapping_neg();
                *result ^= lane & chosen;
                lane = times_x(lane);
            }
        }
        Self(product)
    }
}

impl Zeroize for Lanes {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Eight elements times x: shift each, and reduce those whose top bit was set.
fn times_x(lane: u64) -> u64 {
    let overflow = lane >> 7 & LOW_BITS;
    ((lane & !TOP_BITS) << 1) ^ (overflow * REDUCTION)
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const TOP_BITS: u64 = 0x8080_8080_8080_8080;
/// x^4 + x^3 + x + 1, which x^8 reduces to. Times a byte of 0 or 1 it never carries.
const REDUCTION: u64 = 0x1b;

#[cfg(test)]
mod tests {
    use super::*;

    /// Long multiplication and long division, as in a textbook.
    fn multiply(left: u8, right: u8) -> u8 {
        let mut product = (0..8)
            .filter(|bit| right >> bit & 1 == 1)
            .fold(0_u32, |sum, bit| sum ^ u32::from(left) << bit);
        for bit in (8..16).rev() {
            if product >> bit & 1 == 1 {
                product ^= 0x11b << (bit - 8);
            }
        }
        u8::try_from(product).unwrap_or_default()
    }

    #[test]
    fn products_agree_with_long_multiplication_for_every_pair() {
        for factor in 0..=255_u8 {
            for start in (0..=255_u8).step_by(32) {
                let mut bytes = [0; 32];
                for (offset, byte) in (0..).zip(bytes.iter_mut()) {
                    *byte = start + offset;
                }
                let mut products = [0; 32];
                Lanes::from_bytes(&bytes)
                    .times(factor)
                    .write_to(&mut products);
                assert_eq!(products, bytes.map(|byte| multiply(byte, factor)));
            }
        }
    }

    #[test]
    fn products_agree_with_the_examples_of_fips_197() {
        // Section 4.2: {57} times {83} is {c1}, {57} times {13} is {fe}.
        for (factor, product) in [(0x83, 0xc1), (0x13, 0xfe)] {
            let mut products = [0; 32];
            Lanes::from_bytes(&[0x57; 32])
                .times(factor)
                .write_to(&mut products);
            assert_eq!(products, [product; 32]);
        }
    }
}
