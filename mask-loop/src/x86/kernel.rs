// SPDX-License-Identifier: Apache-2.0
//! The kernel: one stream summed into one piece, over vectors of any size.

use super::round_keys::RoundKeys;
use super::table::{Cell, Table, WINDOW};
use super::vectors::{MOST_CELLS, Vectors, packed_cell};
use crate::pieces::GRANULE;

/// What is compiled for one instruction set and one width.
///
/// # Safety
/// All need the processor to have the instructions.
pub(super) struct Kernels {
    /// Tabulates the states after two rounds, for so many blocks from the counter on. They lie in at
    /// most as many windows as the table has.
    pub(super) tabulate: unsafe fn(&RoundKeys, u128, usize, &mut Table),
    /// Overwrites bytes with the blocks from the counter on.
    pub(super) write_keystream: unsafe fn(&RoundKeys, u128, &mut [u8]),
    /// For widths that have vector code.
    pub(super) sum: Option<Sum>,
}

/// Adds one stream to one piece.
///
/// # Safety
/// Both need what [`Pass`] says.
pub(super) struct Sum {
    /// Leaves sums in lanes.
    pub(super) keeping: unsafe fn(&Pass<'_>),
    /// Packs the sums.
    pub(super) packing: unsafe fn(&Pass<'_>),
    /// How many bytes after the packed sums may be overwritten.
    pub(super) slack: usize,
}

/// One stream over some granules of one piece.
///
/// # Safety
/// A kernel reads `granules` granules of lanes at `from`, and writes as many to `to`: the same place,
/// or one that does not overlap. When packing it writes so many packed granules, and spoils
/// [`Sum::slack`] bytes after them. The table was made for the blocks.
pub(super) struct Pass<'a> {
    pub(super) round_keys: &'a RoundKeys,
    pub(super) table: &'a Table,
    /// The first block, counted from the beginning of the table's first window. A multiple of
    /// [`MOST_CELLS`].
    pub(super) block: usize,
    pub(super) granules: usize,
    /// Added to the lanes along with the stream.
    pub(super) bias: Cell,
    pub(super) from: *const u8,
    pub(super) to: *mut u8,
}

/// How many bytes a lane has in which fields of so many bits are summed.
pub(super) const fn lane_bytes(bits: usize) -> usize {
    match bits {
        ..=16 => 2,
        17..=32 => 4,
        33.. => 8,
    }
}

/// # Safety
/// The processor has the instructions of `I`, and the pass is as [`Pass`] says.
#[inline(always)]
pub(super) unsafe fn sum<I: Vectors, const BITS: usize, const PACK: bool>(pass: &Pass<'_>) {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match BITS {
            24 | 48 => spread_threes::<I, BITS, PACK>(pass),
            20 | 40 => spread_fives::<I, BITS, PACK>(pass),
            _ => whole_lanes::<I, BITS>(pass),
        }
    }
}

/// Fields that are lanes: packing is writing.
#[inline(always)]
unsafe fn whole_lanes<I: Vectors, const BITS: usize>(pass: &Pass<'_>) {
    let steps = pass.granules * (GRANULE * BITS / 8 / (8 * I::BYTES));
    let (mut block, mut from, mut to) = (pass.block, pass.from, pass.to);
    // SAFETY: the steps read and write the granules of the pass, vector by vector, each from its start
    // to its end. The bias is a cell.
    unsafe {
        let bias = I::broadcast(pass.bias.0.as_ptr());
        for _ in 0..steps {
            let states = keystream::<I, 8>(pass, block);
            for state in states {
                let lanes = add::<I, BITS>(I::load(from), bias);
                I::store(to, add::<I, BITS>(lanes, state));
                from = from.add(I::BYTES);
                to = to.add(I::BYTES);
            }
            block = block.wrapping_add(8 * I::CELLS);
        }
    }
}

#[inline(always)]
unsafe fn spread_threes<I: Vectors, const BITS: usize, const PACK: bool>(pass: &Pass<'_>) {
    let steps = pass.granules * (GRANULE * BITS / 8 / (6 * I::BYTES));
    let (mut block, mut from, mut to) = (pass.block, pass.from, pass.to);
    // SAFETY: as in `whole_lanes`; six vectors of packed fields are eight of lanes.
    unsafe {
        let bias = I::broadcast(pass.bias.0.as_ptr());
        for _ in 0..steps {
            let [a, b, c, d, e, f] = keystream::<I, 6>(pass, block);
            for packed in [[a, b, c], [d, e, f]] {
                for field in I::spread_three::<BITS>(packed) {
                    let lanes = add::<I, BITS>(I::load(from), bias);
                    to = put::<I, BITS, PACK>(to, add::<I, BITS>(lanes, field));
                    from = from.add(I::BYTES);
                }
            }
            block = block.wrapping_add(6 * I::CELLS);
        }
    }
}

