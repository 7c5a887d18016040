// SPDX-License-Identifier: Apache-2.0
//! For each defence the attack that it stops: with the defence it fails and names its evidence; with the defence taken
//! away it succeeds, and the liar has somebody's vector, both secrets of a silo, or another thing that it must not have.
//!
//! Needs the feature `insecure_for_test`, which takes nothing away by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../federation/federation.rs"]
#[allow(dead_code, reason = "each crate of tests uses a part of the harness")]
mod federation;

#[path = "../adversary/table.rs"]
#[allow(dead_code, reason = "each crate of tests uses a part of the harness")]
mod table;

mod books;
mod lists;
mod memory;
mod robber;
mod shares;
mod verification;
mod votes;
