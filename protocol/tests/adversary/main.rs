// SPDX-License-Identifier: Apache-2.0
//! A coordinator that lies with its true key, and silos that collude with it, against the real state machines.
//!
//! Each test's name says which attack fails. `table.rs` is the liar's table; the whole rounds of `federation` serve
//! where an honest coordinator meets colluding silos.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../federation/federation.rs"]
#[allow(dead_code, reason = "each crate of tests uses a part of the harness")]
mod federation;

mod accusations;
mod books;
mod core;
mod evidence;
mod exhaustive;
mod field;
mod foreign_bytes;
mod large;
mod laws;
mod leaks;
mod lengths;
mod lists;
mod opening;
mod refused;
mod released;
mod replay;
mod restart;
mod shares;
mod sums;
mod table;
mod verified;
mod views;
