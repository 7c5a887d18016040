// SPDX-License-Identifier: Apache-2.0
//! GF(2^16), sixteen elements at a time.
//!
//! Little-endian words as polynomials modulo x^16 + x^5 + x^3 + x + 1, the first irreducible one of
//! that degree with five terms ([Seroussi 1998]).
//!
//! [Seroussi 1998]: https://www.hpl.hp.com/techreports/98/HPL-98-135.pdf

use zeroize::Zeroize;

use super::field::Lanes;

/// Sixteen field elements. The loops over them are what compilers turn into vector instructions.
#[derive(Clone, Copy, Zeroize)]
pub(crate) struct Gf65536Lanes([u16; 16]);

impl Lanes for Gf65536Lanes {
    const ZERO: Self = Self([0; 16]);
    const DEGREE: u32 = 16;
    const MODULUS: u32 = 0x1_002b;

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let (words, _) = bytes.as_chunks::<2>();
        let mut lanes = [0; 16];
        for (element, word) in lanes.iter_mut().zip(words) {
            *element = u16::from_le_bytes(*word);
        }
        Self(lanes)
    }

    fn write_to(self, bytes: &mut [u8; 32]) {
        let (words, _) = bytes.as_chunks_mut::<2>();
        for (word, element) in words.iter_mut().zip(self.0) {
            *word = element.to_le_bytes();
        }
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
        let mut product = [0; 16];
        for bit in (0..u32::BITS - factor.leading_zeros()).rev() {
            // All ones when the bit is set, without a branch.
            let chosen = 0_u16.wrapping_sub(u16::from(factor >> bit & 1 == 1));
            // COST: in two loops, of which compilers make vector instructions; in one they do not.
            product = product.map(times_x);
            for (result, element) in product.iter_mut().zip(&self.0) {
                *result ^= element & chosen;
            }
        }
        Self(product)
    }
}

/// One element times x: shifted, and reduced if its top bit was set, which the sign spreads.
#[inline]
fn times_x(element: u16) -> u16 {
    let overflow = (element.cast_signed() >> 15).cast_unsigned();
    (element << 1) ^ (overflow & REDUCTION)
}

/// x^5 + x^3 + x + 1, which x^16 reduces to.
const REDUCTION: u16 = 0x2b;

#[cfg(test)]
mod tests {
    use super::*;

    /// Long multiplication and long division, as in a textbook.
    fn multiply(left: u16, right: u16) -> u16 {
        let mut product = (0..16)
            .filter(|bit| right >> bit & 1 == 1)
            .fold(0_u32, |sum, bit| sum ^ u32::from(left) << bit);
        for bit in (16..32).rev() {
            if product >> bit & 1 == 1 {
                product ^= 0x1_002b << (bit - 16);
            }
        }
        u16::try_from(product).unwrap_or_default()
    }

    #[test]
    fn products_agree_with_long_multiplication() {
        // Every element against the factors 1, 2, 4 .. 2^15, sums of two of them and some dense ones.
        let mut factors = vec![0, 3, 0x00ff, 0x1234, 0x8001, 0xbeef, 0xfffe, 0xffff];
        factors.extend((0..16).map(|bit| 1 << bit));
        factors.extend((1..16).map(|bit| 1 << bit | 1));
        for factor in factors {
            for start in (0..=0xffff_u16).step_by(16) {
                let elements: [u16; 16] =
                    std::array::from_fn(|offset| start + u16::try_from(offset).unwrap_or_default());
                let products = Gf65536Lanes(elements).times(factor.into()).0;
                assert_eq!(products, elements.map(|element| multiply(element, factor)));
            }
        }
    }

    #[test]
    fn the_modulus_is_irreducible() {
        // Rabin's test: x^(2^16) = x, and x^(2^8) - x has an inverse.
        let squared = |times| (0..times).fold(2, |power, _| Gf65536Lanes::product(power, power));
        assert_eq!(squared(16), 2);
        assert_eq!(greatest_common_divisor(squared(8) ^ 2, 0x1_002b), 1);
    }

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        for element in 1..=0xffff {
            let inverse = Gf65536Lanes::inverse(element);
            assert_eq!(Gf65536Lanes::product(element, inverse), 1);
        }
    }

    #[test]
    fn bytes_are_little_endian_words() {
        let mut bytes = [0; 32];
        bytes[2..4].copy_from_slice(&[0x34, 0x12]);
        assert_eq!(Gf65536Lanes::from_bytes(&bytes).0[1], 0x1234);
        let mut written = [0xff; 32];
        Gf65536Lanes::from_bytes(&bytes).write_to(&mut written);
        assert_eq!(written, bytes);
    }

    /// Euclid's, of polynomials over GF(2).
    fn greatest_common_divisor(mut left: u32, mut right: u32) -> u32 {
        while right != 0 {
            while left.leading_zeros() <= right.leading_zeros() && left != 0 {
                left ^= right << (right.leading_zeros() - left.leading_zeros());
            }
            (left, right) = (right, left);
        }
        left
    }
}
