// SPDX-License-Identifier: Apache-2.0
//! `consilium demo`: everything on one machine, as its users would run it.
//!
//! Four hospitals, a coordinator and a researcher are set up with the commands of production, run as separate processes,
//! and learn from a published trial. Then two studies are refused, and the audit log is verified offline.

mod consortium;
mod masked_view;
mod report;
mod story;

use crate::output::line;
use anyhow::{Context, bail};
use clap::Args;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  consilium demo\n  consilium demo --keep demo --json demo.json\n\nWith --keep the folder of every party can be looked at afterwards, for example with\n  consilium audit show demo/coordinator/log"
)]
pub(crate) struct DemoArguments {
    /// Work in this folder, which must not exist or be empty, and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Write the results as JSON into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(arguments: &DemoArguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let (folder, temporary) = match &arguments.keep {
        Some(folder) => (prepare(folder)?, None),
        None => {
            let temporary = tempfile::tempdir().context("no temporary folder can be made")?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    let mut report = story::tell(&folder)?;
    report.seconds = started.elapsed().as_secs_f64();
    line(&report.summary());
    if let Some(file) = &arguments.json {
        let json = serde_json::to_vec_pretty(&report)?;
        fs::write(file, json).with_context(|| format!("`{}` cannot be written", file.display()))?;
        line(&format!("\nThe results are in `{}`.", file.display()));
    }
    if temporary.is_none() {
        line(&format!(
            "\nEverything is kept in `{}`; its logs are in `logs/`.",
            folder.display()
        ));
    }
    Ok(if report.as_expected() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// A folder that is this demonstration's alone.
fn prepare(folder: &PathBuf) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder)
        .with_context(|| format!("the folder `{}` cannot be made", folder.display()))?;
    let mut entries = fs::read_dir(folder)
        .with_context(|| format!("the folder `{}` cannot be read", folder.display()))?;
    if entries.next().is_some() {
        bail!(
            "the folder `{}` is not empty: name a new one",
            folder.display()
        );
    }
    fs::canonicalize(folder).with_context(|| format!("`{}`", folder.display()))
}
