// SPDX-License-Identifier: Apache-2.0
//! Mask streams: words drawn from AES-256 in counter mode, added to or subtracted from a vector.
//!
//! Block k of a stream is AES(nonce || k as 32 bits, big-endian). Field e is bits
//! [e * bits, (e + 1) * bits) of the blocks, the least significant bit of each byte first. After 2^32
//! blocks the stream goes on with the next nonce. Any 128 fields begin on a block, so a stream can be
//! entered at every multiple of 128.

use aes::Aes256;
use aes::cipher::consts::U16;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::flavors::{Ctr64BE, Ctr128BE};
use ctr::{CtrCore, CtrFlavor};
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
    /// The nonce in the upper 96 bits, zeros below: the number of block 0.
    first_block: Zeroizing<u128>,
}

impl MaskStream {
    /// The stream of a derived key: 32 bytes of AES-256 key, then the first nonce.
    pub fn new(bits: WordBits, key: &Secret<[u8; 44]>) -> Self {
        let (cipher_key, nonce) = key.expose().split_at(32);
        let mut first_block = Zeroizing::new([0; BLOCK]);
        first_block[..nonce.len()].copy_from_slice(nonce);
        #[expect(clippy::expect_used, reason = "the only failure is another key length")]
        let cipher = Aes256::new_from_slice(cipher_key).expect("the key has 32 bytes");
        Self {
            bits,
            cipher: Box::new(cipher),
            first_block: Zeroizing::new(u128::from_be_bytes(*first_block)),
        }
    }

    /// Adds or subtracts fields `first_field`, `first_field + 1`, and so on, one to each word.
    ///
    /// # Panics
    /// When `first_field` is not a multiple of [`FIELD_ALIGNMENT`].
    pub fn apply(&self, sign: Sign, first_field: u64, words: &mut [u64]) {
        assert!(
            first_field.is_multiple_of(FIELD_ALIGNMENT),
            "a stream is entered at a multiple of {FIELD_ALIGNMENT}"
        );
        // 128 fields take as many blocks as a field has bits.
        let width = u16::from(self.bits.bits());
        let alignments_per_piece = BLOCKS_PER_PIECE / width;
        let fields_per_piece = usize::from(alignments_per_piece) * 128;
        let blocks_per_piece = u128::from(alignments_per_piece * width);

        let mut block = u128::from(first_field / FIELD_ALIGNMENT) * u128::from(width);
        let mut keystream = Zeroizing::new([0; PIECE]);
        for piece in words.chunks_mut(fields_per_piece) {
            let keystream = &mut keystream[..packing::packed_length(self.bits, piece.len())];
            self.write_keystream(block, keystream);
            combine(self.bits, sign, keystream, piece);
            block += blocks_per_piece;
        }
    }

    /// Overwrites at most a piece of bytes with the stream from `block` on.
    fn write_keystream(&self, block: u128, bytes: &mut [u8]) {
        // Stepping to the next nonce after 2^32 blocks is the carry of one 128-bit counter.
        let counter = self.first_block.wrapping_add(block);
        let low_half = counter & u128::from(u64::MAX);
        // COST: the 64-bit counter is about twice as fast, and is the same unless it wraps.
        if low_half + u128::from(BLOCKS_PER_PIECE) <= u128::from(u64::MAX) {
            self.write_from::<Ctr64BE>(counter, bytes);
        } else {
            self.write_from::<Ctr128BE>(counter, bytes);
        }
    }

    fn write_from<F: CtrFlavor<U16>>(&self, counter: u128, bytes: &mut [u8]) {
        let core =
            CtrCore::<&Aes256, F>::inner_iv_init(&self.cipher, &counter.to_be_bytes().into());
        StreamCipherCoreWrapper::from_core(core).write_keystream(bytes);
    }
}

impl std::fmt::Debug for MaskStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "MaskStream({} bits, ..)", self.bits.bits())
    }
}

fn combine(bits: WordBits, sign: Sign, keystream: &[u8], words: &mut [u64]) {
    let mask = bits.mask();
    match sign {
        Sign::Add => packing::zip_words(bits, keystream, words, |word, field| {
            *word = word.wrapping_add(field) & mask;
        }),
        Sign::Subtract => packing::zip_words(bits, keystream, words, |word, field| {
            *word = word.wrapping_sub(field) & mask;
        }),
    }
}

const BLOCK: usize = 16;
/// 16 KiB: small enough to stay in the first-level cache together with the words.
const BLOCKS_PER_PIECE: u16 = 1024;
const PIECE: usize = BLOCK * BLOCKS_PER_PIECE as usize;
