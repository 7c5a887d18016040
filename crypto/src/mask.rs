// SPDX-License-Identifier: Apache-2.0
//! Mask streams: words drawn from AES-256 in counter mode, added to or subtracted from a vector.
//!
//! Block k of a stream is AES(nonce || k as 32 bits, big-endian). Field e is bits
//! [e * bits, (e + 1) * bits) of the blocks, the least significant bit of each byte first. After 2^32
//! blocks the stream goes on with the next nonce. Any 128 fields begin on a block, so a stream can be
//! entered at every multiple of 128.

use aes::Aes256;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher};
use ctr::cipher::StreamCipherCoreWrapper;
use ctr::{CtrCore, flavors};
use zeroize::Zeroizing;

use crate::packing;
use crate::ring::WordBits;
use crate::secret::Secret;

/// Where a stream can be entered, and the size that every chunk but the last is a multiple of.
pub const FIELD_ALIGNMENT: u64 = 128;

/// Whether a stream is added or subtracted: the lower silo of a pair adds, the higher subtracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Add the stream.
    Add,
    /// Subtract the stream.
    Subtract,
}

impl Sign {
    /// The sign that takes away what this one brought.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Add => Self::Subtract,
            Self::Subtract => Self::Add,
        }
    }
}

/// One mask stream. Its key schedule is wiped on drop.
pub struct MaskStream {
    bits: WordBits,
    cipher: Box<Aes256>,
    nonce: Zeroizing<[u8; 12]>,
}

impl MaskStream {
    /// The stream of a derived key: 32 bytes of AES-256 key, then the first nonce.
    pub fn new(bits: WordBits, key: &Secret<[u8; 44]>) -> Self {
        let (cipher_key, nonce) = key.expose().split_at(32);
        let mut stream_nonce = Zeroizing::new([0; 12]);
        stream_nonce.copy_from_slice(nonce);
        #[expect(clippy::expect_used, reason = "the only failure is another key length")]
        let cipher = Aes256::new_from_slice(cipher_key).expect("the key has 32 bytes");
        Self {
            bits,
            cipher: Box::new(cipher),
            nonce: stream_nonce,
        }
    }

    /// Adds or subtracts fields `first_field`, `first_field + 1`, and so on, one to each word.
    ///
    /// # Panics
    /// When `first_field` is not a multiple of [`FIELD_ALIGNMENT`], or the last field lies beyond
    /// field 2^64.
    pub fn apply(&self, sign: Sign, first_field: u64, words: &mut [u64]) {
        assert!(
            first_field.is_multiple_of(FIELD_ALIGNMENT),
            "a stream is entered at a multiple of {FIELD_ALIGNMENT}"
        );
        let bits = u128::from(self.bits.bits());
        let width = usize::from(self.bits.bits());
        let fields_per_piece = PIECE * 8 / width / 128 * 128;
        let mut block = u128::from(first_field / FIELD_ALIGNMENT) * bits;
        let mut keystream = Zeroizing::new([0; PIECE]);
        for piece in words.chunks_mut(fields_per_piece) {
            let length = packing::packed_length(self.bits, piece.len());
            let bytes = &mut keystream[..length];
            self.write_keystream(block, bytes);
            combine(self.bits, sign, bytes, piece);
            block += u128::try_from(length / BLOCK).unwrap_or_default();
        }
    }

    /// Overwrites `bytes` with the stream from `block` on.
    fn write_keystream(&self, mut block: u128, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let nonce = self.nonce_after(block >> 32);
            let left = usize::try_from((BLOCKS_PER_NONCE - block % BLOCKS_PER_NONCE).min(1 << 20));
            let count = bytes.len().min(left.unwrap_or(1) * BLOCK);
            let (now, later) = bytes.split_at_mut(count);

            let mut counter = [0; BLOCK];
            let [.., a, b, c, d] = block.to_be_bytes();
            counter[..12].copy_from_slice(&nonce);
            counter[12..].copy_from_slice(&[a, b, c, d]);
            let core =
                CtrCore::<&Aes256, flavors::Ctr64BE>::inner_iv_init(&self.cipher, &counter.into());
            StreamCipherCoreWrapper::from_core(core).write_keystream(now);

            block += u128::try_from(count / BLOCK).unwrap_or_default();
            bytes = later;
        }
    }

    fn nonce_after(&self, steps: u128) -> [u8; 12] {
        let mut wide = [0; 16];
        wide[4..].copy_from_slice(&*self.nonce);
        let next = u128::from_be_bytes(wide).wrapping_add(steps).to_be_bytes();
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&next[4..]);
        nonce
    }
}

impl std::fmt::Debug for MaskStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "MaskStream({} bits, ..)", self.bits.bits())
    }
}

fn combine(bits: WordBits, sign: Sign, keystream: &[u8], words: &mut [u64]) {
    let mask = bits.mask();
    let count = words.len();
    let mut words = words.iter_mut();
    match sign {
        Sign::Add => packing::read_words(bits, keystream, count, |field| {
            if let Some(word) = words.next() {
                *word = word.wrapping_add(field) & mask;
            }
        }),
        Sign::Subtract => packing::read_words(bits, keystream, count, |field| {
            if let Some(word) = words.next() {
                *word = word.wrapping_sub(field) & mask;
            }
        }),
    }
}

const BLOCK: usize = 16;
/// Small enough to stay in the first-level cache together with the words.
const PIECE: usize = 16 * 1024;
const BLOCKS_PER_NONCE: u128 = 1 << 32;
