// SPDX-License-Identifier: Apache-2.0
//! Every silo's vector, made where it is needed and never held: any part of it follows from the seed.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::ring::WordBits;
use consilium_crypto::transcript::hash;

/// The vectors of all silos.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs {
    seed: u64,
    clamp: u64,
    bits: WordBits,
}

impl Inputs {
    /// Vectors of numbers between `-clamp` and `clamp`.
    pub(super) fn new(seed: u64, clamp: u64, bits: WordBits) -> Self {
        Self { seed, clamp, bits }
    }

    /// Adds the fields of a silo's vector from `first` on to `sum`.
    pub(super) fn add_to(&self, silo: usize, first: u64, sum: &mut [u64]) {
        let start = mixed(self.seed ^ mixed(silo as u64));
        for (field, word) in (first..).zip(sum) {
            *word = word.wrapping_add(self.value(start, field)) & self.bits.mask();
        }
    }

    /// Names a silo's vector in its journal.
    pub(super) fn digest(&self, silo: usize) -> Digest {
        let silo = (silo as u64).to_le_bytes();
        hash(Label::VectorInput, &[&self.seed.to_le_bytes(), &silo])
    }

    fn value(&self, start: u64, field: u64) -> u64 {
        let drawn = mixed(start.wrapping_add(field.wrapping_mul(ODD)));
        let choices = u128::from(self.clamp) * 2 + 1;
        // Below 2 clamp + 1, which fits 64 bits because a clamp is below 2^60.
        let chosen = ((u128::from(drawn) * choices) >> 64) as u64;
        chosen.wrapping_sub(self.clamp)
    }
}

/// The output function of `SplitMix64`: numbers that look random. Nothing here is secret.
fn mixed(state: u64) -> u64 {
    let state = state.wrapping_add(ODD);
    let state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

/// 2^64 divided by the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_vector_is_the_same_however_it_is_asked_for() {
        let bits = WordBits::new(20).unwrap();
        let inputs = Inputs::new(7, 1000, bits);
        let mut whole = vec![0; 300];
        inputs.add_to(3, 0, &mut whole);
        let mut part = vec![0; 100];
        inputs.add_to(3, 200, &mut part);
        assert_eq!(whole[200..], part);
        assert!(whole.iter().all(|word| bits.lift(*word).abs() <= 1000));
        let mut other = vec![0; 300];
        inputs.add_to(4, 0, &mut other);
        assert_ne!(whole, other);
    }
}
