// SPDX-License-Identifier: Apache-2.0
//! `consilium privacy`: what studies cost their patients, before anybody runs them and afterwards.

mod amounts;
mod compose;
mod explain;
mod mechanism;
mod plan;
mod prediction;
mod report;
mod study_loss;
mod variations;

use clap::Subcommand;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum PrivacyCommand {
    /// The epsilon that noise certifies, of a mechanism or of a study file
    #[command(
        after_help = "Examples:\n  consilium privacy epsilon --noise-multiplier 10.6 --rounds 50 --delta 1e-5\n  consilium privacy epsilon --noise-multiplier 1 --rounds 1000 --delta 1e-5 --sampling-rate 0.01\n  consilium privacy epsilon --noise-multiplier 20 --rounds 50 --delta 1e-5 --adjacency replace\n  consilium privacy epsilon --noise-multiplier 4 --rounds 50 --delta 1e-5 --adjacency replace --batch 10 --population 1000\n  consilium privacy epsilon --study examples/studies/private-logistic.toml --silos 4\n\nReplacing a patient under `--sampling-rate` below 1 has an estimate and no certificate: `certified` is null in JSON, and\n`not_certified` says why. Batches of fixed size (`--batch`, `--population`) have a certificate for patients replaced, and no estimate.\n\nIn JSON, amounts of privacy (epsilon, delta, rho, noise multiplier, sampling rate, clip) are decimals in quotes, which no\nreader rounds; counts, orders, shares, probabilities and points of curves are numbers."
    )]
    Epsilon(mechanism::EpsilonArguments),
    /// The least noise that keeps an epsilon
    #[command(
        after_help = "Examples:\n  consilium privacy calibrate --epsilon 3 --delta 1e-5 --rounds 22\n  consilium privacy calibrate --epsilon 1 --delta 1e-5 --rounds 1000 --sampling-rate 0.01 --json"
    )]
    Calibrate(mechanism::CalibrateArguments),
    /// The epsilon of unlike jobs together, from a file that lists them
    #[command(after_help = "Example:\n  consilium privacy compose examples/privacy/year.toml")]
    Compose(compose::ComposeArguments),
    /// What an epsilon means for one patient
    #[command(after_help = "Example:\n  consilium privacy explain --epsilon 1 --delta 1e-5")]
    Explain(explain::ExplainArguments),
    /// What a study would cost and find: noise, three epsilons, accuracy on synthetic patients, the budget after it
    #[command(
        after_help = "Examples:\n  consilium privacy plan examples/studies/private-logistic.toml --silos 4\n  consilium privacy plan study.toml --silos 4 --policy hospital.toml --budget-left 46\n  consilium privacy plan study.toml --silos 4 --ledger ledger.jsonl --budget-share 25\n  consilium privacy plan examples/studies/private-silo.toml --silos 4\n\nExit code 1: a hospital would refuse it; what could be asked instead is printed."
    )]
    Plan(plan::PlanArguments),
    /// Write the privacy report of a study: JSON, and one HTML page that needs nothing else
    #[command(
        after_help = "Examples:\n  consilium privacy report examples/studies/private-logistic.toml --silos 4 --out report\n  consilium privacy report study.toml --silos 4 --results results --ledger ledger.jsonl --out results"
    )]
    Report(report::ReportArguments),
}

pub(crate) fn run(command: PrivacyCommand) -> anyhow::Result<ExitCode> {
    match command {
        PrivacyCommand::Epsilon(arguments) => mechanism::epsilon(&arguments)?,
        PrivacyCommand::Calibrate(arguments) => mechanism::calibrate(&arguments)?,
        PrivacyCommand::Compose(arguments) => compose::run(&arguments)?,
        PrivacyCommand::Explain(arguments) => explain::run(&arguments)?,
        PrivacyCommand::Plan(arguments) => return plan::run(&arguments),
        PrivacyCommand::Report(arguments) => report::run(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
