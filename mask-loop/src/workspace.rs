// SPDX-License-Identifier: Apache-2.0
//! Memory in which partial sums and keystream lie while a vector is masked; wiped on drop.

/// `length` items that begin on a cache line, so that vectors of any width never straddle two.
pub(crate) struct Aligned<T: Copy + Default> {
    items: Vec<T>,
    start: usize,
    length: usize,
}

impl<T: Copy + Default> Aligned<T> {
    pub(crate) fn new(length: usize) -> Self {
        let items = vec![T::default(); length + CACHE_LINE / size_of::<T>()];
        let start = items.as_ptr().align_offset(CACHE_LINE);
        Self {
            start: start.min(items.len() - length),
            items,
            length,
        }
    }

    pub(crate) fn as_mut(&mut self) -> &mut [T] {
        &mut self.items[self.start..self.start + self.length]
    }
}

impl<T: Copy + Default> Drop for Aligned<T> {
    fn drop(&mut self) {
        wipe(&mut self.items);
    }
}

/// Overwrites `items`.
///
/// COST: `Zeroize` writes item by item, and would take a tenth of the time of a short call.
pub(crate) fn wipe<T: Copy + Default>(items: &mut [T]) {
    items.fill(T::default());
    zeroize::optimization_barrier(items);
}

const CACHE_LINE: usize = 64;
