// SPDX-License-Identifier: Apache-2.0
//! The kernel: one stream summed into one piece, over vectors of any size.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::sync::atomic::{Ordering, compiler_fence};

use super::instructions::{Aes, Lanes, MOST_CELLS, packed_cell};
use super::round_keys::RoundKeys;
use super::table::{Cell, Table, WINDOW};
use crate::pieces::GRANULE;
use crate::workspace::wipe;

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
    /// Added to the lanes along with the stream when they are packed.
    pub(super) bias: Cell,
    pub(super) from: *const u8,
    pub(super) to: *mut u8,
    pub(super) ahead: Ahead,
}

/// Memory that will soon be read or written, a part of which is prefetched with every granule.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    at: *const u8,
    granule: usize,
}

impl Ahead {
    /// So many bytes with every granule. Nothing is accessed there, so any pointer will do.
    pub(super) fn new(at: *const u8, granule: usize) -> Self {
        Self { at, granule }
    }

    #[inline(always)]
    fn step(&mut self, bytes: usize) {
        for line in (0..bytes).step_by(64) {
            // SAFETY: a prefetch accesses nothing, whatever the pointer; every x86-64 has it.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.at.wrapping_add(line).cast()) }
        }
        self.at = self.at.wrapping_add(bytes);
    }
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
/// The processor has the instructions of `A` and `L`, and the pass is as [`Pass`] says.
#[inline(always)]
pub(super) unsafe fn sum<A: Aes, L: Lanes, const BITS: usize, const PACK: bool>(pass: &Pass<'_>) {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match vectors_per_step(BITS) {
            12 => sum_by::<A, L, 12, BITS, PACK>(pass),
            10 => sum_by::<A, L, 10, BITS, PACK>(pass),
            _ => sum_by::<A, L, 8, BITS, PACK>(pass),
        }
    }
}

/// As many as the registers hold and the width allows: see [`steps_fit`].
const fn vectors_per_step(bits: usize) -> usize {
    match bits {
        24 | 48 => 12,
        20 | 40 => 10,
        _ => 8,
    }
}

/// Whether granules are whole steps, steps are whole vectors of lanes, and buffers hold a step.
const fn steps_fit<A: Aes, L: Lanes>(vectors: usize, bits: usize) -> bool {
    let step = vectors * A::BYTES;
    (GRANULE * bits / 8).is_multiple_of(step)
        && step.is_multiple_of(packed_bytes::<L>(bits))
        && step + 2 * MARGIN <= KEYSTREAM
        && L::BYTES <= MARGIN
}

/// N vectors of keystream at a time.
///
/// COST: while the AES units work on one step, the other units sum the step before, whose keystream
/// lies ready in memory; summed at once it would wait for them, and they for it.
#[inline(always)]
unsafe fn sum_by<A: Aes, L: Lanes, const N: usize, const BITS: usize, const PACK: bool>(
    pass: &Pass<'_>,
) {
    // The branches that `sum` never takes are compiled too.
    const { assert!(N != vectors_per_step(BITS) || steps_fit::<A, L>(N, BITS)) };
    let steps_per_granule = GRANULE * BITS / 8 / (N * A::BYTES);
    let steps = pass.granules * steps_per_granule;
    let (mut block, mut from, mut to) = (pass.block, pass.from, pass.to);
    let mut ahead = pass.ahead;
    let ahead_step = ahead.granule.div_ceil(steps_per_granule);
    if steps == 0 {
        return;
    }
    // SAFETY: every step reads and writes its part of the granules of the pass, from their start to
    // their end. Each buffer holds the keystream of a step and what a spread reads around it.
    unsafe {
        let mut buffers = [Keystream([0; KEYSTREAM]), Keystream([0; KEYSTREAM])];
        let [ready, next] = &mut buffers;
        let mut ready = ready.0.as_mut_ptr().add(MARGIN);
        let mut next = next.0.as_mut_ptr().add(MARGIN);
        write_step::<A, N>(pass, block, ready);
        for _ in 1..steps {
            block = block.wrapping_add(N * A::CELLS);
            write_step::<A, N>(pass, block, next);
            ahead.step(ahead_step);
            (from, to) = sum_step::<A, L, N, BITS, PACK>(pass, ready, from, to);
            (ready, next) = (next, ready);
        }
        sum_step::<A, L, N, BITS, PACK>(pass, ready, from, to);
        for position in 0..N {
            A::store(ready.add(position * A::BYTES), A::zero());
            A::store(next.add(position * A::BYTES), A::zero());
        }
    }
}

