// SPDX-License-Identifier: Apache-2.0
//! What is compiled for an instruction set and a width: one stream summed into one piece, over vectors
//! of any size. Keystream reaches the lanes [in registers](super::registers) or, where these are few or
//! of another size than states, [through memory](super::buffered).

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::instructions::{Aes, Lanes, packed_cell};
use super::round_keys::RoundKeys;
use super::table::{Cell, Table, WINDOW};

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

/// Memory of the next piece, which the passes over this one fetch into the cache between them.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    read: Range,
    written: Range,
}

#[derive(Clone, Copy)]
struct Range {
    at: *const u8,
    /// With every granule.
    lines: usize,
}

impl Ahead {
    /// The share of one of `passes` passes, of `granules` granules each, in what the next piece reads
    /// and writes. Nothing is accessed there, so any pointers will do.
    pub(super) fn share(
        position: usize,
        passes: usize,
        granules: usize,
        read: (*const u8, usize),
        written: (*const u8, usize),
    ) -> Self {
        let range = |(start, bytes): (*const u8, usize)| {
            let lines = bytes.div_ceil(LINE);
            let per_granule = lines.div_ceil((passes * granules).max(1));
            let before = position * granules * per_granule;
            Range {
                at: start.wrapping_add(before * LINE),
                lines: if before < lines { per_granule } else { 0 },
            }
        };
        Self {
            read: range(read),
            written: range(written),
        }
    }

    #[inline(always)]
    pub(super) fn step(&mut self, steps_per_granule: usize) {
        for range in [&mut self.read, &mut self.written] {
            for _ in 0..range.lines.div_ceil(steps_per_granule) {
                // SAFETY: a prefetch accesses nothing, whatever the pointer; every x86-64 has it.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(range.at.cast()) }
                range.at = range.at.wrapping_add(LINE);
            }
        }
    }
}

/// The bytes of a cache line.
const LINE: usize = 64;

/// How many bytes a lane has in which fields of so many bits are summed.
pub(super) const fn lane_bytes(bits: usize) -> usize {
    match bits {
        ..=16 => 2,
        17..=32 => 4,
        33.. => 8,
    }
}

/// How many packed bytes come from one vector of lanes.
pub(super) const fn packed_bytes<L: Lanes>(bits: usize) -> usize {
    packed_cell(bits) * L::BYTES / 16
}

/// N vectors of keystream from `block` on, complemented for a stream that is subtracted. Several vectors
/// at a time keep the AES units busy: a round takes some cycles, and the next of one state waits for it.
///
/// # Safety
/// The processor has the instructions of `A`; the pass is as [`Pass`] says, and holds the blocks.
#[inline(always)]
pub(super) unsafe fn keystream<A: Aes, const N: usize>(pass: &Pass<'_>, block: usize) -> [A::V; N] {
    let states_after_two = pass.table.states.as_ptr();
    let drifts = pass.table.drifts.as_ptr();
    // SAFETY: blocks are multiples of the cells of a vector, so a vector lies within its window; the
    // table has a drift for every block of the pass.
    unsafe {
        let mut states = [A::zero(); N];
        for (position, state) in states.iter_mut().enumerate() {
            let block = block.wrapping_add(position * A::CELLS);
            let tabulated = A::load(states_after_two.add(block % WINDOW).cast());
            *state = A::xor(tabulated, A::broadcast(drifts.add(block / WINDOW).cast()));
        }
        for key in &pass.round_keys.keys[3..14] {
            let key = A::broadcast(key.0.as_ptr());
            for state in &mut states {
                *state = A::round(*state, key);
            }
        }
        let key = A::broadcast(pass.round_keys.signed_last.0.as_ptr());
        for state in &mut states {
            *state = A::last_round(*state, key);
        }
        states
    }
}

/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
pub(super) unsafe fn add<L: Lanes, const BITS: usize>(one: L::V, other: L::V) -> L::V {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match lane_bytes(BITS) {
            2 => L::add_16(one, other),
            4 => L::add_32(one, other),
            _ => L::add_64(one, other),
        }
    }
}

/// The kernels of implementations of [`Aes`] and [`Lanes`], compiled with their instructions enabled; the
/// last word says how keystream reaches the lanes.
macro_rules! kernels {
    ($aes:ty, $lanes:ty, $features:literal, $way:ident) => {
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
            unsafe { super::$way::sum::<$aes, $lanes, BITS, PACK>(pass) }
        }

        #[target_feature(enable = $features)]
        unsafe fn tabulate(keys: &RoundKeys, counter: u128, blocks: usize, table: &mut Table) {
            // SAFETY: the caller's promise; the instructions are enabled here.
            unsafe { super::counter::tabulate::<$aes>(keys, counter, blocks, table) }
        }

        #[target_feature(enable = $features)]
        unsafe fn write_keystream(keys: &RoundKeys, counter: u128, bytes: &mut [u8]) {
            // SAFETY: the caller's promise; the instructions are enabled here.
            unsafe { super::counter::write_keystream::<$aes>(keys, counter, bytes) }
        }
    };
}
pub(super) use kernels;