#[inline(always)]
unsafe fn spread_fives<I: Vectors, const BITS: usize, const PACK: bool>(pass: &Pass<'_>) {
    let steps = pass.granules * (GRANULE * BITS / 8 / (10 * I::BYTES));
    let (mut block, mut from, mut to) = (pass.block, pass.from, pass.to);
    // SAFETY: as in `whole_lanes`; ten vectors of packed fields are sixteen of lanes.
    unsafe {
        let bias = I::broadcast(pass.bias.0.as_ptr());
        for _ in 0..steps {
            let [a, b, c, d, e, f, g, h, i, j] = keystream::<I, 10>(pass, block);
            for packed in [[a, b, c, d, e], [f, g, h, i, j]] {
                for field in I::spread_five::<BITS>(packed) {
                    let lanes = add::<I, BITS>(I::load(from), bias);
                    to = put::<I, BITS, PACK>(to, add::<I, BITS>(lanes, field));
                    from = from.add(I::BYTES);
                }
            }
            block = block.wrapping_add(10 * I::CELLS);
        }
    }
}

/// Writes lanes, packed or not; answers where the next belong.
#[inline(always)]
unsafe fn put<I: Vectors, const BITS: usize, const PACK: bool>(
    to: *mut u8,
    lanes: I::V,
) -> *mut u8 {
    // SAFETY: the caller has room for the vector, and for the slack when packing.
    unsafe {
        if PACK {
            I::store_packed::<BITS>(to, lanes);
            to.add(packed_cell(BITS) * I::CELLS)
        } else {
            I::store(to, lanes);
            to.add(I::BYTES)
        }
    }
}

#[inline(always)]
unsafe fn add<I: Vectors, const BITS: usize>(one: I::V, other: I::V) -> I::V {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match lane_bytes(BITS) {
            2 => I::add_16(one, other),
            4 => I::add_32(one, other),
            _ => I::add_64(one, other),
        }
    }
}

/// N vectors of keystream from `block` on, complemented for a stream that is subtracted. N at a time
/// keep the AES units busy: a round takes several cycles, and the next of one state waits for it.
#[inline(always)]
unsafe fn keystream<I: Vectors, const N: usize>(pass: &Pass<'_>, block: usize) -> [I::V; N] {
    let states_after_two = pass.table.states.as_ptr();
    let drifts = pass.table.drifts.as_ptr();
    // SAFETY: blocks are multiples of the cells of a vector, so a vector lies within the window; the
    // table has a drift for every block of the pass.
    unsafe {
        let mut states = [I::zero(); N];
        for (position, state) in states.iter_mut().enumerate() {
            let block = block.wrapping_add(position * I::CELLS);
            let tabulated = I::load(states_after_two.add(block % WINDOW).cast());
            *state = I::xor(tabulated, I::broadcast(drifts.add(block / WINDOW).cast()));
        }
        for key in &pass.round_keys.keys[3..14] {
            let key = I::broadcast(key.0.as_ptr());
            for state in &mut states {
                *state = I::round(*state, key);
            }
        }
        let key = I::broadcast(pass.round_keys.signed_last.0.as_ptr());
        for state in &mut states {
            *state = I::last_round(*state, key);
        }
        states
    }
}

/// # Safety
/// The processor has the instructions of `I`; the blocks lie in at most as many windows as the table
/// has.
#[inline(always)]
pub(super) unsafe fn tabulate<I: Vectors>(
    round_keys: &RoundKeys,
    counter: u128,
    blocks: usize,
    table: &mut Table,
) {
    let first = counter & !(WINDOW as u128 - 1);
    let last = counter + (blocks as u128).saturating_sub(1);
    let [key_0, key_1, key_2, ..] = &round_keys.keys;
    // SAFETY: `ordinals` holds as many cells as the largest vector; the vectors written to `states`
    // are exactly its cells.
    unsafe {
        let (key_0, key_1) = (
            I::broadcast(key_0.0.as_ptr()),
            I::broadcast(key_1.0.as_ptr()),
        );
        let key_2 = I::broadcast(key_2.0.as_ptr());

        let start = Cell(first.to_be_bytes());
        let start = I::xor(I::broadcast(start.0.as_ptr()), key_0);
        let step = ordinal(I::CELLS);
        let step = I::broadcast(step.0.as_ptr());
        let mut count = I::load(ORDINALS.as_ptr().cast());
        for states in table.states.chunks_exact_mut(I::CELLS) {
            let state = I::round(I::round(I::xor(start, count), key_1), key_2);
            I::store(states.as_mut_ptr().cast(), state);
            // The last byte never carries: it ends with 255.
            count = I::add_32(count, step);
        }

        let of_first = I::broadcast(table.states.as_ptr().cast());
        let windows = (first..=last).step_by(WINDOW);
        for (drift, window) in table.drifts.iter_mut().zip(windows) {
            let start = Cell(window.to_be_bytes());
            let start = I::xor(I::broadcast(start.0.as_ptr()), key_0);
            let state = I::round(I::round(start, key_1), key_2);
            let mut cells = [Cell::default(); MOST_CELLS];
            I::store(cells.as_mut_ptr().cast(), I::xor(state, of_first));
            *drift = cells[0];
        }
    }
}

