// SPDX-License-Identifier: Apache-2.0
//! Deterministic damage: the same seed and corpus give the same inputs on every machine.

use consilium_crypto::random::{InsecureSeededRandom, RandomSource};

/// Makes inputs from inputs.
pub struct Mutator {
    random: InsecureSeededRandom,
}

impl Mutator {
    /// Begins a sequence of inputs.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: InsecureSeededRandom::from_seed(seed),
        }
    }

    /// A damaged input of the corpus, spliced with another one now and then.
    #[must_use]
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.choose(corpus).to_vec();
        for _ in 0..=self.below(4) {
            let other = self.choose(corpus);
            self.damage(&mut input, other);
        }
        input.truncate(LONGEST);
        input
    }

    fn damage(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len().max(1));
        let count = self.below(16) + 1;
        let end = (at + count).min(input.len());
        match self.below(10) {
            0 | 1 => {
                let bit = 1 << self.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bit;
                }
            }
            2 => {
                let value = self.byte();
                if let Some(byte) = input.get_mut(at) {
                    *byte = value;
                }
            }
            3 => {
                let wide = self.choose_of(&INTEGERS).to_le_bytes();
                let width = 1 << self.below(4);
                let reversed = self.below(2) == 0;
                for place in 0..width {
                    let from = if reversed { width - 1 - place } else { place };
                    if let (Some(byte), Some(value)) = (input.get_mut(at + place), wide.get(from)) {
                        *byte = *value;
                    }
                }
            }
            4 => input.truncate(at),
            5 => drop(input.drain(at.min(end)..end)),
            6 => {
                let bytes: Vec<u8> = (0..count).map(|_| self.byte()).collect();
                insert(input, at, &bytes);
            }
            7 => {
                let again = input.get(at..end).unwrap_or_default().to_vec();
                insert(input, at, &again);
            }
            8 => {
                let from = self.below(other.len().max(1));
                input.truncate(at);
                input.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            _ => {
                let from = self.below(other.len().max(1));
                let to = (from + 4 * count).min(other.len());
                insert(input, at, other.get(from..to).unwrap_or_default());
            }
        }
    }

    fn choose<'a>(&mut self, corpus: &'a [Vec<u8>]) -> &'a [u8] {
        let at = self.below(corpus.len().max(1));
        corpus.get(at).map_or(&[], Vec::as_slice)
    }

    fn choose_of(&mut self, integers: &[u64]) -> u64 {
        let at = self.below(integers.len());
        integers.get(at).copied().unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.random.next_u64().to_le_bytes()[0]
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.random.next_u64() % bound).unwrap_or_default()
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let at = at.min(input.len());
    input.splice(at..at, bytes.iter().copied());
}

/// Lengths and counts that parsers stumble over.
const INTEGERS: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// Longer inputs find nothing that shorter ones do not.
const LONGEST: usize = 64 * 1024;
