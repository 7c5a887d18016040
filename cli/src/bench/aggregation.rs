// SPDX-License-Identifier: Apache-2.0
//! `consilium bench aggregation`: one round, measured.

use super::accounts::peak_memory_bytes;
use super::founding::{Founding, Size};
use super::mask_speed::MaskSpeed;
use super::post_quantum;
use super::progress::Progress;
use super::report::{Parts, Report};
use super::round::{self, Processes};
use crate::output::OutputArguments;
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct AggregationArguments {
    #[command(flatten)]
    size: Size,
    /// How many silos work at a time, each on one core
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// Run the coordinator and one silo in processes of their own, and measure the memory of each
    #[arg(long)]
    own_processes: bool,
    /// Where masked vectors are spooled [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn run(arguments: &AggregationArguments) -> anyhow::Result<ExitCode> {
    let size = arguments.size;
    let founding = Founding::new(size)?;
    let folder = match &arguments.spool {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    }
    .context("no temporary folder can be made")?;
    let processes = if arguments.own_processes {
        Processes::Own
    } else {
        Processes::One
    };
    let threads = usize::try_from(arguments.threads)?;
    let progress = Progress::new();
    let cost = round::run(size, threads, processes, folder.path(), &progress)?;
    let wall = progress.seconds();
    drop(progress);
    // Before the mask loop is measured, which holds vectors of its own.
    let peak = peak_memory_bytes();
    let parts = Parts {
        packing: round::seconds_of_packing(&founding)?,
        post_quantum: post_quantum::seconds(size.silos)?,
    };
    let mask_loop = MaskSpeed::measure(size.bits)?;
    let report = Report::new(&founding, &cost, parts, wall, peak, mask_loop);
    arguments.output.print(&report, Report::words)?;
    Ok(if report.as_expected() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}
