// SPDX-License-Identifier: Apache-2.0
//! Fuzzes one target for as long as it is told, or makes the corpora's seeds again.

use anyhow::{Context, Result, bail};
use clap::Parser;
use consilium_tests::fuzz::{Mutator, TARGETS, target};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Feeds damaged inputs to everything that reads what strangers send.
#[derive(Parser)]
struct Arguments {
    /// Which target; without it, each of them in turn.
    #[arg(long)]
    target: Option<String>,
    /// How many inputs for each target.
    #[arg(long, default_value_t = 10_000)]
    iterations: u64,
    /// The same seed gives the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the seeds into the corpora instead.
    #[arg(long)]
    write_seeds: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    for target in TARGETS {
        if arguments
            .target
            .as_deref()
            .is_some_and(|name| name != target.name)
        {
            continue;
        }
        if arguments.write_seeds {
            let folder = target.corpus_folder();
            std::fs::create_dir_all(&folder)?;
            let seeds = (target.seeds)().with_context(|| format!("seeds of `{}`", target.name))?;
            for (number, seed) in seeds.iter().enumerate() {
                std::fs::write(folder.join(format!("seed-{number:02}")), seed)?;
            }
            println!("{}: {} seeds", target.name, seeds.len());
            continue;
        }
        let corpus: Vec<Vec<u8>> = target
            .corpus()?
            .into_iter()
            .map(|(_, input)| input)
            .collect();
        let mut mutator = Mutator::new(arguments.seed);
        for iteration in 0..arguments.iterations {
            let input = mutator.next(&corpus);
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                let file = format!("crash-{}-{}-{iteration}", target.name, arguments.seed);
                std::fs::write(&file, &input)?;
                bail!("`{}` broke a law: the input is in `{file}`", target.name);
            }
        }
        println!(
            "{}: {} inputs, peak memory {}",
            target.name,
            arguments.iterations,
            peak_memory()
        );
    }
    match arguments.target {
        Some(name) if target(&name).is_none() => bail!("there is no target `{name}`"),
        _ => Ok(()),
    }
}

/// The most memory that this process ever held, as Linux tells it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |peak| peak.trim().to_owned())
}
