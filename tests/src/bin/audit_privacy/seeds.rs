// SPDX-License-Identifier: Apache-2.0
//! The same attacks from many seeds, by addition: how often an honest release fails, and how often a mistake is found.

use std::time::Instant;

use anyhow::{Result, ensure};
use consilium_tests::privacy_audit::canary::{Attack, tenth};
use consilium_tests::privacy_audit::local::{LocalAttack, LocalMutation};
use consilium_tests::privacy_audit::mutation::Mutation;
use consilium_tests::privacy_audit::one_run::OneRun;

use crate::{BATCH_ROUNDS, ROUNDS, by_addition};

/// What each of the attacks gives from so many seeds, beginning with the first.
pub(crate) fn measure(first: u64, seeds: u64) -> Result<()> {
    println!(
        "{seeds} seeds: mean, standard deviation, least and most of the ratio; how often it holds"
    );
    let seeds = first..first.saturating_add(seeds);
    for mutation in [Mutation::None, Mutation::NoPoisson] {
        let over = |seed| -> Result<(f64, bool)> {
            let attack = Attack {
                batch: tenth()?,
                rounds: BATCH_ROUNDS,
                ..by_addition(mutation, seed)?
            };
            let verdict = attack.run()?;
            Ok((verdict.ratio(), verdict.holds()))
        };
        print(
            &format!("batch of one in ten, {mutation:?}"),
            seeds.clone(),
            over,
        )?;
    }
    for mutation in [Mutation::None].into_iter().chain(Mutation::MISTAKES) {
        if mutation == Mutation::NoPoisson {
            continue;
        }
        let over = |seed| -> Result<(f64, bool)> {
            let verdict = by_addition(mutation, seed)?.run()?;
            Ok((verdict.ratio(), verdict.holds()))
        };
        print(&format!("canary, {mutation:?}"), seeds.clone(), over)?;
    }
    for mutation in [LocalMutation::Honest]
        .into_iter()
        .chain(LocalMutation::MISTAKES)
    {
        let over = |seed| -> Result<(f64, bool)> {
            let attack = LocalAttack {
                mutation,
                rounds: ROUNDS,
                seed,
            };
            let verdict = attack.run()?;
            Ok((verdict.ratio(), verdict.holds()))
        };
        print(&format!("local, {mutation:?}"), seeds.clone(), over)?;
    }
    for mutation in [Mutation::None, Mutation::MissingShare, Mutation::DoubleClip] {
        let over = |seed| -> Result<(f64, bool)> {
            let verdict = OneRun { mutation, seed }.run()?;
            Ok((verdict.ratio(), verdict.holds()))
        };
        print(&format!("one run, {mutation:?}"), seeds.clone(), over)?;
    }
    Ok(())
}

fn print(
    name: &str,
    seeds: std::ops::Range<u64>,
    attack: impl Fn(u64) -> Result<(f64, bool)>,
) -> Result<()> {
    let begun = Instant::now();
    let found = seeds.map(attack).collect::<Result<Vec<_>>>()?;
    ensure!(!found.is_empty(), "no seeds");
    let ratios = || found.iter().map(|(ratio, _)| *ratio);
    #[expect(clippy::cast_precision_loss, reason = "some thousands of seeds")]
    let all = found.len() as f64;
    let mean = ratios().sum::<f64>() / all;
    let squares: f64 = ratios().map(|ratio| (ratio - mean).powi(2)).sum();
    println!(
        "{name:<36} {mean:.4} {:.4} {:.4} {:.4}   holds {} of {}   {:.0} s",
        (squares / (all - 1.0).max(1.0)).sqrt(),
        ratios().fold(f64::INFINITY, f64::min),
        ratios().fold(f64::NEG_INFINITY, f64::max),
        found.iter().filter(|(_, holds)| *holds).count(),
        found.len(),
        begun.elapsed().as_secs_f64(),
    );
    Ok(())
}
