// SPDX-License-Identifier: Apache-2.0
//! `consilium bench`: what a round costs on this machine, measured on the state machines that production runs.

mod accounts;
mod aggregation;
mod coordinator;
mod founding;
mod inputs;
mod link;
mod loopback;
mod mask_speed;
mod parties;
mod post_quantum;
mod progress;
mod report;
mod round;
mod silo;
mod spool;

use clap::Subcommand;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// A whole round of secure aggregation: processor time, bytes, memory
    #[command(
        after_help = "Examples:\n  consilium bench aggregation --silos 10 --parameters 1000000\n  consilium bench aggregation --silos 100 --parameters 1000000 --drop 33 --bits 24 --json\n  consilium bench aggregation --silos 10 --parameters 100000000 --own-processes\n\nOne process runs all silos and the coordinator, so the total is the coordinator's cost and that of every silo.\nNot in it: TLS, the network, journals, training and noise."
    )]
    Aggregation(aggregation::AggregationArguments),
    /// A whole round by the clock: a coordinator and agents as separate processes, over mutual TLS on this machine
    #[command(
        after_help = "Example:\n  consilium bench loopback --silos 10 --parameters 100000\n\nA federation is founded with the commands of production. Its agents compute a contingency table with as many\ncells as there are parameters, and the audit log tells when the round was opened and when its sum was released.\nIn it: TLS, journals, the audit log with its cosignatures, training, and the pause that hides how long training takes."
    )]
    Loopback(loopback::LoopbackArguments),
    /// One party of a round, for a parent process that speaks to it over pipes
    #[command(hide = true)]
    Party(parties::PartyArguments),
}

pub(crate) fn run(command: BenchCommand) -> anyhow::Result<ExitCode> {
    match command {
        BenchCommand::Aggregation(arguments) => aggregation::run(&arguments),
        BenchCommand::Loopback(arguments) => loopback::run(&arguments),
        BenchCommand::Party(arguments) => parties::serve(&arguments),
    }
}
