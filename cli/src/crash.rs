// SPDX-License-Identifier: Apache-2.0
//! Hidden: starts a silo or the coordinator with a crash point, for the demonstration and for process tests.
//!
//! Crash points are a value passed to `run`; the deployed binaries have no option that sets one.

use clap::Subcommand;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum CrashCommand {
    /// `silo run` that dies at a crash point, written as place:round
    Silo {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        at: consilium_silo_agent::CrashPoint,
    },
    /// `silo ledger top-up` that dies at a crash point, written as place:line
    TopUp {
        #[arg(long)]
        at: consilium_silo_agent::CrashPoint,
        #[command(flatten)]
        arguments: Box<consilium_silo_agent::TopUpArguments>,
    },
    /// `coordinator run` that dies at a crash point, written as place:round
    Coordinator {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        at: consilium_coordinator::CrashPoint,
    },
}

pub(crate) fn run(command: CrashCommand) -> anyhow::Result<ExitCode> {
    match command {
        CrashCommand::Silo { dir, at } => Ok(consilium_silo_agent::run_to_end(
            consilium_silo_agent::RunOptions {
                folder: dir,
                trainer: crate::trainer(),
                crash_point: Some(at),
            },
        )),
        CrashCommand::TopUp { at, arguments } => {
            arguments.execute_up_to(at)?;
            Ok(ExitCode::SUCCESS)
        }
        CrashCommand::Coordinator { dir, at } => Ok(consilium_coordinator::run_to_end(
            consilium_coordinator::RunOptions {
                folder: dir,
                crash_point: Some(at),
            },
        )),
    }
}
