// SPDX-License-Identifier: Apache-2.0
//! `consilium bench loopback`: rounds of real processes, by the clock.
//!
//! Every process runs as it does in production. A contingency table has as many cells as there are parameters: that is
//! the longest vector that any analysis makes of few patients, so computing it takes no time worth speaking of.

mod federation;
mod study;
mod timing;

use crate::output::OutputArguments;
use crate::study::fetch_result;
use crate::user::User;
use anyhow::Context;
use clap::Args;
use federation::Federation;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use study::Workload;
use timing::RoundTiming;

#[derive(Args)]
pub(crate) struct LoopbackArguments {
    /// How many silos take part
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=100))]
    silos: u32,
    /// How many parameters each silo's vector has, about
    #[arg(long, value_name = "D", value_parser = clap::value_parser!(u64).range(4..=10_000_000))]
    parameters: u64,
    /// Bits of a parameter on the wire
    #[arg(long, value_name = "B", default_value_t = 32, value_parser = clap::value_parser!(u8).range(24..=64))]
    bits: u8,
    /// How many rounds are measured, one after another
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Work in this folder, which must not exist or be empty, and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Report {
    silos: u32,
    parameters: u64,
    bits: u8,
    /// Of the rounds below.
    median_wall_seconds: f64,
    rounds: Vec<RoundTiming>,
    /// Of all processes, with the study's submission, consent and result.
    cpu_seconds_per_round: Option<f64>,
    coordinator_peak_memory_bytes: Option<u64>,
    /// Of the agent that held the most.
    silo_peak_memory_bytes: Option<u64>,
    sum_correct: bool,
}

pub(super) fn run(arguments: &LoopbackArguments) -> anyhow::Result<ExitCode> {
    let (folder, _temporary) = match &arguments.keep {
        Some(folder) => {
            fs::create_dir_all(folder)?;
            (fs::canonicalize(folder)?, None)
        }
        None => {
            let temporary = tempfile::tempdir().context("no temporary folder can be made")?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    let report = measure(arguments, &folder)?;
    arguments.output.print(&report, Report::words)?;
    Ok(if report.sum_correct {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn measure(arguments: &LoopbackArguments, folder: &Path) -> anyhow::Result<Report> {
    let workload = Workload::new(arguments.silos, arguments.parameters, arguments.bits);
    let mut federation = Federation::found(folder, &workload)?;
    federation.start_silos()?;
    let user = User::open(&federation.path(study::RESEARCHER))?;
    let mut sum_correct = true;
    let before = federation.cpu_seconds();
    for number in 1..=arguments.rounds {
        let id = federation.complete(number, &workload.study(number))?;
        let result = serde_json::from_value(fetch_result(&user, &id)?.result)?;
        sum_correct &= workload.is_right(&result);
    }
    federation.check()?;
    let spent = before
        .zip(federation.cpu_seconds())
        .map(|(before, after)| after - before);
    let coordinator_peak_memory_bytes = federation.coordinator_peak();
    let silo_peak_memory_bytes = federation.silo_peak();
    let rounds = timing::rounds(&federation.log()?)?;
    federation.stop()?;
    let mut seconds: Vec<f64> = rounds.iter().map(RoundTiming::wall_seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2);
    Ok(Report {
        silos: arguments.silos,
        parameters: workload.parameters(),
        bits: arguments.bits,
        median_wall_seconds: *median.context("the audit log tells of no round")?,
        sum_correct: sum_correct && seconds.len() == usize::try_from(arguments.rounds)?,
        rounds,
        cpu_seconds_per_round: spent.map(|spent| spent / f64::from(arguments.rounds)),
        coordinator_peak_memory_bytes,
        silo_peak_memory_bytes,
    })
}

impl Report {
    fn words(&self) -> String {
        let mut lines = vec![
            format!(
                "{} silos, {} parameters of {} bits, separate processes over mutual TLS",
                self.silos, self.parameters, self.bits
            ),
            String::new(),
            "seconds from the opening of a round, by the coordinator's log".to_owned(),
        ];
        lines.extend(timing::table(&self.rounds));
        lines.push(String::new());
        lines.push(format!(
            "median of {} rounds: {:.3} s",
            self.rounds.len(),
            self.median_wall_seconds
        ));
        if let Some(seconds) = self.cpu_seconds_per_round {
            lines.push(format!(
                "processor time of all processes for each: {seconds:.2} s, its study's submission and result included"
            ));
        }
        for (whose, peak) in [
            ("the coordinator", self.coordinator_peak_memory_bytes),
            ("an agent", self.silo_peak_memory_bytes),
        ] {
            if let Some(peak) = peak {
                lines.push(format!("most memory of {whose}: {} MiB", peak >> 20));
            }
        }
        let sum = if self.sum_correct { "right" } else { "WRONG" };
        lines.push(format!("every sum is {sum}"));
        lines.join("\n")
    }
}
