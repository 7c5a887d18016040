// SPDX-License-Identifier: Apache-2.0
//! A deterministic simulation of whole federations: the real state machines of `consilium-protocol` under drivers that
//! keep the same contract as the coordinator's and the agent's, with everything around them that can fail.
//!
//! A world has a virtual clock, a network that loses, delays, repeats, reorders and parts, processes that die at every
//! place between a step and its last message, and disks that refuse, tear and forget. Its only input is a list of
//! [`Operation`]s, one line of text each; a seed [generates](generate) one. After every step the [`Invariant`]s are
//! checked; at the end the faults stop, and the next attempt must release. The same list gives the same history, byte
//! for byte.
//!
//! Five names to know: [`Operation`] (the input), [`run`] (one world), [`Invariant`] (what must hold), [`Campaign`] (many
//! worlds), [`minimise`] (from a failing list to a short one).
//!
//! What it leaves to others: liars (a [`Tampering`] may be put in, the adversary suites say what it should do), the
//! log's cosignatures, and the ledgers of the drivers.

mod campaign;
mod coordinator;
mod faults;
mod generator;
mod invariants;
mod minimise;
mod network;
mod operation;
mod shared_log;
mod silo;
mod statistics;
mod study;
mod trace;
mod world;

pub use campaign::{Campaign, Failure, Summary};
pub use faults::{CrashPlace, MESSAGES, Mutation, Party};
pub use generator::generate;
pub use invariants::{Invariant, Violation};
pub use minimise::minimise;
pub use operation::{Noise, Operation, OperationFault, from_text, to_text};
pub use statistics::Statistics;
pub use world::{Report, Settings, Tampering, Way, run};