/// Sums the keystream of one step; answers where the lanes of the next are read and written.
#[inline(always)]
unsafe fn sum_step<A: Aes, L: Lanes, const N: usize, const BITS: usize, const PACK: bool>(
    pass: &Pass<'_>,
    keystream: *const u8,
    mut from: *const u8,
    mut to: *mut u8,
) -> (*const u8, *mut u8) {
    let packed_bytes = packed_bytes::<L>(BITS);
    // SAFETY: the caller's promise; the keystream is read from its start to its end.
    unsafe {
        for position in 0..N * A::BYTES / packed_bytes {
            let fields = L::spread::<BITS>(keystream.add(position * packed_bytes));
            let lanes = add::<L, BITS>(L::load(from), fields);
            from = from.add(L::BYTES);
            if PACK {
                let lanes = add::<L, BITS>(lanes, L::broadcast(pass.bias.0.as_ptr()));
                L::store_packed::<BITS>(to, lanes);
                to = to.add(packed_bytes);
            } else {
                L::store(to, lanes);
                to = to.add(L::BYTES);
            }
        }
    }
    (from, to)
}

/// How many packed bytes come from one vector of lanes.
const fn packed_bytes<L: Lanes>(bits: usize) -> usize {
    packed_cell(bits) * L::BYTES / 16
}

/// Writes the keystream of one step, complemented for a stream that is subtracted. Several vectors at a
/// time keep the AES units busy: a round takes some cycles, and the next of one state waits for it.
#[inline(always)]
unsafe fn write_step<A: Aes, const N: usize>(pass: &Pass<'_>, block: usize, to: *mut u8) {
    let states_after_two = pass.table.states.as_ptr();
    let drifts = pass.table.drifts.as_ptr();
    // SAFETY: blocks are multiples of the cells of a vector, so a vector lies within the window; the
    // table has a drift for every block of the pass; the caller has room for N vectors.
    unsafe {
        let mut states = [A::zero(); N];
        let place = block % WINDOW;
        // COST: nearly always the whole step lies within one window, and needs one drift.
        if place + N * A::CELLS <= WINDOW {
            let tabulated = states_after_two.add(place).cast::<u8>();
            let drift = A::broadcast(drifts.add(block / WINDOW).cast());
            for (position, state) in states.iter_mut().enumerate() {
                *state = A::xor(A::load(tabulated.add(position * A::BYTES)), drift);
            }
        } else {
            for (position, state) in states.iter_mut().enumerate() {
                let block = block.wrapping_add(position * A::CELLS);
                let tabulated = A::load(states_after_two.add(block % WINDOW).cast());
                *state = A::xor(tabulated, A::broadcast(drifts.add(block / WINDOW).cast()));
            }
        }
        for key in &pass.round_keys.keys[3..14] {
            let key = A::broadcast(key.0.as_ptr());
            for state in &mut states {
                *state = A::round(*state, key);
            }
        }
        let key = A::broadcast(pass.round_keys.signed_last.0.as_ptr());
        for (position, state) in states.into_iter().enumerate() {
            A::store(to.add(position * A::BYTES), A::last_round(state, key));
        }
    }
    // COST: otherwise the compiler draws what follows into the rounds and runs out of registers.
    compiler_fence(Ordering::SeqCst);
}

/// The keystream of one step, with a margin on both sides that spreads read into.
#[repr(C, align(64))]
struct Keystream([u8; KEYSTREAM]);

/// Twelve of the largest vectors and the margins.
const KEYSTREAM: usize = 12 * 16 * MOST_CELLS + 2 * MARGIN;

/// One of the largest vectors.
const MARGIN: usize = 16 * MOST_CELLS;

#[inline(always)]
unsafe fn add<L: Lanes, const BITS: usize>(one: L::V, other: L::V) -> L::V {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match lane_bytes(BITS) {
            2 => L::add_16(one, other),
            4 => L::add_32(one, other),
            _ => L::add_64(one, other),
        }
    }
}

