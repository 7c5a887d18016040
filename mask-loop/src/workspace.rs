// SPDX-License-Identifier: Apache-2.0
//! Memory in which partial sums and keystream lie while a vector is masked; wiped on drop.

use zeroize::{Zeroize, Zeroizing};

/// `length` items that begin on a cache line, so that vectors of any width never straddle two.
pub(crate) struct Aligned<T: Zeroize> {
    items: Zeroizing<Vec<T>>,
    start: usize,
    length: usize,
}

impl<T: Zeroize + Default + Clone> Aligned<T> {
    pub(crate) fn new(length: usize) -> Self {
        let items = vec![T::default(); length + CACHE_LINE / size_of::<T>()];
        let start = items
            .as_ptr()
            .align_offset(CACHE_LINE)
            .min(items.len() - length);
        Self {
            items: Zeroizing::new(items),
            start,
            length,
        }
    }

    pub(crate) fn as_mut(&mut self) -> &mut [T] {
        &mut self.items[self.start..self.start + self.length]
    }
}

const CACHE_LINE: usize = 64;
