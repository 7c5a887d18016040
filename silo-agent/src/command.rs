// SPDX-License-Identifier: Apache-2.0
//! The command tree of a silo: mounted as `consilium-silo-agent ...` and as `consilium silo ...`.

mod data;
mod doctor;
mod ledger;
mod membership;
mod officer_card;
mod records;
mod report;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::crash::CrashPoint;
use crate::run::{RunOptions, run};
use crate::trainer::TrainerCommand;
use crate::trainer_child_main;

/// What a hospital does with its agent.
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum SiloCommand {
    /// Join a federation with an invitation: makes this silo's keys and has them certified
    #[command(
        after_help = "Example:\n  consilium-silo-agent join INVITATION --dir /var/lib/consilium"
    )]
    Join {
        /// The line that the operator gave you
        invitation: String,
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// Look at the federation's roster, and sign a draft of it
    #[command(subcommand)]
    Roster(RosterCommand),
    /// Register the data sets that studies may ask for
    #[command(subcommand)]
    Data(DataCommand),
    /// Install this hospital's policy
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Answer studies that wait for a person
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// Look at the privacy budgets, raise one, hand the ledger to an auditor
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Run the agent until it is stopped
    #[command(after_help = "Example:\n  consilium-silo-agent run --dir /var/lib/consilium")]
    Run {
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// Show studies, data sets, policy and connection
    Status {
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// Check everything that the agent needs and say how to mend it
    Doctor {
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// The process that reads patient data; the agent starts it
    #[command(hide = true)]
    Trainer,
}

/// `roster`
#[derive(Clone, Debug, Subcommand)]
pub enum RosterCommand {
    /// Show the draft that waits for this silo's signature, ask, and sign it
    #[command(after_help = "Example:\n  consilium-silo-agent roster sign --dir /var/lib/consilium")]
    Sign {
        /// Sign without asking
        #[arg(long)]
        yes: bool,
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// Show the roster that is pinned here
    Show {
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
}

/// `data`
#[derive(Clone, Debug, Subcommand)]
pub enum DataCommand {
    /// Register a CSV file under the name that studies use
    #[command(
        after_help = "Example:\n  consilium-silo-agent data register ercp-trial --file /data/ercp.csv --patient id --patients-at-most 1000"
    )]
    Register(RegisterArguments),
    /// Look at a registered data set as a study would, and say what does not fit; nobody else hears of it
    #[command(
        after_help = "Example:\n  consilium-silo-agent data check ercp-trial --study study.toml"
    )]
    Check {
        /// The data set
        name: String,
        /// The study file
        #[arg(long, value_name = "TOML")]
        study: PathBuf,
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// List the registered data sets
    List {
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
}

/// `data register`
#[derive(Clone, Debug, Args)]
pub struct RegisterArguments {
    /// The name that studies use
    name: String,
    /// The CSV file; its first line names the columns
    #[arg(long, value_name = "CSV")]
    file: PathBuf,
    /// The column in which patients have names [default: as last time, or every row is a patient]
    #[arg(long, value_name = "COLUMN")]
    patient: Option<String>,
    /// The most patients that others may think are in it: a round number with room to grow, without which no study with
    /// noise uses the data [default: as last time]
    #[arg(long, value_name = "N")]
    patients_at_most: Option<u64>,
    /// Let the budget and the cohort of this data set count for the file too: it holds some of the same patients
    #[arg(long, value_name = "DATA")]
    lineage: Option<String>,
    /// Have patients who look alike in another data set counted as others: why they are
    #[arg(long, value_name = "REASON", requires = "person")]
    other_patients: Option<String>,
    /// Let a file that replaces one used without noise take part without noise too: why two sums may be compared
    #[arg(long, value_name = "REASON", requires = "person")]
    new_cohort: Option<String>,
    /// Who says so; for this hospital's own log
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// Which silo, and how to answer
    #[command(flatten)]
    place: Place,
}

/// `policy`
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check a policy file and put it in force
    #[command(
        after_help = "Example:\n  consilium-silo-agent policy install hospital.toml --dir /var/lib/consilium"
    )]
    Install {
        /// The policy file
        file: PathBuf,
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
}

/// `approvals`
#[derive(Clone, Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// List the studies that wait
    List {
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// Show one study: what it asks, what it costs, and its file
    #[command(after_help = "Example:\n  consilium-silo-agent approvals show 3f9a21c0")]
    Show {
        /// The study's identifier, or its beginning
        study: String,
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// Take back the consent to a study that runs: no further round of it
    #[command(
        after_help = "Example:\n  consilium-silo-agent approvals withdraw 3f9a21c0 --person m.keller --reason 'ethics approval withdrawn'"
    )]
    Withdraw {
        /// The study's identifier, or its beginning
        study: String,
        /// Who says so
        #[arg(long)]
        person: String,
        /// Why; for this hospital's own log only
        #[arg(long, default_value = "")]
        reason: String,
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// Say yes to a study
    #[command(
        after_help = "Example:\n  consilium-silo-agent approvals approve 3f9a21c0 --person m.keller"
    )]
    Approve {
        /// The study's identifier, or its beginning
        study: String,
        /// Who says so
        #[arg(long)]
        person: String,
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// Say no to a study
    Refuse {
        /// The study's identifier, or its beginning
        study: String,
        /// Who says so
        #[arg(long)]
        person: String,
        /// Why; for this hospital's own log only
        #[arg(long, default_value = "")]
        reason: String,
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
}

/// `ledger top-up`
#[derive(Clone, Debug, Args)]
pub struct TopUpArguments {
    /// The data set
    data: String,
    /// The epsilon of its budget afterwards
    #[arg(long)]
    epsilon: String,
    /// Why, in one line; the officers sign it too
    #[arg(long)]
    reason: String,
    /// A signature by `ssh-keygen -Y sign`; given twice. Without one, the statement to sign is printed
    #[arg(long = "signature", value_name = "FILE")]
    signatures: Vec<PathBuf>,
    /// Which silo, and how to answer
    #[command(flatten)]
    place: Place,
}

impl TopUpArguments {
    /// `ledger top-up` that dies at a crash point, for tests.
    pub fn execute_up_to(&self, crash: CrashPoint) -> anyhow::Result<()> {
        ledger::top_up(self, Some(crash))
    }
}

/// `ledger`
#[derive(Clone, Debug, Subcommand)]
pub enum LedgerCommand {
    /// Show what is spent, set aside and left of every data set's budget
    Show {
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// Raise the epsilon of a data set's budget; two officers of `silo.toml` must sign
    #[command(name = "top-up", after_help = TOP_UP)]
    TopUp(TopUpArguments),
    /// Write the whole ledger as JSON lines, each with the digest that chains it to the line before
    #[command(
        after_help = "Example:\n  consilium-silo-agent ledger export --out ledger-2026.jsonl"
    )]
    Export {
        /// Where to [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
    /// Check an exported ledger: one chain, its rules kept, every raise signed
    #[command(after_help = "Exit codes: 0 it holds, 2 it does not.")]
    Verify {
        /// The exported file
        file: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Recompute from a copy of the shared log what this silo must have been charged, and compare
    #[command(
        after_help = "Example:\n  consilium-silo-agent ledger compare log-copy --dir /var/lib/consilium\n\nVerify the copy first: `consilium audit verify`. Exit codes: 0 they agree, 1 a charge is missing or too low."
    )]
    Compare {
        /// The folder of the shared log
        log: PathBuf,
        /// Which silo, and how to answer
        #[command(flatten)]
        place: Place,
    },
}

