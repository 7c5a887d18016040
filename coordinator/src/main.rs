// SPDX-License-Identifier: Apache-2.0
//! The deployed binary of a coordinator.

use clap::Parser;
use consilium_coordinator::{CoordinatorCommand, execute};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "consilium-coordinator",
    version,
    about = "Coordinates studies among hospitals without seeing any hospital's contribution"
)]
struct Arguments {
    #[command(subcommand)]
    command: CoordinatorCommand,
}

fn main() -> ExitCode {
    execute(Arguments::parse().command)
}