/// # Safety
/// The processor has the instructions of `I`.
#[inline(always)]
pub(super) unsafe fn write_keystream<I: Vectors>(
    round_keys: &RoundKeys,
    counter: u128,
    bytes: &mut [u8],
) {
    const CELLS: usize = 8 * MOST_CELLS;
    let mut counter = counter;
    let mut blocks = [Cell::default(); CELLS];
    for bytes in bytes.chunks_mut(size_of_val(&blocks)) {
        for block in &mut blocks {
            block.0 = counter.to_be_bytes();
            counter = counter.wrapping_add(1);
        }
        for blocks in blocks.chunks_exact_mut(8 * I::CELLS) {
            let at: *mut u8 = blocks.as_mut_ptr().cast();
            // SAFETY: eight vectors are read from and written to as many cells.
            unsafe {
                let mut states = [I::zero(); 8];
                let key = I::broadcast(round_keys.keys[0].0.as_ptr());
                for (position, state) in states.iter_mut().enumerate() {
                    *state = I::xor(I::load(at.add(position * I::BYTES)), key);
                }
                for key in &round_keys.keys[1..14] {
                    let key = I::broadcast(key.0.as_ptr());
                    for state in &mut states {
                        *state = I::round(*state, key);
                    }
                }
                let key = I::broadcast(round_keys.keys[14].0.as_ptr());
                for (position, state) in states.into_iter().enumerate() {
                    I::store(at.add(position * I::BYTES), I::last_round(state, key));
                }
            }
        }
        for (bytes, block) in bytes.chunks_mut(16).zip(&blocks) {
            bytes.copy_from_slice(&block.0[..bytes.len()]);
        }
    }
    zeroize::Zeroize::zeroize(&mut blocks);
}

/// The numbers 0 to 3 as the last byte of a counter.
const ORDINALS: [Cell; MOST_CELLS] = [ordinal(0), ordinal(1), ordinal(2), ordinal(3)];

#[expect(
    clippy::cast_possible_truncation,
    reason = "at most the cells of a vector"
)]
const fn ordinal(number: usize) -> Cell {
    let mut cell = Cell([0; 16]);
    cell.0[15] = number as u8;
    cell
}

/// The kernels of an implementation of [`Vectors`], compiled with its instructions enabled.
macro_rules! kernels {
    ($vectors:ty, $features:literal) => {
        /// What is compiled for fields of so many bits.
        pub(super) fn kernels(bits: usize) -> Kernels {
            let sum = match bits {
                16 => Some(sum::<16>()),
                20 => Some(sum::<20>()),
                24 => Some(sum::<24>()),
                32 => Some(sum::<32>()),
                40 => Some(sum::<40>()),
                48 => Some(sum::<48>()),
                64 => Some(sum::<64>()),
                _ => None,
            };
            Kernels {
                tabulate,
                write_keystream,
                sum,
            }
        }

        fn sum<const BITS: usize>() -> Sum {
            Sum {
                keeping: sum_into::<BITS, false>,
                packing: sum_into::<BITS, true>,
                slack: match BITS {
                    16 | 32 | 64 => 0,
                    _ => <$vectors>::BYTES,
                },
            }
        }

        #[target_feature(enable = $features)]
        unsafe fn sum_into<const BITS: usize, const PACK: bool>(pass: &Pass<'_>) {
            // SAFETY: the caller's promise; the instructions are enabled here.
            unsafe { kernel::sum::<$vectors, BITS, PACK>(pass) }
        }

        #[target_feature(enable = $features)]
        unsafe fn tabulate(keys: &RoundKeys, counter: u128, blocks: usize, table: &mut Table) {
            // SAFETY: the caller's promise; the instructions are enabled here.
            unsafe { kernel::tabulate::<$vectors>(keys, counter, blocks, table) }
        }

        #[target_feature(enable = $features)]
        unsafe fn write_keystream(keys: &RoundKeys, counter: u128, bytes: &mut [u8]) {
            // SAFETY: the caller's promise; the instructions are enabled here.
            unsafe { kernel::write_keystream::<$vectors>(keys, counter, bytes) }
        }
    };
}
pub(super) use kernels;
