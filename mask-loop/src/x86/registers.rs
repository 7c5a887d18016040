// SPDX-License-Identifier: Apache-2.0
//! Summing one stream in registers: keystream is spread and added where it comes out of the last round.
//!
//! COST: the processor looks far enough ahead to begin the rounds of the next step while it sums this
//! one; nothing but the sums goes through memory.

use super::buffered;
use super::instructions::{Aes, Joint, is_whole_lane};
use super::kernel::{Pass, add, keystream, packed_bytes};
use crate::pieces::GRANULE;

/// # Safety
/// The processor has the instructions of `A` and `L`, and the pass is as [`Pass`] says.
#[inline(always)]
pub(super) unsafe fn sum<A, L, const BITS: usize, const PACK: bool>(pass: &Pass<'_>)
where
    A: Aes,
    L: Joint<V = A::V>,
{
    // SAFETY: the caller's promise, handed on.
    unsafe {
        if !is_whole_lane(BITS) && !L::SPREADS {
            return buffered::sum::<A, L, BITS, PACK>(pass);
        }
        match vectors_per_step(BITS) {
            3 => sum_by::<A, L, 3, BITS, PACK>(pass),
            5 => sum_by::<A, L, 5, BITS, PACK>(pass),
            _ => sum_by::<A, L, 8, BITS, PACK>(pass),
        }
    }
}

/// Whole vectors of keystream that fill whole vectors of lanes.
const fn vectors_per_step(bits: usize) -> usize {
    match bits {
        24 | 48 => 3,
        20 | 40 => 5,
        _ => 8,
    }
}

/// Whether granules are whole steps, and steps are whole vectors of lanes, at most [`MOST_LANES`].
const fn steps_fit<A: Aes, L: Joint>(vectors: usize, bits: usize) -> bool {
    let step = vectors * A::BYTES;
    (GRANULE * bits / 8).is_multiple_of(step)
        && step.is_multiple_of(packed_bytes::<L>(bits))
        && step / packed_bytes::<L>(bits) <= MOST_LANES
}

/// N vectors of keystream at a time.
#[inline(always)]
unsafe fn sum_by<A, L, const N: usize, const BITS: usize, const PACK: bool>(pass: &Pass<'_>)
where
    A: Aes,
    L: Joint<V = A::V>,
{
    // The branches that `sum` never takes are compiled too.
    const { assert!(N != vectors_per_step(BITS) || steps_fit::<A, L>(N, BITS)) };
    let packed_bytes = packed_bytes::<L>(BITS);
    let vectors = N * A::BYTES / packed_bytes;
    let steps_per_granule = GRANULE * BITS / 8 / (N * A::BYTES);
    let (mut block, mut from, mut to) = (pass.block, pass.from, pass.to);
    let mut ahead = pass.ahead;
    // SAFETY: every step reads and writes its part of the granules of the pass, from their start to
    // their end.
    unsafe {
        for _ in 0..pass.granules * steps_per_granule {
            let states = keystream::<A, N>(pass, block);
            block = block.wrapping_add(N * A::CELLS);
            ahead.step(steps_per_granule);
            let mut sums = [A::zero(); MOST_LANES];
            for (position, sum) in sums.iter_mut().enumerate().take(vectors) {
                let first = position * packed_bytes / A::BYTES;
                let second = if first + 1 < N { first + 1 } else { first };
                let fields = L::spread_joint::<BITS>(position, states[first], states[second]);
                *sum = add::<L, BITS>(L::load(from.add(position * L::BYTES)), fields);
                if PACK {
                    *sum = add::<L, BITS>(*sum, L::broadcast(pass.bias.0.as_ptr()));
                } else {
                    L::store(to.add(position * L::BYTES), *sum);
                }
            }
            from = from.add(vectors * L::BYTES);
            if PACK {
                L::store_joint::<BITS>(to, &sums[..vectors]);
                to = to.add(N * A::BYTES);
            } else {
                to = to.add(vectors * L::BYTES);
            }
        }
    }
}

/// How many vectors of lanes a step has at most.
const MOST_LANES: usize = 8;
