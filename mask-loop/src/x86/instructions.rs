// SPDX-License-Identifier: Apache-2.0
//! What the kernel asks of an instruction set: rounds of AES on some states, and arithmetic on lanes.
//! Vectors are made of cells of 16 bytes and always hold successive bytes.

/// Vectors of AES states.
///
/// # Safety
/// Every method needs the processor to have the instructions of the implementation; methods that take
/// pointers, that these point to as many bytes as the method says (aligned or not). All methods are
/// inlined into functions that enable the instructions.
pub(super) trait Aes {
    /// The vector.
    type V: Copy;

    /// How many states it holds.
    const CELLS: usize;

    /// How many bytes it holds.
    const BYTES: usize = Self::CELLS * 16;

    unsafe fn zero() -> Self::V;
    /// Reads a whole vector.
    unsafe fn load(from: *const u8) -> Self::V;
    /// Writes a whole vector.
    unsafe fn store(to: *mut u8, vector: Self::V);
    /// Reads one cell into all cells.
    unsafe fn broadcast(from: *const u8) -> Self::V;
    unsafe fn xor(one: Self::V, other: Self::V) -> Self::V;
    unsafe fn add_32(one: Self::V, other: Self::V) -> Self::V;
    /// One round on every state.
    unsafe fn round(state: Self::V, key: Self::V) -> Self::V;
    /// The last round on every state.
    unsafe fn last_round(state: Self::V, key: Self::V) -> Self::V;
}

/// Vectors of lanes.
///
/// # Safety
/// As for [`Aes`].
pub(super) trait Lanes {
    /// The vector.
    type V: Copy;

    /// How many bytes it holds.
    const BYTES: usize;

    /// Reads a whole vector.
    unsafe fn load(from: *const u8) -> Self::V;
    /// Writes a whole vector.
    unsafe fn store(to: *mut u8, lanes: Self::V);
    /// Reads one cell into all cells.
    unsafe fn broadcast(from: *const u8) -> Self::V;
    unsafe fn add_16(one: Self::V, other: Self::V) -> Self::V;
    unsafe fn add_32(one: Self::V, other: Self::V) -> Self::V;
    unsafe fn add_64(one: Self::V, other: Self::V) -> Self::V;
    /// Packed fields as one vector of lanes. Reads less than a vector from there on, and less than one
    /// before; anything may stand above the fields.
    unsafe fn spread<const BITS: usize>(packed: *const u8) -> Self::V;
    /// Packs one vector of lanes and writes it. As much as a vector after it may be overwritten.
    unsafe fn store_packed<const BITS: usize>(to: *mut u8, lanes: Self::V);
}

/// Lanes in the same vectors as states, so that keystream need not go through memory.
///
/// # Safety
/// As for [`Aes`].
pub(super) trait Joint: Lanes {
    /// Whether fields that are no whole lanes can be spread and packed; if not, only whole lanes are
    /// asked for.
    const SPREADS: bool;

    /// The lanes at `position` of packed fields: these begin in the vector `first` and may end in the
    /// vector `second` after it. Anything may stand above the fields.
    unsafe fn spread_joint<const BITS: usize>(
        position: usize,
        first: Self::V,
        second: Self::V,
    ) -> Self::V;

    /// Packs vectors of lanes that fill whole vectors, and writes these. As much as a vector after them
    /// may be overwritten.
    unsafe fn store_joint<const BITS: usize>(to: *mut u8, lanes: &[Self::V]);
}

/// How many packed bytes come from one cell of lanes of fields that have a spread.
pub(super) const fn packed_cell(bits: usize) -> usize {
    match bits {
        20 | 40 => 10,
        24 | 48 => 12,
        _ => 16,
    }
}

/// Whether fields of so many bits are lanes as they are.
pub(super) const fn is_whole_lane(bits: usize) -> bool {
    packed_cell(bits) == 16
}

/// The largest number of cells of any vector.
pub(super) const MOST_CELLS: usize = 4;

/// For the bytes of lanes: where each comes from in packed fields that begin at byte `start`; `ABSENT`
/// for bytes wholly above the field.
pub(super) const fn spread_indices<const N: usize>(bits: usize, start: usize) -> [u8; N] {
    let lane = super::kernel::lane_bytes(bits);
    let mut indices = [ABSENT; N];
    let mut at = 0;
    while at < N {
        let (first_bit, byte) = (at / lane * bits, at % lane);
        if byte * 8 < first_bit % 8 + bits {
            indices[at] = index(start + first_bit / 8 + byte);
        }
        at += 1;
    }
    indices
}

/// The reverse: for packed bytes, where each comes from in lanes; `ABSENT` after the last. Lanes of 20
/// bits have been joined in pairs before, to 40 bits in 64.
pub(super) const fn pack_indices<const N: usize>(bits: usize) -> [u8; N] {
    let (field, lane) = match bits {
        24 => (3, 4),
        48 => (6, 8),
        _ => (5, 8),
    };
    let mut indices = [ABSENT; N];
    let mut at = 0;
    while at < N / lane * field {
        indices[at] = index(at / field * lane + at % field);
        at += 1;
    }
    indices
}

/// For each of up to eight vectors of lanes of packed fields: where its bytes come from in the two
/// vectors of 64 bytes in which the fields begin and end.
pub(super) const fn joint_indices(bits: usize) -> [[u8; 64]; 8] {
    let mut indices = [[ABSENT; 64]; 8];
    let mut position = 0;
    while position < 8 {
        indices[position] = spread_indices(bits, position * packed_cell(bits) * 4 % 64);
        position += 1;
    }
    indices
}

/// The reverse, for 24 and 48 bits: where the bytes of each of three packed vectors come from in the
/// vector of lanes of the same position and the one after it.
pub(super) const fn join_indices(bits: usize) -> [[u8; 64]; 3] {
    let (field, lane) = (bits / 8, super::kernel::lane_bytes(bits));
    let mut indices = [[0; 64]; 3];
    let mut at = 0;
    while at < 64 * 3 {
        let position = at / 64;
        if field * 4 == lane * 3 {
            indices[position][at % 64] = index(at / field * lane + at % field - position * 64);
        }
        at += 1;
    }
    indices
}

/// An index that `pshufb` answers with zero.
const ABSENT: u8 = 0x80;

#[expect(
    clippy::cast_possible_truncation,
    reason = "no two vectors hold more than 128 bytes"
)]
const fn index(byte: usize) -> u8 {
    assert!(byte < 128, "an index beyond two vectors");
    byte as u8
}
