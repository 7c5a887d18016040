// SPDX-License-Identifier: Apache-2.0
//! Summing one stream through two small buffers, for processors with sixteen registers.
//!
//! COST: while the AES units work on one step, the other units sum the step before, whose keystream
//! lies ready in memory; summed at once it would wait for them, and they for it.

use std::sync::atomic::{Ordering, compiler_fence};

use super::instructions::{Aes, Lanes, MOST_CELLS};
use super::kernel::{Pass, add, keystream, packed_bytes};
use crate::pieces::GRANULE;

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
            ahead.step(steps_per_granule);
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

/// Writes the keystream of one step.
#[inline(always)]
unsafe fn write_step<A: Aes, const N: usize>(pass: &Pass<'_>, block: usize, to: *mut u8) {
    // SAFETY: the caller's promise, handed on; it has room for N vectors.
    unsafe {
        let states = keystream::<A, N>(pass, block);
        for (position, state) in states.into_iter().enumerate() {
            A::store(to.add(position * A::BYTES), state);
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
