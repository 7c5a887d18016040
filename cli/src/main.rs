// SPDX-License-Identifier: Apache-2.0
//! `consilium`: one command line for researchers, compliance officers, operators and hospital IT.

mod audit;
mod bench;
mod certs;
mod crash;
mod demo;
mod executable;
mod output;
mod policy;
mod privacy;
mod progress;
mod remote;
mod study;
mod user;

use clap::{Parser, Subcommand};
use consilium_coordinator::CoordinatorCommand;
use consilium_silo_agent::{SiloCommand, TrainerCommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "consilium",
    version,
    about = "Hospitals train models and compute statistics together; no patient record leaves its hospital",
    after_help = "Examples:\n  consilium demo\n  consilium study submit examples/studies/logistic.toml --dir researcher --watch\n  consilium audit verify coordinator/log\n  consilium policy check policy.toml --study study.toml\n\nThe first refusal of any hospital ends a study. Exit codes: 0 done, 1 refused or findings, 2 could not be done."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show everything on one machine: four hospitals, real data, real processes
    Demo(demo::DemoArguments),
    /// Submit, watch and fetch studies
    #[command(subcommand)]
    Study(study::StudyCommand),
    /// Verify and read an audit log offline
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Check policies and try studies against them
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Compute privacy losses
    #[command(subcommand)]
    Privacy(privacy::PrivacyCommand),
    /// Invite members and join as a person
    #[command(subcommand)]
    Certs(certs::CertsCommand),
    /// Run and manage a hospital's agent (as `consilium-silo-agent`)
    #[command(subcommand)]
    Silo(SiloCommand),
    /// Run and manage the coordinator (as `consilium-coordinator`)
    #[command(subcommand)]
    Coordinator(CoordinatorCommand),
    /// Measure what rounds of secure aggregation cost on this machine
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Run a silo or coordinator that dies at a chosen point
    #[command(subcommand, hide = true)]
    Crash(crash::CrashCommand),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Study(command) => study::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Privacy(command) => privacy::run(command),
        Command::Certs(command) => certs::run(command),
        Command::Silo(command) => return consilium_silo_agent::execute(command, trainer()),
        Command::Coordinator(command) => return consilium_coordinator::execute(command),
        Command::Bench(command) => bench::run(command),
        Command::Crash(command) => crash::run(command),
    };
    done.unwrap_or_else(|fault| output::report(&fault))
}

/// How this executable starts itself as the trainer child.
pub(crate) fn trainer() -> TrainerCommand {
    TrainerCommand::this_executable(&["silo", "trainer"])
}
