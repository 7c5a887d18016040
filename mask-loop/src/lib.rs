// SPDX-License-Identifier: Apache-2.0
//! The loop in which masking a vector spends its time: expand streams of AES-256 in counter mode, add
//! or subtract each field by field modulo a power of two, pack the result.
//!
//! Five names to know:
//! - [`MaskLoop`] has a field width and an [`Implementation`], and masks vectors;
//! - [`Stream`] is one key and nonce;
//! - [`Sign`] says whether a stream is added or subtracted;
//! - [`Implementation`] names the instructions that are used: the best that the processor has are
//!   found at run time, and all give the same bits;
//! - [`Field`] is what vectors may be made of: `u16`, `u32` or `u64`.
//!
//! # The definition
//! Block k of a stream is AES-256(nonce || k as 32 bits, big-endian). Field e is bits
//! [e * bits, (e + 1) * bits) of the blocks, the least significant bit of each byte first. After 2^32
//! blocks the stream goes on with the next nonce (nonce || k is one 128-bit counter).
//!
//! # Which width to choose
//! Widths 16, 20, 24, 32, 40, 48 and 64 have vector code; round any other up to the next of these.
//! 16 and 32 cost least for each bit, 24 and 48 nearly as little, 20 and 40 a little more. Every
//! other width from 8 on is right, several times slower and tested alike.
//!
//! # What it refuses to do
//! It derives no keys, knows nothing of silos and rounds, starts no threads (every method takes
//! `&self`: cut the vector at a multiple of [`FIELD_ALIGNMENT`] and give each thread a part) and
//! branches on nothing secret: time depends on widths, lengths and counters alone. Keys, round keys,
//! tables, keystream and partial sums are wiped when dropped; what the compiler spilled from vector
//! registers to the stack is beyond its reach.

mod fields;
mod implementation;
mod mask_loop;
mod pieces;
mod plain;
mod stream;
mod workspace;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(feature = "yardstick")]
pub mod yardstick;

pub use fields::{Field, WidthFault};
pub use implementation::Implementation;
pub use mask_loop::{FIELD_ALIGNMENT, MaskLoop};
pub use stream::{Sign, Stream};
