// SPDX-License-Identifier: Apache-2.0
//! Words as a dense string of bits: word e occupies bits [e * bits, (e + 1) * bits), the least
//! significant bit first. Bits left over in the last byte are zero, and are checked.

use zeroize::Zeroizing;

use crate::ring::WordBits;

/// How many bytes `count` words take; `usize::MAX` when no memory could hold them.
pub fn packed_length(bits: WordBits, count: usize) -> usize {
    let bits = usize::from(bits.bits());
    let whole_groups = (count / 8).saturating_mul(bits);
    whole_groups.saturating_add((count % 8 * bits).div_ceil(8))
}

/// Packs words; bits above the width are dropped.
pub fn pack(bits: WordBits, words: &[u64]) -> Vec<u8> {
    match bits.bits() {
        8 => low_bytes::<1>(words),
        16 => low_bytes::<2>(words),
        24 => low_bytes::<3>(words),
        32 => low_bytes::<4>(words),
        40 => low_bytes::<5>(words),
        48 => low_bytes::<6>(words),
        64 => low_bytes::<8>(words),
        _ => {
            let mut packed = Vec::with_capacity(packed_length(bits, words.len()));
            push_bits(bits, words, &mut packed);
            packed
        }
    }
}

fn low_bytes<const N: usize>(words: &[u64]) -> Vec<u8> {
    let mut packed = vec![0; words.len() * N];
    let (places, _) = packed.as_chunks_mut::<N>();
    for (place, word) in places.iter_mut().zip(words) {
        if let Some(low) = word.to_le_bytes().first_chunk::<N>() {
            *place = *low;
        }
    }
    packed
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
/// As of [`check`].
pub fn unpack(bits: WordBits, packed: &[u8], count: usize) -> Result<Vec<u64>, PackingFault> {
    let mut words = Vec::new();
    unpack_onto(bits, packed, count, &mut words)?;
    Ok(words)
}

/// The same, behind what `words` hold.
///
/// # Errors
/// As of [`check`]; `words` are as they were then.
pub fn unpack_onto(
    bits: WordBits,
    packed: &[u8],
    count: usize,
    words: &mut Vec<u64>,
) -> Result<(), PackingFault> {
    check(bits, packed, count)?;
    let before = words.len();
    words.resize(before + count, 0);
    zip_words(bits, packed, &mut words[before..], |word, packed_word| {
        *word = packed_word;
    });
    Ok(())
}

/// Checks that bytes are exactly `count` packed words.
///
/// # Errors
/// [`PackingFault::Length`] when the bytes are not as many as `count` words take, and
/// [`PackingFault::Padding`] when a left-over bit is set.
pub fn check(bits: WordBits, packed: &[u8], count: usize) -> Result<(), PackingFault> {
    let expected = packed_length(bits, count);
    if packed.len() != expected {
        return Err(PackingFault::Length {
            expected,
            found: packed.len(),
        });
    }
    let used = count % 8 * usize::from(bits.bits()) % 8;
    match packed.last() {
        Some(last) if used != 0 && last >> used != 0 => Err(PackingFault::Padding),
        _ => Ok(()),
    }
}

/// The sum of packed vectors of one length, modulo a power of two.
#[derive(Debug)]
pub struct PackedSum {
    bits: WordBits,
    pub(crate) words: SummedWords,
}

/// Words in the narrower of two integers that hold them. What stands above the width is left alone.
#[derive(Debug)]
pub(crate) enum SummedWords {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl PackedSum {
    /// `count` zeros.
    pub fn new(bits: WordBits, count: usize) -> Self {
        let words = if bits.bits() <= 32 {
            SummedWords::Narrow(vec![0; count])
        } else {
            SummedWords::Wide(vec![0; count])
        };
        Self { bits, words }
    }

    /// Adds one vector.
    ///
    /// # Errors
    /// As of [`check`]; nothing was added then.
    pub fn add(&mut self, packed: &[u8]) -> Result<(), PackingFault> {
        match &mut self.words {
            SummedWords::Narrow(words) => {
                check(self.bits, packed, words.len())?;
                zip_words(self.bits, packed, words, |word, added| {
                    *word = word.wrapping_add(low_half(added));
                });
            }
            SummedWords::Wide(words) => {
                check(self.bits, packed, words.len())?;
                zip_words(self.bits, packed, words, |word, added| {
                    *word = word.wrapping_add(added);
                });
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "words have at most 32 bits here"
)]
fn low_half(word: u64) -> u32 {
    word as u32
}

/// Hands each of `words` to `combine` together with its packed counterpart. The bytes are as many as
/// the words take.
///
/// COST: the widths that plans choose have loops of their own, compiled for that width; any other width
/// is right and about three times slower.
fn zip_words<W>(bits: WordBits, packed: &[u8], words: &mut [W], combine: impl Fn(&mut W, u64)) {
    match bits.bits() {
        8 => zip_bytes(packed, words, combine, |[byte]| u64::from(byte)),
        16 => zip_bytes(packed, words, combine, |bytes| {
            u64::from(u16::from_le_bytes(bytes))
        }),
        24 => zip_bytes(packed, words, combine, |[low, middle, high]| {
            u64::from(u32::from_le_bytes([low, middle, high, 0]))
        }),
        32 => zip_bytes(packed, words, combine, |bytes| {
            u64::from(u32::from_le_bytes(bytes))
        }),
        64 => zip_bytes(packed, words, combine, u64::from_le_bytes),
        20 => zip_groups::<W, 20>(bits, packed, words, combine),
        40 => zip_groups::<W, 40>(bits, packed, words, combine),
        48 => zip_groups::<W, 48>(bits, packed, words, combine),
        _ => zip_bits(bits, packed, words, combine),
    }
}

fn zip_bytes<W, const N: usize>(
    packed: &[u8],
    words: &mut [W],
    combine: impl Fn(&mut W, u64),
    decode: impl Fn([u8; N]) -> u64,
) {
    let (packed_words, _) = packed.as_chunks::<N>();
    for (word, bytes) in words.iter_mut().zip(packed_words) {
        combine(word, decode(*bytes));
    }
}

/// Eight words of `WIDTH` bits, at most 57, fill `WIDTH` bytes, and each lies within eight of them.
fn zip_groups<W, const WIDTH: usize>(
    bits: WordBits,
    packed: &[u8],
    words: &mut [W],
    combine: impl Fn(&mut W, u64),
) {
    let (groups, rest) = words.as_chunks_mut::<8>();
    let (packed_groups, packed_rest) = packed.as_chunks::<WIDTH>();
    for (group, packed_group) in groups.iter_mut().zip(packed_groups) {
        for (position, word) in group.iter_mut().enumerate() {
            let byte = (position * WIDTH / 8).min(WIDTH - 8);
            let shift = position * WIDTH - byte * 8;
            combine(word, load(&packed_group[byte..]) >> shift & bits.mask());
        }
    }
    zip_bits(bits, packed_rest, rest, combine);
}

fn zip_bits<W>(bits: WordBits, packed: &[u8], words: &mut [W], combine: impl Fn(&mut W, u64)) {
    let (width, mask) = (usize::from(bits.bits()), bits.mask());
    // Eight words fill `width` whole bytes. A copy with room behind lets every word be read as eight
    // bytes and a ninth.
    let mut group = Zeroizing::new([0; 72]);
    for (words, packed_group) in words.chunks_mut(8).zip(packed.chunks(width)) {
        group[..packed_group.len()].copy_from_slice(packed_group);
        for (position, word) in words.iter_mut().enumerate() {
            let (byte, shift) = (position * width / 8, position * width % 8);
            let low = load(&group[byte..]) >> shift;
            let high = u64::from(group[byte + 8]) << (63 - shift) << 1;
            combine(word, (low | high) & mask);
        }
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
