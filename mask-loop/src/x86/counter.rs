// SPDX-License-Identifier: Apache-2.0
//! From counters to states: the table of a piece, and plain keystream.

use super::instructions::{Aes, MOST_CELLS};
use super::round_keys::RoundKeys;
use super::table::{Cell, Table, WINDOW};
use crate::workspace::wipe;

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
