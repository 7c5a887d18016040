// SPDX-License-Identifier: Apache-2.0
//! What is learned: studies, tables, statistics, models and objectives.
//!
//! A researcher's study file becomes a [`Study`]; a hospital's CSV file becomes a [`Table`] typed by
//! that study; a [`Task`] turns the table and the present [`Model`] into a [`Contribution`], and the
//! aggregated sum of all contributions into the next model or the [`StudyResult`].
//!
//! ```text
//! study file -> Study -> Task -- contribution(model, table) --> Contribution   (inside a silo)
//!                          ^                                        |
//!                          |                               secure aggregation
//!                          +-- advance(model, sum) <----------------+          (everybody)
//! ```
//!
//! What this crate refuses to do: it opens no file or socket, reads no clock and draws no random
//! number; it never clips per-patient vectors, quantises or adds noise (the silo agent does, after
//! the trainer handed the vectors over); and no fault repeats a value of a patient's row.

pub mod contribution;
pub mod decoded_sum;
mod evaluation;
pub mod local_training;
pub mod model;
pub mod objective;
mod regression;
pub mod result;
mod server_optimizer;
mod statistics;
pub mod study;
pub mod table;
pub mod task;

pub use contribution::{Contributing, Contribution};
pub use decoded_sum::DecodedSum;
pub use local_training::LocalTraining;
pub use model::Model;
pub use regression::Correctness;
pub use result::StudyResult;
pub use study::{Study, StudyFault};
pub use table::{Table, TableFault};
pub use task::{Outcome, Step, Task, TaskFault};
