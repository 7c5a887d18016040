// SPDX-License-Identifier: Apache-2.0
//! `audit_privacy`: the long proof by attack, through the machines of secure aggregation.

use anyhow::{Result, ensure};
use clap::Parser;
use consilium_privacy::batch::Batch;
use consilium_tests::privacy_audit::canary::{Attack, Canary, Path, tenth};
use consilium_tests::privacy_audit::local::{LocalAttack, LocalMutation};
use consilium_tests::privacy_audit::mutation::Mutation;
use consilium_tests::privacy_audit::one_run::{DELTA, OneRun};

/// Attacks what is released and holds what the guesses prove against what is claimed.
#[derive(Parser)]
struct Arguments {
    /// Rounds with the canary, and as many without it
    #[arg(long, default_value_t = 10_000)]
    rounds: u32,
    /// Of all randomness
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let canary = Attack {
        mutation: Mutation::None,
        canary: Canary::TooLong,
        batch: Batch::Everybody,
        path: Path::Machines,
        rounds: arguments.rounds,
        seed: arguments.seed,
    };
    let verdict = canary.run()?;
    println!(
        "canary: {} rounds with it and {} without, 4 silos, 1 gone, 1 colludes, clipping norm exactly",
        verdict.when_present.all, verdict.when_absent.all
    );
    println!(
        "  guessed present {} and {} times: distance {:.4} of {:.4} proven (one-sided 99 % bounds), ratio {:.4}",
        verdict.when_present.present,
        verdict.when_absent.present,
        verdict.proven,
        verdict.claimed,
        verdict.ratio()
    );
    let sampled = Attack {
        batch: tenth()?,
        rounds: arguments.rounds.saturating_mul(4),
        ..canary
    };
    let drawn = sampled.run()?;
    println!(
        "canary in a batch of one in ten: {} rounds with it and {} without",
        drawn.when_present.all, drawn.when_absent.all
    );
    println!(
        "  guessed present {} and {} times: rate {:.4} of {:.4} proven (one-sided 99 % bounds), ratio {:.4}",
        drawn.when_present.present,
        drawn.when_absent.present,
        drawn.proven,
        drawn.claimed,
        drawn.ratio()
    );
    let one_run = OneRun {
        mutation: Mutation::None,
        seed: arguments.seed,
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
    println!("mistakes, by addition, 10,000 rounds each way:");
    let mut found = true;
    for mutation in Mutation::MISTAKES {
        let canary = if mutation == Mutation::NotANumber {
            Canary::NotANumber
        } else {
            Canary::TooLong
        };
        let mistaken = Attack {
            mutation,
            canary,
            batch: if mutation == Mutation::NoPoisson {
                tenth()?
            } else {
                Batch::Everybody
            },
            path: Path::Addition,
            rounds: 10_000,
            seed: arguments.seed,
        };
        let verdict = mistaken.run()?;
        let word = if verdict.holds() { "MISSED" } else { "found" };
        println!("  {mutation:?}: ratio {:.4}, {word}", verdict.ratio());
        found &= !verdict.holds();
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
    for mutation in LocalMutation::MISTAKES {
        let verdict = local(mutation)?;
        let word = if verdict.holds() { "MISSED" } else { "found" };
        println!("  {mutation:?}: ratio {:.4}, {word}", verdict.ratio());
        found &= !verdict.holds();
    }
    ensure!(
        honest.holds(),
        "the local canary proves too much or too little"
    );
    ensure!(verdict.holds(), "the canary proves too much or too little");
    ensure!(
        drawn.holds(),
        "the canary in a batch proves too much or too little"
    );
    ensure!(run.holds(), "the one run proves too much or too little");
    ensure!(found, "a mistake was missed");
    Ok(())
}
