// SPDX-License-Identifier: Apache-2.0
//! The deployed binary of a hospital. It holds no code of the coordinator.

use std::process::ExitCode;

use clap::Parser;
use consilium_silo_agent::{SiloCommand, TrainerCommand, execute};

/// The agent inside the hospital: the party that protects the data.
#[derive(Debug, Parser)]
#[command(name = "consilium-silo-agent", version)]
struct CommandLine {
    #[command(subcommand)]
    command: SiloCommand,
}

fn main() -> ExitCode {
    execute(
        CommandLine::parse().command,
        TrainerCommand::this_executable(&["trainer"]),
    )
}
