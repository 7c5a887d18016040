// SPDX-License-Identifier: Apache-2.0
//! The real executable in real processes on loopback: killed at every point, fed with bad input, tampered with.
//!
//! A consortium of four hospitals is founded once, with the commands that people type; every test works on a copy
//! of its folders. Every wait has an end, every process dies with its test, and every file lies in a temporary folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounts;
mod accusations;
mod bad_input;
mod crashes;
mod endings;
mod evaluation;
mod executable;
mod federation;
mod founding;
mod ledger_lines;
mod measuring;
mod memory;
mod privacy;
mod private_models;
mod private_newton;
mod private_statistics;
mod replays;
mod researchers;
mod studies;
mod tamper;
mod top_ups;
mod uploads;
