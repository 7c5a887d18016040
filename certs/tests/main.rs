// SPDX-License-Identifier: Apache-2.0
//! The crate through its public door: a federation is founded, joined, attacked and changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod enrolment;
mod federation;
mod handshake;
mod identity_folder;
mod roster;
mod roster_folder;
