// SPDX-License-Identifier: Apache-2.0
//! Words as a dense string of bits: word e occupies bits [e * bits, (e + 1) * bits), the least
//! significant bit first. Bits left over in the last byte are zero, and are checked.

use zeroize::Zeroizing;

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
    match bits.bits() {
        8 => push_low_bytes::<1>(words, &mut packed),
        16 => push_low_bytes::<2>(words, &mut packed),
        24 => push_low_bytes::<3>(words, &mut packed),
        32 => push_low_bytes::<4>(words, &mut packed),
        64 => push_low_bytes::<8>(words, &mut packed),
        _ => push_bits(bits, words, &mut packed),
    }
    packed
}

fn push_low_bytes<const N: usize>(words: &[u64], packed: &mut Vec<u8>) {
    for word in words {
        if let Some(low) = word.to_le_bytes().first_chunk::<N>() {
            packed.extend_from_slice(low);
        }
    }
}

fn push_bits(bits: WordBits, words: &[u64], packed: &mut Vec<u8>) {
    let (width, mask) = (usize::from(bits.bits()), bits.mask());
    // Bits that do not yet fill eight bytes: fewer than 64 between words.
    let (mut pending, mut held) = (0_u64, 0);
    for word in words {
        let word = word & mask;
        pending |= word << held;
        held += width;
        if held >= 64 {
            packed.extend_from_slice(&pending.to_le_bytes());
            held -= 64;
            pending = word >> (width - held);
        }
    }
    let length = packed.len() + held.div_ceil(8);
    packed.extend_from_slice(&pending.to_le_bytes());
    packed.truncate(length);
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
    match bits.bits() {
        8 => read_bytes(packed, |[byte]| take(u64::from(byte))),
        16 => read_bytes(packed, |bytes| take(u64::from(u16::from_le_bytes(bytes)))),
        24 => read_bytes(packed, |[low, middle, high]| {
            take(u64::from(u32::from_le_bytes([low, middle, high, 0])));
        }),
        32 => read_bytes(packed, |bytes| take(u64::from(u32::from_le_bytes(bytes)))),
        64 => read_bytes(packed, |bytes| take(u64::from_le_bytes(bytes))),
        _ => read_bits(bits, packed, count, take),
    }
}

fn read_bytes<const N: usize>(packed: &[u8], take: impl FnMut([u8; N])) {
    let (words, _) = packed.as_chunks::<N>();
    words.iter().copied().for_each(take);
}

fn read_bits(bits: WordBits, packed: &[u8], count: usize, mut take: impl FnMut(u64)) {
    let (width, mask) = (usize::from(bits.bits()), bits.mask());
    // Eight words fill `width` whole bytes. A copy with room behind lets every word be read as eight
    // bytes and a ninth.
    let mut group = Zeroizing::new([0; 72]);
    let mut left = count;
    for packed_group in packed.chunks(width) {
        group[..packed_group.len()].copy_from_slice(packed_group);
        for word in 0..left.min(8) {
            let (byte, shift) = (word * width / 8, word * width % 8);
            let low = load(&group[byte..]) >> shift;
            let high = u64::from(group[byte + 8]) << (63 - shift) << 1;
            take((low | high) & mask);
        }
        left = left.saturating_sub(8);
    }
}

fn load(bytes: &[u8]) -> u64 {
    bytes.first_chunk().copied().map_or(0, u64::from_le_bytes)
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
