// SPDX-License-Identifier: Apache-2.0
//! The operator's commands.

mod init;
pub(crate) mod invite;
mod roster;
mod status;
mod uploads;

use crate::server::{self, RunOptions};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run and manage the coordinator.
#[derive(Subcommand)]
pub enum CoordinatorCommand {
    /// Make a coordinator's folder: keys, certificate authority, log, database
    #[command(
        after_help = "Examples:\n  consilium coordinator init --dir coordinator --name hub.example --host hub.example --listen 0.0.0.0:8443\n  consilium coordinator init --dir coordinator --name hub --listen 127.0.0.1:0"
    )]
    Init(init::InitArguments),
    /// Invite a silo, researcher, officer or operator
    #[command(
        after_help = "Examples:\n  consilium coordinator invite stmary.example --role silo --dir coordinator\n  consilium coordinator invite a.ruiz@uni.example --role researcher --dir coordinator --hours 4\n\nSend the printed line by a channel that you trust; it is good once."
    )]
    Invite(invite::InviteArguments),
    /// Propose and look at rosters
    #[command(subcommand)]
    Roster(roster::RosterCommand),
    /// Run the service until it is told to stop
    #[command(
        after_help = "Example:\n  consilium coordinator run --dir coordinator\n\n`ready.json` in the folder holds the bound address once the service is ready. CONSILIUM_LOG sets what is\nlogged on standard error, such as `info` or `debug`."
    )]
    Run(FolderArguments),
    /// Say what the coordinator is doing
    #[command(
        after_help = "Examples:\n  consilium coordinator status --dir coordinator\n  consilium coordinator status --dir coordinator --json"
    )]
    Status(status::StatusArguments),
    /// List the masked vectors that silos uploaded: all that the coordinator sees of them
    #[command(
        after_help = "Example:\n  consilium coordinator uploads --dir coordinator --study 3f9a02c41b77 --round 1 --json"
    )]
    Uploads(uploads::UploadsArguments),
}

/// Where the coordinator's folder is.
#[derive(Args)]
pub struct FolderArguments {
    /// The coordinator's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// How to print.
#[derive(Args)]
pub(crate) struct OutputArguments {
    /// Print one JSON document instead of words
    #[arg(long)]
    json: bool,
}

impl OutputArguments {
    /// Prints a value as JSON, or in words.
    fn print<T: Serialize>(
        &self,
        value: &T,
        words: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        use std::io::Write;
        let text = if self.json {
            serde_json::to_string(value)?
        } else {
            words(value)
        };
        // A reader that has gone away, such as `head`, is no fault of ours.
        writeln!(std::io::stdout(), "{text}").or_else(|fault| match fault.kind() {
            std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(fault),
        })?;
        Ok(())
    }
}

/// Carries out one command.
pub fn execute(command: CoordinatorCommand) -> ExitCode {
    let done = match command {
        CoordinatorCommand::Init(arguments) => init::init(arguments),
        CoordinatorCommand::Invite(arguments) => invite::invite(arguments),
        CoordinatorCommand::Roster(command) => roster::execute(command),
        CoordinatorCommand::Run(arguments) => {
            return run_to_end(RunOptions {
                folder: arguments.dir,
                crash_point: None,
            });
        }
        CoordinatorCommand::Status(arguments) => status::status(arguments),
        CoordinatorCommand::Uploads(arguments) => uploads::uploads(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fail(&fault),
    }
}

/// Runs the service until it is told to stop.
#[must_use]
pub fn run_to_end(options: RunOptions) -> ExitCode {
    start_logging();
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fail(&fault),
    }
}

fn serve(options: RunOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the service cannot start its threads")?;
    runtime.block_on(async {
        let shutdown = shutdown_signal()?;
        server::run(options, shutdown).await?;
        anyhow::Ok(())
    })
}

fn shutdown_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn start_logging() {
    use tracing_subscriber::EnvFilter;
    let filter =
        EnvFilter::try_from_env("CONSILIUM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A second start in one process keeps the first one's logging.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init()
        .ok();
}

fn fail(fault: &anyhow::Error) -> ExitCode {
    use std::io::Write;
    let text = crate::explain(fault.as_ref());
    writeln!(std::io::stderr(), "error: {text}").ok();
    ExitCode::from(2)
}
