// SPDX-License-Identifier: Apache-2.0
//! Arithmetic modulo the Mersenne prime p = 2^61 - 1, for tags that verify a sum.
//!
//! Nothing here branches on a value: elements may be secret.

use zeroize::Zeroize;

/// The prime 2^61 - 1.
pub const PRIME: u64 = (1 << 61) - 1;

/// An integer modulo [`PRIME`], fully reduced.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Element(u64);

impl Element {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// The element written as `value`, or nothing when it is not fully reduced.
    #[must_use]
    pub fn from_canonical(value: u64) -> Option<Self> {
        (value < PRIME).then_some(Self(value))
    }

    /// The residue of a uniform 128-bit integer: uniform to within 2^-67.
    #[must_use]
    pub fn from_uniform(bytes: [u8; 16]) -> Self {
        Self::reduce(u128::from_le_bytes(bytes))
    }

    /// The residue of a signed integer of magnitude at most 2^123.
    #[must_use]
    pub fn from_signed(value: i128) -> Self {
        // p 2^63 is a multiple of p that makes every allowed value positive.
        let shift = i128::from(PRIME) << 63;
        Self::reduce(value.wrapping_add(shift).cast_unsigned())
    }

    /// The canonical integer, below [`PRIME`].
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(subtract_prime_once(self.0 + other.0))
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(subtract_prime_once(self.0 + (PRIME - other.0)))
    }

    /// The product with 2^32.
    #[must_use]
    pub fn times_two_to_32(self) -> Self {
        Self::reduce(u128::from(self.0) << 32)
    }

    fn reduce(value: u128) -> Self {
        let low = |value: u128| value & u128::from(PRIME);
        let once = low(value) + (value >> 61); // below 2^68
        let twice = low(once) + (once >> 61); // below 2^61 + 2^7
        #[expect(
            clippy::cast_possible_truncation,
            reason = "two foldings leave less than 2^62"
        )]
        Self(subtract_prime_once(twice as u64))
    }
}

impl Zeroize for Element {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Element {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Element(..)")
    }
}

/// Reduces an integer below 2 p without a branch.
fn subtract_prime_once(value: u64) -> u64 {
    let (difference, borrow) = value.overflowing_sub(PRIME);
    // All ones where the subtraction went below zero.
    let restore = 0_u64.wrapping_sub(u64::from(borrow));
    difference.wrapping_add(PRIME & restore)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const P: i128 = PRIME as i128;

    #[test]
    fn only_reduced_integers_are_canonical() {
        assert!(Element::from_canonical(PRIME).is_none());
        assert!(Element::from_canonical(u64::MAX).is_none());
        assert_eq!(
            Element::from_canonical(PRIME - 1).unwrap().value(),
            PRIME - 1
        );
    }

    #[test]
    fn the_ends_of_every_range_are_reduced() {
        assert_eq!(Element::from_uniform([0; 16]), Element::ZERO);
        let largest = (u128::MAX % u128::from(PRIME)) as u64;
        assert_eq!(Element::from_uniform([0xff; 16]).value(), largest);
        for value in [0, 1, -1, P, -P, 1 << 123, -(1 << 123)] {
            let expected = value.rem_euclid(P) as u64;
            assert_eq!(Element::from_signed(value).value(), expected);
        }
        let most = Element::from_canonical(PRIME - 1).unwrap();
        assert_eq!(most.plus(most).value(), PRIME - 2);
        assert_eq!(Element::ZERO.minus(most).value(), 1);
        assert_eq!(most.minus(most), Element::ZERO);
    }

    proptest! {
        #[test]
        fn it_agrees_with_wide_integers(left in -(1_i128 << 122)..1 << 122, right in -(1_i128 << 122)..1 << 122) {
            let (a, b) = (Element::from_signed(left), Element::from_signed(right));
            prop_assert_eq!(i128::from(a.plus(b).value()), (left + right).rem_euclid(P));
            prop_assert_eq!(i128::from(a.minus(b).value()), (left - right).rem_euclid(P));
            let shifted = (left.rem_euclid(P) << 32).rem_euclid(P);
            prop_assert_eq!(i128::from(a.times_two_to_32().value()), shifted);
        }
    }
}
