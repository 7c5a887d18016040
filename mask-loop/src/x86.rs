// SPDX-License-Identifier: Apache-2.0
//! Vector code for x86-64, chosen at run time: the only place of the workspace that says `unsafe`.
//!
//! One kernel ([`kernel`]), written over [`instructions`], is compiled for three sizes of vector.
//! Two of the fourteen rounds are looked up ([`table`]); subtracting is adding the complement, which
//! the last round key brings about, and one for each subtracted stream ([`Engine::sum`]); sums lie in
//! lanes of 16, 32 or 64 bits, and the last stream packs them on the way out.
#![allow(unsafe_code)]

mod aes_ni;
mod avx2;
mod avx512;
mod buffered;
mod counter;
#[cfg(test)]
mod emulated;
mod instructions;
mod kernel;
mod registers;
mod round_keys;
mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod vaes256;
mod vaes512;

use crate::fields::{Lane, Width};
use crate::implementation::Implementation;
use crate::pieces::GRANULE;
use crate::stream::{Sign, Stream};
use instructions::MOST_CELLS;
use kernel::{Ahead, Kernels, Pass};
use round_keys::RoundKeys;
use table::{Cell, Table, WINDOW, WINDOWS};

/// Proof that the processor has the instructions of one implementation.
#[derive(Clone, Copy)]
pub(crate) struct Instructions {
    kernels: fn(usize) -> Kernels,
}

impl Instructions {
    /// Those of `implementation`, if it uses vectors and the processor has them.
    pub(crate) fn of(implementation: Implementation) -> Option<Self> {
        let kernels = match implementation {
            Implementation::Vaes512 => vaes512::kernels,
            Implementation::Vaes256 => vaes256::kernels,
            Implementation::AesNi => aes_ni::kernels,
            Implementation::Portable => return None,
        };
        implementation.is_available().then_some(Self { kernels })
    }
}

/// A stream whose round keys are expanded.
pub(crate) struct Expanded {
    sign: Sign,
    first_block: u128,
    round_keys: Box<RoundKeys>,
}

impl Expanded {
    pub(crate) fn sign(&self) -> Sign {
        self.sign
    }
}

/// The streams of one call and the kernels that sum them.
pub(crate) struct Engine {
    width: Width,
    // INVARIANT: made by `Instructions`: the processor has what these kernels need.
    kernels: Kernels,
    streams: Vec<Expanded>,
    table: Box<Table>,
}

impl Engine {
    pub(crate) fn new<'a>(
        width: Width,
        instructions: Instructions,
        streams: impl Iterator<Item = (Sign, &'a Stream)>,
    ) -> Self {
        let streams = streams.map(|(sign, stream)| Expanded {
            sign,
            first_block: stream.first_block(),
            // SAFETY: `Instructions` exists only where the processor has AES-NI.
            round_keys: unsafe { RoundKeys::expand(stream.key(), sign) },
        });
        Self {
            width,
            kernels: (instructions.kernels)(width.bits()),
            streams: streams.collect(),
            table: Table::zeroed(),
        }
    }

    pub(crate) fn streams(&self) -> &[Expanded] {
        &self.streams
    }

    /// Overwrites `bytes` with a stream's blocks from number `block` on.
    pub(crate) fn write_keystream(&self, stream: &Expanded, block: u128, bytes: &mut [u8]) {
        let counter = stream.first_block.wrapping_add(block);
        // SAFETY: the processor has the instructions, by the invariant of `kernels`.
        unsafe { (self.kernels.write_keystream)(&stream.round_keys, counter, bytes) }
    }

    /// Whether fields of this width have vector code.
    pub(crate) fn has_kernel(&self) -> bool {
        self.kernels.sum.is_some()
    }

    /// Whether [`Self::sum`] can sum this many lanes from `block` on: the width has vector code, there
    /// is a stream, and the nonce stays the same.
    pub(crate) fn covers(&self, block: u128, lanes: usize) -> bool {
        let blocks = (lanes * self.width.bits() / 128) as u128;
        let same_nonce = block >> 32 == (block + blocks.saturating_sub(1)) >> 32;
        self.has_kernel() && !self.streams.is_empty() && same_nonce
    }

