// SPDX-License-Identifier: Apache-2.0
//! Words as a dense string of bits: word e occupies bits [e * bits, (e + 1) * bits), the least
//! significant bit first. Bits left over in the last byte are zero, and are checked.

use crate::ring::WordBits;

/// How many bytes `count` words take.
pub fn packed_length(bits: WordBits, count: usize) -> usize {
    let bits = usize::from(bits.bits());
    // In two steps, so that no count that fits in memory overflows.
    count / 8 * bits + (count % 8 * bits).div_ceil(8)
}

/// Packs words; bits above the width are dropped.
pub fn pack(bits: WordBits, words: &[u64]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(packed_length(bits, words.len()));
    let width = usize::from(bits.bits());
    if width.is_multiple_of(8) {
        for word in words {
            let bytes = word.to_le_bytes();
            packed.extend_from_slice(bytes.get(..width / 8).unwrap_or(&bytes));
        }
        return packed;
    }
    // At most 7 bits wait between words, so 71 are the most that `pending` holds.
    let (mut pending, mut held) = (0_u128, 0);
    for word in words {
        pending |= u128::from(word & bits.mask()) << held;
        held += width;
        while held >= 8 {
            packed.push(low_byte(pending));
            pending >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        packed.push(low_byte(pending));
    }
    packed
}

fn low_byte(pending: u128) -> u8 {
    let [low, ..] = pending.to_le_bytes();
    low
}

/// Unpacks exactly `count` words.
///
/// # Errors
/// [`PackingFault::Length`] when the bytes are not as many as `count` words take, and
/// [`PackingFault::Padding`] when a left-over bit is set.
pub fn unpack(bits: WordBits, packed: &[u8], count: usize) -> Result<Vec<u64>, PackingFault> {
    let expected = packed_length(bits, count);
    if packed.len() != expected {
        return Err(PackingFault::Length {
            expected,
            found: packed.len(),
        });
    }
    let mut words = Vec::with_capacity(count);
    read_words(bits, packed, count, |word| words.push(word));
    let used = count % 8 * usize::from(bits.bits()) % 8;
    match packed.last() {
        Some(last) if used != 0 && last >> used != 0 => Err(PackingFault::Padding),
        _ => Ok(words),
    }
}

/// Hands `count` words to `take`, in order. The bytes are as many as `count` words take.
pub(crate) fn read_words(bits: WordBits, packed: &[u8], count: usize, mut take: impl FnMut(u64)) {
    let width = usize::from(bits.bits());
    match width {
        8 => packed.iter().for_each(|byte| take(u64::from(*byte))),
        16 => each(packed, |bytes: [u8; 2]| {
            take(u64::from(u16::from_le_bytes(bytes)))
        }),
        24 => each(packed, |[low, middle, high]| {
            take(u64::from(u32::from_le_bytes([low, middle, high, 0])));
        }),
        32 => each(packed, |bytes: [u8; 4]| {
            take(u64::from(u32::from_le_bytes(bytes)))
        }),
        64 => each(packed, |bytes| take(u64::from_le_bytes(bytes))),
        _ => {
            let (mut pending, mut held) = (0_u128, 0);
            let mut bytes = packed.iter();
            for _ in 0..count {
                while held < width {
                    let byte = bytes.next().copied().unwrap_or_default();
                    pending |= u128::from(byte) << held;
                    held += 8;
                }
                let [low, _] = words_of(pending);
                take(low & bits.mask());
                pending >>= width;
                held -= width;
            }
        }
    }
}

fn words_of(pending: u128) -> [u64; 2] {
    let low = pending & u128::from(u64::MAX);
    [u64::try_from(low).unwrap_or_default(), 0]
}

fn each<const N: usize>(packed: &[u8], take: impl FnMut([u8; N])) {
    let (words, _) = packed.as_chunks::<N>();
    words.iter().copied().for_each(take);
}

/// Why bytes are not packed words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackingFault {
    /// More or fewer bytes than the words take.
    #[error("packed words take `{expected}` bytes, but `{found}` were given")]
    Length {
        /// How many the words take.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A bit beyond the last word is set.
    #[error("bits after the last packed word are not zero")]
    Padding,
}
