// SPDX-License-Identifier: Apache-2.0
//! The agent inside the hospital: the party that protects the data.
//!
//! It holds the keys, the network, the policy and the privacy ledger; a child process without any of these holds the
//! patients' data and answers over one pipe. Names to know:
//!
//! - [`run`]: the agent as a process; [`SiloCommand`] and [`execute`]: everything a hospital types;
//! - `consent`: whether this hospital takes part; `agent`: the one loop in which everything happens;
//! - `update_pipeline`: clip, quantise, noise, mask, in this order and nowhere else;
//! - [`trainer_child_main`]: the walled-in process that reads the data;
//! - [`journal`] and [`ledger`]: what must survive a crash.
//!
//! What it refuses to do: listen on a socket, send anything computed from patient data outside a masked vector, answer
//! one question twice in two ways, work without a readable policy, journal, ledger and log, and run a trainer behind
//! lower walls than the policy demands.

pub mod config;
pub mod enrolment;
pub mod journal;
pub mod ledger;
pub mod registration;
pub mod silo_folder;

mod agent;
mod attempt_files;
mod command;
mod consent;
mod coordinator_link;
mod crash;
mod durable_file;
mod own_log;
mod policy_file;
mod randomness;
mod run;
mod shared_log;
mod ssh_signature;
mod study_request;
mod study_terms;
mod trainer;
mod trainer_child;
mod update_pipeline;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod folder_contents;
#[cfg(test)]
mod test_federation;

pub use agent::AgentFault;
pub use command::{
    ApprovalsCommand, DataCommand, LedgerCommand, Place, PolicyCommand, RosterCommand, SiloCommand,
    TopUpArguments, execute, run_to_end,
};
pub use crash::{CrashPlace, CrashPoint, CrashPointFault};
pub use durable_file::FileFault;
pub use policy_file::PolicyFileFault;
pub use run::{RunFault, RunOptions, run};
pub use shared_log::SharedLogFault;
pub use ssh_signature::{SshFault, SshPublicKey};
pub use study_request::{Circumstances, study_request};
pub use trainer::{TrainerCommand, probe_trainer};
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