    /// Adds or subtracts all streams to or from `source`, or, without one, what `lanes` hold. As many
    /// of the first sums as may be are packed into `packed`, and their number is returned; the others
    /// are left in `lanes`. Bytes of `packed` after the packed sums may be overwritten.
    ///
    /// # Panics
    /// When it does not [cover](Self::covers) the lanes, these are not whole granules, or `source` has
    /// another length.
    pub(crate) fn sum<L: Lane>(
        &mut self,
        block: u128,
        source: Option<&[L]>,
        lanes: &mut [L],
        packed: &mut [u8],
    ) -> usize {
        let granule_bytes = self.width.packed_length(GRANULE);
        let granules = lanes.len() / GRANULE;
        let blocks = granules * granule_bytes / size_of::<Cell>();
        let offset = usize::try_from(block % WINDOW as u128).unwrap_or(0);
        assert!(
            self.covers(block, lanes.len())
                && lanes.len().is_multiple_of(GRANULE)
                && source.is_none_or(|source| source.len() == lanes.len())
                && size_of::<L>() == kernel::lane_bytes(self.width.bits())
                && offset.is_multiple_of(MOST_CELLS)
                && offset + blocks <= WINDOW * WINDOWS,
            "a piece is whole granules that begin on a vector"
        );
        let Some(sum) = &self.kernels.sum else {
            return 0;
        };
        // INVARIANT: the granules packed, and the slack that the last vector may spoil, lie within
        // `packed`.
        let direct = granules.min(packed.len().saturating_sub(sum.slack) / granule_bytes);

        let subtracted = self.streams.iter().filter(|one| one.sign == Sign::Subtract);
        let bias = L::truncate(subtracted.count() as u64);
        let kept = lanes.as_mut_ptr();
        let mut from = source.map_or(kept.cast_const(), <[L]>::as_ptr);
        // The next piece is read and written where this one ends.
        let next_read = source.map_or(0, size_of_val);
        let next_read = (from.wrapping_add(lanes.len()).cast(), next_read);
        let length = granules * granule_bytes;
        let next_written = packed.len().saturating_sub(length).min(length);
        let next_written = (packed.as_ptr().wrapping_add(length), next_written);
        let last = self.streams.len() - 1;
        for (position, stream) in self.streams.iter().enumerate() {
            let counter = stream.first_block.wrapping_add(block);
            let direct = if position == last { direct } else { 0 };
            let ahead = Ahead::share(position, last + 1, granules, next_read, next_written);
            // SAFETY: the processor has the instructions, by the invariant of `kernels`. `from` is
            // the start of `source` or of `lanes`, which have the same length, in lanes of the size
            // that the width is summed in (asserted above); the first `direct` granules are read from
            // there and packed into `packed`, where they and the slack fit; the others are read from
            // there and written to the same place of `lanes`. `packed` does not overlap `lanes` or
            // `source`, which are borrowed at the same time. The table has windows for all blocks
            // (asserted above).
            unsafe {
                (self.kernels.tabulate)(&stream.round_keys, counter, blocks, &mut self.table);
                let pass = Pass {
                    round_keys: &stream.round_keys,
                    table: &self.table,
                    block: offset,
                    granules: direct,
                    bias: Cell::repeat(bias),
                    from: from.cast(),
                    to: packed.as_mut_ptr(),
                    ahead,
                };
                (sum.packing)(&pass);
                (sum.keeping)(&Pass {
                    block: offset + direct * granule_bytes / size_of::<Cell>(),
                    granules: granules - direct,
                    from: from.add(direct * GRANULE).cast(),
                    to: kept.add(direct * GRANULE).cast(),
                    ..pass
                });
            }
            from = kept;
        }
        for lane in &mut lanes[direct * GRANULE..] {
            *lane = lane.plus(bias);
        }
        direct * GRANULE
    }
}
