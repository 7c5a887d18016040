// SPDX-License-Identifier: Apache-2.0
//! Tests of the crate through its public door. One binary, because linking is what costs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod encodings;
mod key_agreement;
mod key_encapsulation;
mod known_answers;
mod merkle;
mod reference_fields;
mod sealing;
mod shamir;
mod signing;
mod streams;
mod vectors;
mod wycheproof;
