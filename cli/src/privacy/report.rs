// SPDX-License-Identifier: Apache-2.0
//! `privacy report`: what a study promised its patients and how, for officers, ethics boards and auditors.

mod chart;
mod curves;
mod fields;
mod page;

use super::study_loss::NoisedStudy;
use crate::output::OutputArguments;
use anyhow::Context;
use clap::Args;
use fields::PrivacyReport;
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
    let rounds_run = arguments.results.as_deref().map(rounds_of).transpose()?;
    let report = PrivacyReport::of(&noised, &bytes, rounds_run)
        .with_context(|| format!("in `{}`", arguments.study.display()))?;
    write(&arguments.out, &report)?;
    arguments.output.print(&report, |_| {
        format!(
            "wrote `{JSON}` and `{HTML}` into `{}`",
            arguments.out.display()
        )
    })
}

fn rounds_of(folder: &Path) -> anyhow::Result<u64> {
    let file = folder.join("result.json");
    let context = || format!("the result `{}` cannot be read", file.display());
    let bytes = fs::read(&file).with_context(context)?;
    let result: serde_json::Value = serde_json::from_slice(&bytes).with_context(context)?;
    result["rounds"]
        .as_u64()
        .or_else(|| result["result"]["rounds"].as_u64())
        .with_context(|| format!("`{}` does not say how many rounds were run", file.display()))
}

fn write(folder: &Path, report: &PrivacyReport) -> anyhow::Result<()> {
    let context = || format!("the folder `{}` cannot be written", folder.display());
    fs::create_dir_all(folder).with_context(context)?;
    fs::write(folder.join(JSON), serde_json::to_vec_pretty(report)?).with_context(context)?;
    fs::write(folder.join(HTML), page::html(report)).with_context(context)
}

const JSON: &str = "privacy-report.json";
const HTML: &str = "privacy-report.html";
