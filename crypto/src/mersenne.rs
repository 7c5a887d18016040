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
        Self::from_wide(u128::from_le_bytes(bytes))
    }

    /// The residue of an integer.
    #[must_use]
    pub fn from_wide(value: u128) -> Self {
        let low = |value: u128| value & u128::from(PRIME);
        let once = low(value) + (value >> 61); // below 2^68
        let twice = low(once) + (once >> 61); // below 2^61 + 2^7
        #[expect(
            clippy::cast_possible_truncation,
            reason = "two foldings leave less than 2^62"
        )]
        Self(subtract_prime_once(twice as u64))
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

    /// The product.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self::from_wide(u128::from(self.0) * u128::from(other.0))
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
        for value in [
            0,
            1,
            u128::from(PRIME),
            u128::from(PRIME) << 67,
            1 << 122,
            u128::MAX,
        ] {
            let expected = (value % u128::from(PRIME)) as u64;
            assert_eq!(Element::from_wide(value).value(), expected);
        }
        let most = Element::from_canonical(PRIME - 1).unwrap();
        assert_eq!(most.plus(most).value(), PRIME - 2);
        assert_eq!(Element::ZERO.minus(most).value(), 1);
        assert_eq!(most.minus(most), Element::ZERO);
        assert_eq!(most.times(most).value(), 1);
    }

    proptest! {
        #[test]
        fn it_agrees_with_wide_integers(left in 0..PRIME, right in 0..PRIME, wide: u128) {
            let element = |value| Element::from_canonical(value).unwrap();
            let (a, b) = (element(left), element(right));
            let (left, right) = (u128::from(left), u128::from(right));
            let p = u128::from(PRIME);
            prop_assert_eq!(u128::from(a.plus(b).value()), (left + right) % p);
            prop_assert_eq!(u128::from(a.minus(b).value()), (left + p - right) % p);
            prop_assert_eq!(u128::from(a.times(b).value()), left * right % p);
            prop_assert_eq!(u128::from(Element::from_wide(wide).value()), wide % p);
        }
    }
}
