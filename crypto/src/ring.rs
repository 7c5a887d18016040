// SPDX-License-Identifier: Apache-2.0
//! Words modulo a power of two: the ring in which updates are masked and summed.

use serde::{Deserialize, Serialize};

/// The width of a word: 8 to 64 bits. Words are held in `u64` with all higher bits zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct WordBits(u8);

impl WordBits {
    /// A width of 8 to 64 bits.
    ///
    /// # Errors
    /// [`RingFault`] outside that range.
    pub fn new(bits: u8) -> Result<Self, RingFault> {
        if (8..=64).contains(&bits) {
            Ok(Self(bits))
        } else {
            Err(RingFault { bits })
        }
    }

    /// The number of bits.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The largest word; also the mask that reduces any `u64`.
    pub fn mask(self) -> u64 {
        u64::MAX >> (64 - self.0)
    }

    /// The word congruent to `value`.
    pub fn encode(self, value: i64) -> u64 {
        value.cast_unsigned() & self.mask()
    }

    /// The representative of `word` in the centred range, from -2^(bits-1) to 2^(bits-1) - 1.
    pub fn lift(self, word: u64) -> i64 {
        let unused = 64 - self.0;
        (word << unused).cast_signed() >> unused
    }

    /// Adds word by word, wrapping.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn add_assign(self, sum: &mut [u64], words: &[u64]) {
        assert_eq!(sum.len(), words.len(), "vectors of one length are added");
        let mask = self.mask();
        for (sum, word) in sum.iter_mut().zip(words) {
            *sum = sum.wrapping_add(*word) & mask;
        }
    }

    /// Subtracts word by word, wrapping.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn sub_assign(self, difference: &mut [u64], words: &[u64]) {
        assert_eq!(
            difference.len(),
            words.len(),
            "vectors of one length are subtracted"
        );
        let mask = self.mask();
        for (difference, word) in difference.iter_mut().zip(words) {
            *difference = difference.wrapping_sub(*word) & mask;
        }
    }
}

impl TryFrom<u8> for WordBits {
    type Error = RingFault;

    fn try_from(bits: u8) -> Result<Self, RingFault> {
        Self::new(bits)
    }
}

impl From<WordBits> for u8 {
    fn from(bits: WordBits) -> u8 {
        bits.0
    }
}

/// A width that words cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("words cannot have `{bits}` bits, choose 8 to 64")]
pub struct RingFault {
    /// The width asked for.
    pub bits: u8,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_eight_to_sixty_four_bits_exist() {
        for bits in 0..=255 {
            assert_eq!(WordBits::new(bits).is_ok(), (8..=64).contains(&bits));
        }
        assert!(serde_json::from_str::<WordBits>("7").is_err());
        assert_eq!(serde_json::from_str::<WordBits>("20").unwrap().bits(), 20);
    }

    #[test]
    fn the_ends_of_the_centred_range_lift_to_themselves() {
        for bits in 8..=64 {
            let word_bits = WordBits::new(bits).unwrap();
            let least = i64::MIN >> (64 - bits);
            let most = i64::MAX >> (64 - bits);
            for value in [least, -1, 0, 1, most] {
                assert_eq!(word_bits.lift(word_bits.encode(value)), value);
            }
            assert_eq!(word_bits.lift(word_bits.encode(most) + 1), least);
        }
    }

    proptest! {
        #[test]
        fn encoding_is_a_homomorphism(bits in 8_u8..=64, left: i64, right: i64) {
            let bits = WordBits::new(bits).unwrap();
            let mut sum = [bits.encode(left)];
            bits.add_assign(&mut sum, &[bits.encode(right)]);
            prop_assert_eq!(sum[0], bits.encode(left.wrapping_add(right)));
            bits.sub_assign(&mut sum, &[bits.encode(right)]);
            prop_assert_eq!(sum[0], bits.encode(left));
        }
    }
}
