// SPDX-License-Identifier: Apache-2.0
//! `privacy report`: what a study promised its patients and how, for officers, ethics boards and auditors.

mod audit;
mod charged;
mod chart;
mod curves;
mod derived;
mod fields;
mod page;
mod run;

use super::study_loss::NoisedStudy;
use crate::output::OutputArguments;
use anyhow::Context;
use charged::Charged;
use clap::Args;
use fields::PrivacyReport;
use run::Run;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct ReportArguments {
    /// The study file
    #[arg(value_name = "STUDY.toml")]
    study: PathBuf,
    /// How many silos are invited, where the study does not name them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    silos: Option<u32>,
    /// How many of them may collude with the coordinator [default: a third, rounded down]
    #[arg(long, value_name = "N")]
    colluders: Option<u32>,
    /// The folder that `study result --out` wrote, for the rounds that were run
    #[arg(long, value_name = "FOLDER")]
    results: Option<PathBuf>,
    /// A hospital's ledger, as `consilium-silo-agent ledger export` wrote it, for the attempts that were charged
    #[arg(long, value_name = "LEDGER.jsonl")]
    ledger: Option<PathBuf>,
    /// The study's identifier in that ledger, or its beginning, where several studies have this price
    #[arg(long, value_name = "ID", requires = "ledger")]
    id: Option<String>,
    /// Where `privacy-report.json` and `privacy-report.html` go
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn run(arguments: &ReportArguments) -> anyhow::Result<()> {
    let bytes = fs::read(&arguments.study).with_context(|| {
        format!(
            "the study file `{}` cannot be read",
            arguments.study.display()
        )
    })?;
    let noised = NoisedStudy::read(&arguments.study, arguments.silos, arguments.colluders)?;
    let run = Run {
        rounds: arguments
            .results
            .as_deref()
            .map(run::rounds_of)
            .transpose()?,
        charged: arguments
            .ledger
            .as_deref()
            .map(|ledger| Charged::of(ledger, arguments.id.as_deref(), &noised))
            .transpose()?,
    };
    let report = PrivacyReport::of(&noised, &bytes, run)
        .with_context(|| format!("in `{}`", arguments.study.display()))?;
    write(&arguments.out, &report)?;
    arguments.output.print(&report, |_| {
        format!(
            "wrote `{JSON}` and `{HTML}` into `{}`",
            arguments.out.display()
        )
    })
}

fn write(folder: &Path, report: &PrivacyReport) -> anyhow::Result<()> {
    let context = || format!("the folder `{}` cannot be written", folder.display());
    fs::create_dir_all(folder).with_context(context)?;
    fs::write(folder.join(JSON), serde_json::to_vec_pretty(report)?).with_context(context)?;
    fs::write(folder.join(HTML), page::html(report)).with_context(context)
}

const JSON: &str = "privacy-report.json";
const HTML: &str = "privacy-report.html";
