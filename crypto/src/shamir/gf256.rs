// SPDX-License-Identifier: Apache-2.0
//! GF(2^8), thirty-two elements at a time.
//!
//! The field is that of AES: bytes as polynomials modulo x^8 + x^4 + x^3 + x + 1.

use zeroize::Zeroize;

use super::field::Lanes;

/// Thirty-two field elements. The loops over them are what compilers turn into vector instructions.
#[derive(Clone, Copy, Zeroize)]
pub(crate) struct Gf256Lanes([u8; 32]);

impl Lanes for Gf256Lanes {
    const ZERO: Self = Self([0; 32]);
    const DEGREE: u32 = 8;
    const MODULUS: u32 = 0x11b;

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    fn write_to(self, bytes: &mut [u8; 32]) {
        *bytes = self.0;
    }

    #[inline]
    fn plus(self, other: Self) -> Self {
        let mut sum = self.0;
        for (element, other) in sum.iter_mut().zip(other.0) {
            *element ^= other;
        }
        Self(sum)
    }

    #[inline]
    fn times(self, factor: u32) -> Self {
        let mut product = [0; 32];
        for bit in (0..u32::BITS - factor.leading_zeros()).rev() {
            // All ones when the bit is set, without a branch.
            let chosen = 0_u8.wrapping_sub(u8::from(factor >> bit & 1 == 1));
            for (result, element) in product.iter_mut().zip(&self.0) {
                *result = times_x(*result) ^ (element & chosen);
            }
        }
        Self(product)
    }
}

/// One element times x: shifted, and reduced if its top bit was set, which the sign spreads.
#[inline]
fn times_x(element: u8) -> u8 {
    let overflow = (element.cast_signed() >> 7).cast_unsigned();
    (element << 1) ^ (overflow & REDUCTION)
}

/// x^4 + x^3 + x + 1, which x^8 reduces to.
const REDUCTION: u8 = 0x1b;

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
                Gf256Lanes::from_bytes(&bytes)
                    .times(factor.into())
                    .write_to(&mut products);
                assert_eq!(products, bytes.map(|byte| multiply(byte, factor)));
                for byte in bytes {
                    let product = Gf256Lanes::product(byte.into(), factor.into());
                    assert_eq!(product, u32::from(multiply(byte, factor)));
                }
            }
        }
    }

    #[test]
    fn products_agree_with_the_examples_of_fips_197() {
        // Section 4.2: {57} times {83} is {c1}, {57} times {13} is {fe}.
        for (factor, product) in [(0x83, 0xc1), (0x13, 0xfe)] {
            let mut products = [0; 32];
            Gf256Lanes::from_bytes(&[0x57; 32])
                .times(factor)
                .write_to(&mut products);
            assert_eq!(products, [product; 32]);
        }
    }

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        for element in 1..=255 {
            let inverse = Gf256Lanes::inverse(element);
            assert_eq!(Gf256Lanes::product(element, inverse), 1);
        }
    }
}
