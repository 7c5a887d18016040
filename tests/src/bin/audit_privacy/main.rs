// SPDX-License-Identifier: Apache-2.0
//! `audit_privacy`: the long proof by attack, through the machines of secure aggregation.

mod progress;
mod seeds;

use anyhow::{Result, ensure};
use clap::Parser;
use consilium_privacy::batch::Batch;
use consilium_tests::privacy_audit::canary::{Attack, Canary, Path, Verdict, tenth};
use consilium_tests::privacy_audit::local::{LocalAttack, LocalMutation};
use consilium_tests::privacy_audit::mutation::Mutation;
use consilium_tests::privacy_audit::one_run::{DELTA, OneRun};

use progress::Progress;

/// Attacks what is released and holds what the guesses prove against what is claimed.
#[derive(Parser)]
struct Arguments {
    /// Rounds with the canary, and as many without it
    #[arg(long, default_value_t = ROUNDS)]
    rounds: u32,
    /// Of all randomness
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measure the attacks themselves instead: run each by addition from this many seeds
    #[arg(long)]
    seeds: Option<u64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(seeds) = arguments.seeds {
        return seeds::measure(arguments.seed, seeds);
    }
    // Sixteen canaries in each: four times as many guesses as there are rounds with one canary.
    let batch_rounds = arguments.rounds.div_ceil(ROUNDS / BATCH_ROUNDS);
    let progress = Progress::of(2 * (arguments.rounds + batch_rounds));
    let canary = Attack {
        path: Path::Machines,
        rounds: arguments.rounds,
        ..by_addition(Mutation::None, arguments.seed)?
    };
    let sampled = Attack {
        batch: tenth()?,
        rounds: batch_rounds,
        ..canary
    };
    let mut holds = true;
    for (name, what, attack) in [
        ("canary, clipping norm exactly", "distance", canary),
        ("canaries in a batch of one in ten", "rate", sampled),
    ] {
        let verdict = attack.run_watched(&|| progress.round_is_done())?;
        print_canary(name, what, &attack, &verdict);
        holds &= verdict.holds();
    }
    holds &= one_run(arguments.seed)?;
    println!("mistakes, by addition, {ROUNDS} rounds each way:");
    let mut found = true;
    for mutation in Mutation::MISTAKES {
        let verdict = by_addition(mutation, arguments.seed)?.run()?;
        found &= print_mistake(mutation, verdict.ratio(), verdict.holds());
    }
    let local = |mutation| {
        let attack = LocalAttack {
            mutation,
            rounds: arguments.rounds,
            seed: arguments.seed,
        };
        attack.run()
    };
    let honest = local(LocalMutation::Honest)?;
    println!(
        "local: {} rounds each way, 4 noised steps of one silo, no mask\n  distance {:.4} of {:.4} proven (one-sided 99 % bounds), ratio {:.4}",
        arguments.rounds,
        honest.proven,
        honest.claimed,
        honest.ratio()
    );
    holds &= honest.holds();
    for mutation in LocalMutation::MISTAKES {
        let verdict = local(mutation)?;
        found &= print_mistake(mutation, verdict.ratio(), verdict.holds());
    }
    ensure!(holds, "an honest release proves too much or too little");
    ensure!(found, "a mistake was missed");
    Ok(())
}

fn print_canary(name: &str, what: &str, attack: &Attack, verdict: &Verdict) {
    println!(
        "{name}: {} rounds with and {} without, {} guesses in each, 4 silos, 1 gone, 1 colludes",
        attack.rounds,
        attack.rounds,
        attack.canaries()
    );
    println!(
        "  guessed present {} and {} times: {what} {:.4} of {:.4} proven (one-sided 99 % bounds), ratio {:.4}",
        verdict.when_present.present,
        verdict.when_absent.present,
        verdict.proven,
        verdict.claimed,
        verdict.ratio()
    );
}

fn one_run(seed: u64) -> Result<bool> {
    let one_run = OneRun {
        mutation: Mutation::None,
        seed,
    };
    let run = one_run.run()?;
    println!(
        "one run: {} canaries, {} parameters",
        run.when_present.all + run.when_absent.all,
        run.parameters
    );
    println!(
        "  guessed present {} of {} and {} of {} times: distance {:.4} of {:.4} proven (one-sided 99 % bounds), ratio {:.4}",
        run.when_present.present,
        run.when_present.all,
        run.when_absent.present,
        run.when_absent.all,
        run.proven_distance,
        run.claimed_distance,
        run.ratio()
    );
    println!(
        "  {} of the 200 surest guesses right: epsilon {:.3} refuted with 99 % confidence, {:.3} claimed at delta {DELTA}",
        run.correct, run.refuted_epsilon, run.claimed_epsilon
    );
    Ok(run.holds())
}

/// Whether the mistake is found.
fn print_mistake(mutation: impl std::fmt::Debug, ratio: f64, holds: bool) -> bool {
    let word = if holds { "MISSED" } else { "found" };
    println!("  {mutation:?}: ratio {ratio:.4}, {word}");
    !holds
}

/// The attack that a mistake is to be found by, without the machines.
fn by_addition(mutation: Mutation, seed: u64) -> Result<Attack> {
    let canary = if mutation == Mutation::NotANumber {
        Canary::NotANumber
    } else {
        Canary::TooLong
    };
    let (batch, rounds) = if mutation == Mutation::NoPoisson {
        (tenth()?, BATCH_ROUNDS)
    } else {
        (Batch::Everybody, ROUNDS)
    };
    Ok(Attack {
        mutation,
        canary,
        batch,
        path: Path::Addition,
        rounds,
        seed,
    })
}

/// Each way, of one canary.
const ROUNDS: u32 = 10_000;
/// Each way, of sixteen canaries: 40,000 guesses.
const BATCH_ROUNDS: u32 = 2_500;
