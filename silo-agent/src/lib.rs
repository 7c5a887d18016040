// SPDX-License-Identifier: Apache-2.0
//! The agent inside the hospital: the party that protects the data.

pub mod config;
pub mod journal;
pub mod ledger;
pub mod registration;
pub mod silo_folder;

mod attempt_files;
mod consent;
mod coordinator_link;
mod crash;
mod durable_file;
mod own_log;
mod policy_file;
mod randomness;
mod shared_log;
mod study_terms;
mod trainer;
mod trainer_child;
mod update_pipeline;

#[cfg(test)]
mod test_federation;

pub use crash::{CrashPlace, CrashPoint, CrashPointFault};
pub use trainer::TrainerCommand;
pub use trainer_child::trainer_child_main;

/// A fault with everything that caused it, in one line.
pub(crate) fn explain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