/// Which silo, and how to answer.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// The silo's folder
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub dir: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs one command; what goes wrong is told on standard error with its causes.
pub fn execute(command: SiloCommand, trainer: TrainerCommand) -> ExitCode {
    if matches!(command, SiloCommand::Trainer) {
        return trainer_child_main();
    }
    dispatch(command, trainer).unwrap_or_else(|fault| told(&fault))
}

/// Runs the agent until it is told to stop.
#[must_use]
pub fn run_to_end(options: RunOptions) -> ExitCode {
    tell_what_happens();
    let ended = runtime().and_then(|runtime| Ok(runtime.block_on(run(options, stop_signal()))?));
    ended.map_or_else(|fault| told(&fault), |()| ExitCode::SUCCESS)
}

fn told(fault: &anyhow::Error) -> ExitCode {
    eprintln!("error: {fault:#}");
    ExitCode::from(2)
}

fn dispatch(command: SiloCommand, trainer: TrainerCommand) -> anyhow::Result<ExitCode> {
    match command {
        SiloCommand::Join { invitation, place } => membership::join(&invitation, &place)?,
        SiloCommand::Roster(RosterCommand::Sign { yes, place }) => membership::sign(yes, &place)?,
        SiloCommand::Roster(RosterCommand::Show { place }) => membership::show(&place)?,
        SiloCommand::Data(DataCommand::Register(arguments)) => {
            data::register(&arguments, trainer)?;
        }
        SiloCommand::Data(DataCommand::Check { name, study, place }) => {
            data::check(&name, &study, &place, trainer)?;
        }
        SiloCommand::Data(DataCommand::List { place }) => data::list(&place)?,
        SiloCommand::Policy(PolicyCommand::Install { file, place }) => {
            records::install_policy(&file, &place)?
        }
        SiloCommand::Approvals(ApprovalsCommand::List { place }) => records::approvals(&place)?,
        SiloCommand::Approvals(ApprovalsCommand::Show { study, place }) => {
            records::show(&study, &place)?;
        }
        SiloCommand::Approvals(ApprovalsCommand::Withdraw {
            study,
            person,
            reason,
            place,
        }) => records::withdraw(&study, &person, &reason, &place)?,
        SiloCommand::Approvals(ApprovalsCommand::Approve {
            study,
            person,
            place,
        }) => {
            records::approve(&study, person, &place)?;
        }
        SiloCommand::Approvals(ApprovalsCommand::Refuse {
            study,
            person,
            reason,
            place,
        }) => {
            records::refuse(&study, person, reason, &place)?;
        }
        SiloCommand::Ledger(command) => return ledger::execute(command),
        SiloCommand::Status { place } => report::status(&place)?,
        SiloCommand::Doctor { place } => return doctor::examine(&place, trainer),
        SiloCommand::Run { place } => {
            return Ok(run_to_end(RunOptions {
                folder: place.dir,
                trainer,
                crash_point: None,
            }));
        }
        SiloCommand::Trainer => return Ok(trainer_child_main()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Completes when the process is asked to end, by the terminal or by a service manager.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        // Without the handler the default stays: the process ends at once.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the runtime cannot be started")
}

/// Messages go to standard error; `CONSILIUM_LOG` chooses which.
fn tell_what_happens() {
    let filter =
        EnvFilter::try_from_env("CONSILIUM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A second initialisation, as in a test, changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}

/// Prints an answer as JSON or as text. A reader that has had enough, such as `head`, is no fault.
fn answer(place: &Place, json: &serde_json::Value, text: &str) -> anyhow::Result<()> {
    let text = if place.json {
        serde_json::to_string_pretty(json)?
    } else {
        text.trim_end().to_owned()
    };
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(fault) if fault.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the answer cannot be printed"),
    }
}

const TOP_UP: &str = "Example:
  consilium-silo-agent ledger top-up icu-2019 --epsilon 6 --reason 'ethics amendment 3' > statement
  ssh-keygen -Y sign -n consilium-privacy-budget -f ~/.ssh/id_ed25519 statement    (each officer)
  consilium-silo-agent ledger top-up icu-2019 --epsilon 6 --reason 'ethics amendment 3' \\
      --signature keller.sig --signature berg.sig

Stop the agent first, and write the new epsilon into the policy's `[budget]` afterwards.";

const EXAMPLES: &str = "Examples:
  consilium-silo-agent join INVITATION --dir /var/lib/consilium
  consilium-silo-agent policy install hospital.toml --dir /var/lib/consilium
  consilium-silo-agent data register ercp-trial --file /data/ercp.csv --patient id --patients-at-most 1000 --dir /var/lib/consilium
  consilium-silo-agent roster sign --dir /var/lib/consilium
  consilium-silo-agent run --dir /var/lib/consilium
  consilium-silo-agent doctor --dir /var/lib/consilium";
