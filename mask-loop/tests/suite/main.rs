// SPDX-License-Identifier: Apache-2.0
//! Every implementation that this processor has, held against the definition read bit by bit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agreement;
mod definition;
mod known_answers;
mod laws;
