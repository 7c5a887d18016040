// SPDX-License-Identifier: Apache-2.0
//! The states of AES after two rounds, tabulated by the last byte of the counter.
//!
//! A block is nonce || counter, and the counter's last byte is byte 15. In the first round byte 15
//! reaches one column only, together with bytes 0, 5 and 10 of the nonce; bytes 12 to 14 reach the
//! other three columns. The second round substitutes byte by byte and is linear from there on. So the
//! state after two rounds is a sum of two parts: one that depends on the last byte of the counter, and
//! one that depends on the bytes above. Within a *window* of 256 blocks the second part is constant:
//! the table holds the states of the first window of a piece, and each window has a *drift*, its
//! second part XOR that of the first window.
//!
//! Both are key material. The index is the counter, which is public.

use crate::fields::Lane;
use crate::workspace::wipe;

/// 16 bytes: an AES state, a round key, or a few lanes.
#[derive(Clone, Copy, Default)]
#[repr(C, align(16))]
pub(super) struct Cell(pub(super) [u8; 16]);

impl Cell {
    /// As many copies of `lane` as there is room for.
    pub(super) fn repeat<L: Lane>(lane: L) -> Self {
        let bytes = lane.widen().to_le_bytes();
        let mut cell = Self::default();
        for part in cell.0.chunks_exact_mut(size_of::<L>()) {
            part.copy_from_slice(&bytes[..size_of::<L>()]);
        }
        cell
    }
}

/// The table of one stream for one piece; wiped on drop.
#[repr(C, align(64))]
pub(super) struct Table {
    pub(super) states: [Cell; WINDOW],
    pub(super) drifts: [Cell; WINDOWS],
}

impl Table {
    pub(super) fn zeroed() -> Box<Self> {
        Box::new(Self {
            states: [Cell::default(); WINDOW],
            drifts: [Cell::default(); WINDOWS],
        })
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        wipe(&mut self.states);
        wipe(&mut self.drifts);
    }
}

/// How many blocks have the same counter but for its last byte.
pub(super) const WINDOW: usize = 256;

/// Into how many windows a piece may reach.
pub(super) const WINDOWS: usize = 18;
