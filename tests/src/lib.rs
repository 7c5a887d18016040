// SPDX-License-Identifier: Apache-2.0
//! What tests and figures across crates share: [`Federation`], the real state machines of a round in one process,
//! [`fuzz`], which feeds everything that strangers can send,
//! [`simulation`], the same machines in a world that fails, and [`privacy_audit`], which attacks what is released.
//!
//! Stories and adversaries of the protocol alone are in `protocol/tests`, those of whole processes in `cli/tests`.

mod federation;
pub mod fuzz;
pub mod privacy_audit;
pub mod simulation;

pub use federation::{Federation, Message};
