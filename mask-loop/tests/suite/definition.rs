// SPDX-License-Identifier: Apache-2.0
//! The definition, written down as slowly and plainly as possible, and what the tests draw from.

use aes::Aes256Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use consilium_mask_loop::{Implementation, MaskLoop, Sign, Stream};

/// A stream that can be read bit by bit.
#[derive(Clone)]
pub(crate) struct Material {
    pub(crate) sign: Sign,
    pub(crate) key: [u8; 32],
    pub(crate) nonce: [u8; 12],
}

impl Material {
    pub(crate) fn stream(&self) -> (Sign, Stream) {
        (self.sign, Stream::new(&self.key, &self.nonce))
    }

    /// `count` fields from `first` on.
    fn fields(&self, bits: u8, first: u64, count: usize) -> Vec<u64> {
        let cipher = Aes256Enc::new(&self.key.into());
        let mut first_block = [0; 16];
        first_block[..12].copy_from_slice(&self.nonce);
        let first_block = u128::from_be_bytes(first_block);
        let first_bit = u128::from(first) * u128::from(bits);
        let last_bit = first_bit + count as u128 * u128::from(bits);
        let keystream: Vec<u8> = (first_bit / 128..last_bit.div_ceil(128))
            .flat_map(|number| {
                let mut block = first_block.wrapping_add(number).to_be_bytes().into();
                cipher.encrypt_block(&mut block);
                <[u8; 16]>::from(block)
            })
            .collect();
        let skipped = usize::try_from(first_bit % 128).unwrap();
        let bits = usize::from(bits);
        (0..count)
            .map(|field| {
                let places = (0..bits).map(|bit| (bit, skipped + field * bits + bit));
                places.fold(0, |word, (bit, place)| {
                    word | u64::from(keystream[place / 8] >> (place % 8) & 1) << bit
                })
            })
            .collect()
    }
}

/// The sums of the fields and the streams, reduced.
pub(crate) fn masked(bits: u8, streams: &[Material], first: u64, fields: &[u64]) -> Vec<u64> {
    let mut sums = fields.to_vec();
    for stream in streams {
        let mask = stream.fields(bits, first, fields.len());
        for (sum, field) in sums.iter_mut().zip(mask) {
            *sum = match stream.sign {
                Sign::Add => sum.wrapping_add(field),
                Sign::Subtract => sum.wrapping_sub(field),
            };
        }
    }
    let mask = u64::MAX >> (64 - bits);
    sums.iter().map(|sum| sum & mask).collect()
}

/// Reduced words as a string of bits.
pub(crate) fn packed(bits: u8, words: &[u64]) -> Vec<u8> {
    let bits = usize::from(bits);
    let mut packed = vec![0; (words.len() * bits).div_ceil(8)];
    for (number, word) in words.iter().enumerate() {
        for bit in (0..bits).filter(|bit| word >> bit & 1 == 1) {
            let place = number * bits + bit;
            packed[place / 8] |= 1 << (place % 8);
        }
    }
    packed
}

/// The same loop on every implementation that this processor has.
pub(crate) fn every_implementation(bits: u8) -> Vec<MaskLoop> {
    let mask_loop = MaskLoop::new(bits).unwrap();
    Implementation::ALL
        .into_iter()
        .filter_map(|one| mask_loop.on(one))
        .collect()
}

/// Numbers that look random and are the same in every run (`SplitMix64`).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn words(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.next()).collect()
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }

    pub(crate) fn streams(&mut self, count: usize) -> Vec<Material> {
        (0..count)
            .map(|_| Material {
                sign: if self.next() & 1 == 0 {
                    Sign::Add
                } else {
                    Sign::Subtract
                },
                key: self.bytes(),
                nonce: self.bytes(),
            })
            .collect()
    }
}
