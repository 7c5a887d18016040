// SPDX-License-Identifier: Apache-2.0
//! Mask streams: words drawn from AES-256 in counter mode, added to or subtracted from a vector.
//!
//! Block k of a stream is AES(nonce || k as 32 bits, big-endian). Field e is bits
//! [e * bits, (e + 1) * bits) of the blocks, the least significant bit of each byte first. After 2^32
//! blocks the stream goes on with the next nonce. Any 128 fields begin on a block, so a stream can be
//! entered at every multiple of 128.
//!
//! The work is done by [`consilium_mask_loop`], with the best instructions that the processor has.

pub use consilium_mask_loop::{FIELD_ALIGNMENT, Sign};
use consilium_mask_loop::{Field, MaskLoop, Stream};

use crate::packing::{PackedSum, SummedWords};
use crate::ring::WordBits;
use crate::secret::Secret;

/// One mask stream. Its key is wiped on drop.
pub struct MaskStream {
    bits: WordBits,
    stream: Stream,
}

impl MaskStream {
    /// The stream of a derived key: 32 bytes of AES-256 key, then the first nonce.
    pub fn new(bits: WordBits, key: &Secret<[u8; 44]>) -> Self {
        Self {
            bits,
            stream: Stream::from_bytes(key.expose()),
        }
    }

    /// Adds or subtracts fields `first_field`, `first_field + 1`, and so on, one to each word.
    ///
    /// # Panics
    /// When `first_field` is not a multiple of [`FIELD_ALIGNMENT`].
    pub fn apply(&self, sign: Sign, first_field: u64, words: &mut [u64]) {
        mask_loop(self.bits).apply(&[(sign, &self.stream)], first_field, words);
    }
}

impl std::fmt::Debug for MaskStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "MaskStream({} bits, ..)", self.bits.bits())
    }
}

/// All mask streams of one vector. Summed together they cost less than one by one: the vector is read
/// once, and packed while it is still in the cache.
pub struct MaskSet {
    bits: WordBits,
    streams: Vec<(Sign, Stream)>,
}

impl MaskSet {
    /// No streams yet, for words of `bits` bits.
    pub fn new(bits: WordBits) -> Self {
        Self {
            bits,
            streams: Vec::new(),
        }
    }

    /// Takes in the stream of a derived key: 32 bytes of AES-256 key, then the first nonce.
    pub fn push(&mut self, sign: Sign, key: &Secret<[u8; 44]>) {
        self.streams.push((sign, Stream::from_bytes(key.expose())));
    }

    /// How many streams it holds.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Adds or subtracts all streams, from field `first_field` on, one field to each word.
    ///
    /// # Panics
    /// When `first_field` is not a multiple of [`FIELD_ALIGNMENT`].
    pub fn apply(&self, first_field: u64, words: &mut [u64]) {
        mask_loop(self.bits).apply(&self.streams, first_field, words);
    }

    /// The same, packed as by [`crate::packing::pack`]; the words stay as they are.
    ///
    /// # Panics
    /// When `first_field` is not a multiple of [`FIELD_ALIGNMENT`].
    pub fn pack(&self, first_field: u64, words: &[u64]) -> Vec<u8> {
        self.masked(first_field, words)
    }

    /// The same for a sum of packed vectors.
    ///
    /// # Panics
    /// When `first_field` is not a multiple of [`FIELD_ALIGNMENT`].
    pub fn pack_sum(&self, first_field: u64, sum: &PackedSum) -> Vec<u8> {
        match &sum.words {
            SummedWords::Narrow(words) => self.masked(first_field, words),
            SummedWords::Wide(words) => self.masked(first_field, words),
        }
    }

    fn masked<F: Field>(&self, first_field: u64, words: &[F]) -> Vec<u8> {
        let mask_loop = mask_loop(self.bits);
        let mut packed = vec![0; mask_loop.packed_length(words.len())];
        mask_loop.mask(&self.streams, first_field, words, &mut packed);
        packed
    }
}

impl std::fmt::Debug for MaskSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bits, streams) = (self.bits.bits(), self.streams.len());
        write!(formatter, "MaskSet({bits} bits, {streams} streams)")
    }
}

fn mask_loop(bits: WordBits) -> MaskLoop {
    #[expect(clippy::expect_used, reason = "word widths are field widths: 8 to 64")]
    MaskLoop::new(bits.bits()).expect("a width of words is one of fields")
}