/// # Safety
/// The processor has the instructions of `A`; the blocks lie in at most as many windows as the table
/// has.
#[inline(always)]
pub(super) unsafe fn tabulate<A: Aes>(
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
            A::broadcast(key_0.0.as_ptr()),
            A::broadcast(key_1.0.as_ptr()),
        );
        let key_2 = A::broadcast(key_2.0.as_ptr());

        let start = Cell(first.to_be_bytes());
        let start = A::xor(A::broadcast(start.0.as_ptr()), key_0);
        let step = ordinal(A::CELLS);
        let step = A::broadcast(step.0.as_ptr());
        let mut count = A::load(ORDINALS.as_ptr().cast());
        for states in table.states.chunks_exact_mut(A::CELLS) {
            let state = A::round(A::round(A::xor(start, count), key_1), key_2);
            A::store(states.as_mut_ptr().cast(), state);
            // The last byte never carries: it ends with 255.
            count = A::add_32(count, step);
        }

        let of_first = A::broadcast(table.states.as_ptr().cast());
        let windows = (first..=last).step_by(WINDOW);
        for (drift, window) in table.drifts.iter_mut().zip(windows) {
            let start = Cell(window.to_be_bytes());
            let start = A::xor(A::broadcast(start.0.as_ptr()), key_0);
            let state = A::round(A::round(start, key_1), key_2);
            let mut cells = [Cell::default(); MOST_CELLS];
            A::store(cells.as_mut_ptr().cast(), A::xor(state, of_first));
            *drift = cells[0];
        }
    }
}

/// # Safety
/// The processor has the instructions of `A`.
#[inline(always)]
pub(super) unsafe fn write_keystream<A: Aes>(
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
        for blocks in blocks.chunks_exact_mut(8 * A::CELLS) {
            let at: *mut u8 = blocks.as_mut_ptr().cast();
            // SAFETY: eight vectors are read from and written to as many cells.
            unsafe {
                let mut states = [A::zero(); 8];
                let key = A::broadcast(round_keys.keys[0].0.as_ptr());
                for (position, state) in states.iter_mut().enumerate() {
                    *state = A::xor(A::load(at.add(position * A::BYTES)), key);
                }
                for key in &round_keys.keys[1..14] {
                    let key = A::broadcast(key.0.as_ptr());
                    for state in &mut states {
                        *state = A::round(*state, key);
                    }
                }
                let key = A::broadcast(round_keys.keys[14].0.as_ptr());
                for (position, state) in states.into_iter().enumerate() {
                    A::store(at.add(position * A::BYTES), A::last_round(state, key));
                }
            }
        }
        for (bytes, block) in bytes.chunks_mut(16).zip(&blocks) {
            bytes.copy_from_slice(&block.0[..bytes.len()]);
        }
    }
    wipe(&mut blocks);
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

/// The kernels of implementations of [`Aes`] and [`Lanes`], compiled with their instructions enabled.
macro_rules! kernels {
    ($aes:ty, $lanes:ty, $features:literal) => {
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
                    _ => <$lanes as super::instructions::Lanes>::BYTES,
                },
            }
        }

        #[target_feature(enable = $features)]
        unsafe fn sum_into<const BITS: usize, const PACK: bool>(pass: &Pass<'_>) {
            // SAFETY: the caller's promise; the instructions are enabled here.
            unsafe { kernel::sum::<$aes, $lanes, BITS, PACK>(pass) }
        }

        #[target_feature(enable = $features)]
        unsafe fn tabulate(keys: &RoundKeys, counter: u128, blocks: usize, table: &mut Table) {
            // SAFETY: the caller's promise; the instructions are enabled here.
            unsafe { kernel::tabulate::<$aes>(keys, counter, blocks, table) }
        }

        #[target_feature(enable = $features)]
        unsafe fn write_keystream(keys: &RoundKeys, counter: u128, bytes: &mut [u8]) {
            // SAFETY: the caller's promise; the instructions are enabled here.
            unsafe { kernel::write_keystream::<$aes>(keys, counter, bytes) }
        }
    };
}
pub(super) use kernels;
