// SPDX-License-Identifier: Apache-2.0
//! `simulate`: many rounds of secure aggregation with faults, or one recorded list of operations again.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use consilium_tests::simulation::{
    Campaign, Mutation, Settings, Statistics, from_text, minimise, run, to_text,
};
use std::path::PathBuf;

/// Simulates federations whose network, processes and disks fail.
#[derive(Parser)]
struct Arguments {
    /// How many rounds (attempts) must have met faults and ended
    #[arg(long, default_value_t = 10_000)]
    rounds: u64,
    /// Where the worlds come from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Worlds side by side; default: one for each processor
    #[arg(long)]
    threads: Option<usize>,
    /// Run this list of operations and print its history
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Print the list of operations of one world of the seed instead of running it
    #[arg(long, value_name = "NUMBER")]
    world: Option<u64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(path) = arguments.replay {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("`{}` cannot be read", path.display()))?;
        let settings = Settings {
            keep_lines: true,
            ..Settings::default()
        };
        let report = run(&from_text(&text)?, settings);
        for line in &report.lines {
            println!("{line}");
        }
        println!("digest {}", report.digest);
        return match report.violation {
            Some(violation) => bail!("{violation}"),
            None => Ok(()),
        };
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let campaign = Campaign {
        seed: arguments.seed,
        rounds: arguments.rounds,
        threads: arguments.threads.unwrap_or(processors),
        mutation: Mutation::None,
    };
    if let Some(world) = arguments.world {
        print!("{}", to_text(&campaign.operations(world)));
        return Ok(());
    }
    let summary = campaign.run();
    print!("{}", summary.statistics);
    println!("{} worlds, digest {}", summary.worlds, summary.digest);
    if let Some(failure) = summary.failure {
        let short = minimise(&failure.operations, Mutation::None);
        println!("\n# the shortest list found that does the same; keep it in tests/regressions");
        print!("{}", to_text(&short));
        bail!("{}", failure.violation);
    }
    nothing_is_missing(&summary.statistics, arguments.rounds)
}

/// SECURITY: a simulation in which nothing fails any more, or nothing is released, would pass without a word.
fn nothing_is_missing(statistics: &Statistics, rounds: u64) -> Result<()> {
    for (what, share) in Statistics::LEAST {
        let (count, least) = (statistics.all(what), rounds / share);
        ensure!(
            count >= least,
            "only {count} of `{what}` in {rounds} rounds; expected at least {least}"
        );
    }
    Ok(())
}
