// SPDX-License-Identifier: Apache-2.0
//! The log through its public door: stories, a hostile coordinator, power cuts, and foreign verifiers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adversary;
mod entries;
mod foreign;
mod history;
mod notes;
mod proofs;
mod recovery;
mod support;
