// SPDX-License-Identifier: Apache-2.0
//! Heart disease where every hospital's own message is private by itself, against noise that is shared under the masks.
//!
//! Each row takes fifty noised steps in all, so that each charges every patient alike; local steps save rounds.

use anyhow::{Context, Result, bail, ensure};
use consilium_crypto::random::InsecureSeededRandom;
use consilium_learning::{Contribution, Model, Step, Study, Table, Task};
use consilium_privacy::contribution::simulated_sum;

use super::heart::{HOSPITALS, Split, tables};
use super::private::{Quality, SEEDS, Setting, figures, quality, runs, study_with, summary};

const EPSILONS: [&str; 3] = ["8", "3", "1"];
/// Rounds, and local steps in each.
const SHAPES: [(u32, u32); 3] = [(50, 1), (10, 5), (2, 25)];

/// Both modes at each epsilon; fails when local noise at epsilon 1 falls below its table by more than three standard errors.
pub(super) fn print(split: &Split) -> Result<()> {
    println!(
        "\nlocal against distributed: mean of hospitals / all patients / AUC, {SEEDS} seeds, delta 1e-3, 50 steps, clip 1"
    );
    for epsilon in EPSILONS {
        let study = study_with(epsilon, &[])?;
        let (training, tests) = (
            tables(split, &study, "train")?,
            tables(split, &study, "test")?,
        );
        let shared = runs(&study, Setting::Certified, &training, &tests, SEEDS)?;
        print_row(epsilon, "distributed, 50 x 1 step", &shared);
        for (rounds, steps) in SHAPES {
            let study = local_study(epsilon, rounds, steps)?;
            let found = (0..SEEDS)
                .map(|seed| quality(&study, &train(&study, &training, seed)?, &tests))
                .collect::<Result<Vec<_>>>()?;
            print_row(epsilon, &format!("local, {rounds} x {steps} steps"), &found);
            if (epsilon, steps) == ("1", 1) {
                for ((mean, deviation), expected) in summary(&found).into_iter().zip(LOCAL_AT_ONE) {
                    let error = deviation * (2.0_f64 / f64::from(SEEDS)).sqrt();
                    ensure!(
                        mean >= expected - 3.0 * error - 0.000_5,
                        "local noise at epsilon 1 gives {mean:.4}, and the table has {expected}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// Every silo adding its own full noise.
const LOCAL_AT_ONE: [f64; 3] = [0.808, 0.781, 0.865];

fn print_row(epsilon: &str, name: &str, found: &[Quality]) {
    let found = summary(found);
    println!(
        "{name:<28} {epsilon:>3}   {}   sd {}",
        figures(&found.map(|(mean, _)| mean)),
        figures(&found.map(|(_, deviation)| deviation)),
    );
}

fn local_study(epsilon: &str, rounds: u32, steps: u32) -> Result<Study> {
    // The mean of the models of the second half, as in the other mode.
    let last = (rounds / 2).max(1);
    study_with(
        epsilon,
        &[
            ("method = \"fedsgd\"", "method = \"fedavg\""),
            ("mode = \"distributed\"", "mode = \"local\""),
            (
                "most = 50",
                &format!("most = {rounds}\nlocal_steps = {steps}"),
            ),
            ("average_last = 25", &format!("average_last = {last}")),
        ],
    )
}

/// Trains to the end of a study with noise at every local step.
fn train(study: &Study, tables: &[Table], seed: u8) -> Result<Model> {
    let task = Task::new(study)?;
    let silos = u32::try_from(HOSPITALS.len())?;
    let plan = study.vector_plan(silos, 1, 1)?;
    let promise = study.privacy.promise().context("a noised study")?;
    let mut model = task.initial_model();
    loop {
        let mut total = vec![0_i64; task.dimension()];
        for (silo, table) in (0_u8..).zip(tables) {
            let mut key = [seed; 32];
            key[0] = silo;
            key[1..5].copy_from_slice(&model.rounds.to_le_bytes());
            let mut random = InsecureSeededRandom::from_bytes(key);
            let mut training = task.local_training(&plan, &model)?;
            while !training.is_finished() {
                let Contribution::PatientVectors { dimension, vectors } =
                    task.contribution(&training.model(), table)?
                else {
                    bail!("a local step gives one vector per patient")
                };
                let noise = training.noise();
                training.take(&simulated_sum(
                    noise,
                    promise.clip,
                    dimension,
                    vectors,
                    &mut random,
                )?)?;
            }
            let moved = total.iter_mut().zip(training.finish()?);
            moved.for_each(|(total, moved)| *total += moved);
        }
        match task.advance(&model, &task.decode(&plan, &total)?)? {
            Step::Continue(next) => model = next,
            Step::Trained(outcome) | Step::Finished(outcome) => return Ok(outcome.model),
            Step::Evaluated { .. } => bail!("the study evaluates another model"),
        }
    }
}
