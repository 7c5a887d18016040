// SPDX-License-Identifier: Apache-2.0
//! The coordinator: schedules studies, recovers aggregates, keeps the shared log. It is never trusted with a plain
//! contribution, and nothing it says is believed without a check.
//!
//! Names to know:
//!
//! - [`run`] and [`RunOptions`]: the service; [`execute`] and [`CoordinatorCommand`]: the operator's commands;
//! - [`store::Store`]: what must not be forgotten, behind one trait with one contract suite; [`spool::Spool`]: what is
//!   too large for it;
//! - [`log_keeper::LogKeeper`]: the audit log and its witnesses;
//! - `scheduler`, `study_run`, `round_driver`: the queue, one study, one attempt.
//!
//! What it refuses: to work without its log, to talk to anybody outside the roster in force (but to answer an
//! invitation), to open a round before the last release is cosigned by a quorum, to hand out a result before that.

mod admission;
mod catch_up;
mod commands;
mod crash;
mod enrolment_service;
mod input;
mod progress;
mod replay_desk;
mod round_driver;
mod scheduler;
mod silo_service;
mod studies_service;
mod study_progress;
mod study_run;

pub mod config;
pub mod federation;
pub mod folder;
pub mod log_keeper;
pub mod server;
pub mod sessions;
pub mod spool;
pub mod store;
pub mod study;

pub use commands::invite::{InviteArguments, invite};
pub use commands::{CoordinatorCommand, execute, run_to_end};
pub use crash::{CrashPlace, CrashPoint, CrashPointFault};
pub use input::Input;
pub use progress::ProgressBoard;
pub use server::{RunOptions, ServeFault, run};

/// A fault with everything that caused it, in one line.
pub(crate) fn explain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(source) = cause {
        let said = source.to_string();
        // A transparent fault repeats its source.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = source.source();
    }
    text
}
