// SPDX-License-Identifier: Apache-2.0
//! Private training in one process: the agents' clip, quantiser and noise, and what everybody makes of the sum.

use anyhow::{Context, Result, bail, ensure};
use consilium_crypto::random::InsecureSeededRandom;
use consilium_learning::{Contribution, Model, Step, Study, Table, Task};
use consilium_privacy::accountant::gaussian;
use consilium_privacy::clipping::quantise_patient;
use consilium_privacy::contribution::simulated_sum;
use consilium_privacy::loss::NoiseMultiplier;
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, VectorPlan};

use super::heart::{HOSPITALS, Split, tables};

/// Whether noise is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noise {
    /// From this seed, a stream for each silo and round.
    Seed(u8),
    /// None, but everything else.
    None,
}

/// How the noise of a study is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// No silo may drop or collude, and the multiplier is that of the continuous Gaussian.
    Exact,
    /// One may drop and one collude, and the multiplier is certified: what a study of four silos gets.
    Certified,
}

impl Setting {
    pub(super) fn plan(self, study: &Study) -> Result<VectorPlan> {
        let silos = u32::try_from(HOSPITALS.len())?;
        if self == Self::Certified {
            return Ok(study.vector_plan(silos, 1, 1)?);
        }
        let Some(promise) = study.privacy.promise() else {
            bail!("the study is not noised")
        };
        let attempts = study.attempts();
        let once = gaussian::multiplier(promise.epsilon, promise.delta);
        let dimension = u64::try_from(Task::new(study)?.dimension())?;
        let noise = NoisePlan::derive(&NoiseTerms {
            multiplier: NoiseMultiplier::new(once * f64::from(attempts).sqrt())?,
            silos,
            dropouts: 0,
            colluders: 0,
            attempts,
            patients_cap: promise.most_patients_per_silo,
            dimension,
        })?;
        Ok(VectorPlan::noised(dimension, noise)?)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Exact => "t = 0, exact Gaussian",
            Self::Certified => "t = 2, RDP certificate",
        }
    }
}

/// Trains to the end of the study.
pub(super) fn train(
    study: &Study,
    plan: &VectorPlan,
    tables: &[Table],
    noise: Noise,
) -> Result<Model> {
    let task = Task::new(study)?;
    let (Some(promise), Some(noise_plan)) = (study.privacy.promise(), &plan.noise) else {
        bail!("the study is not noised")
    };
    let mut model = task.initial_model();
    loop {
        let mut total = vec![0_i64; task.dimension()];
        for (silo, table) in (0_u8..).zip(tables) {
            let Contribution::PatientVectors { dimension, vectors } =
                task.contribution(&model, table)?
            else {
                bail!("the study is not noised")
            };
            let sums = match noise {
                Noise::Seed(seed) => {
                    let mut key = [seed; 32];
                    key[0] = silo;
                    key[1..5].copy_from_slice(&model.rounds.to_le_bytes());
                    let mut random = InsecureSeededRandom::from_bytes(key);
                    vec![simulated_sum(
                        noise_plan,
                        promise.clip,
                        dimension,
                        vectors,
                        &mut random,
                    )?]
                }
                Noise::None => vectors
                    .iter()
                    .map(|vector| quantise_patient(vector, promise.clip, noise_plan.clip_integer))
                    .collect(),
            };
            for sum in sums {
                let pairs = total.iter_mut().zip(sum);
                pairs.for_each(|(total, value)| *total += value);
            }
        }
        match task.advance(&model, &task.decode(plan, &total)?)? {
            Step::Continue(next) => model = next,
            Step::Trained(outcome) | Step::Finished(outcome) => return Ok(outcome.model),
            Step::Evaluated { .. } => bail!("the study evaluates another model"),
        }
    }
}

/// Accuracy as the mean of the hospitals and over all patients, and the area under the curve over all patients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality(pub(super) [f64; 3]);

pub(super) fn quality(study: &Study, model: &Model, tests: &[Table]) -> Result<Quality> {
    let task = Task::new(study)?;
    let (mut shares, mut all) = (Vec::new(), Vec::new());
    for table in tests {
        let scores = task.scores(model, table)?;
        let right = scores.iter().filter(|(eta, y)| (*eta > 0.0) == *y).count();
        shares.push(share(right, scores.len()));
        all.extend(scores);
    }
    let right = all.iter().filter(|(eta, y)| (*eta > 0.0) == *y).count();
    Ok(Quality([
        mean(&shares),
        share(right, all.len()),
        area_under_curve(&all),
    ]))
}

/// The probability that a positive row scores above a negative one.
fn area_under_curve(scores: &[(f64, bool)]) -> f64 {
    let (mut above, mut pairs) = (0.0, 0.0);
    for (positive, _) in scores.iter().filter(|(_, positive)| *positive) {
        for (negative, _) in scores.iter().filter(|(_, positive)| !*positive) {
            pairs += 1.0;
            above += match positive.total_cmp(negative) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    above / pairs
}

/// Mean and standard deviation of each figure over runs.
pub(super) fn summary(runs: &[Quality]) -> [(f64, f64); 3] {
    [0, 1, 2].map(|figure| {
        let values: Vec<f64> = runs
            .iter()
            .map(|Quality(figures)| figures[figure])
            .collect();
        let middle = mean(&values);
        let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a few runs")]
        let others = (values.len() as f64 - 1.0).max(1.0);
        (middle, (squares / others).sqrt())
    })
}

const EXAMPLE: &str = include_str!("../../../examples/studies/heart-private.toml");

/// The table to reach: mean of the hospitals, all patients, area under the curve.
const TABLE: [(Setting, &str, [f64; 3]); 8] = [
    (Setting::Exact, "8", [0.817, 0.781, 0.873]),
    (Setting::Exact, "3", [0.820, 0.784, 0.873]),
    (Setting::Exact, "1", [0.818, 0.786, 0.871]),
    (Setting::Exact, "0.5", [0.810, 0.782, 0.867]),
    (Setting::Certified, "8", [0.819, 0.783, 0.873]),
    (Setting::Certified, "3", [0.820, 0.786, 0.872]),
    (Setting::Certified, "1", [0.817, 0.789, 0.866]),
    (Setting::Certified, "0.5", [0.799, 0.777, 0.853]),
];
const WITHOUT_NOISE: [f64; 3] = [0.816, 0.780, 0.873];
pub(super) const SEEDS: u8 = 30;

/// Heart disease: 50 full-batch rounds at four epsilons and both settings, then the shorter study at delta 1e-5.
pub(super) fn heart(split: &Split) -> Result<()> {
    println!(
        "\nwith noise: mean of hospitals / all patients / AUC, {SEEDS} seeds, delta 1e-3, 50 rounds, clip 1"
    );
    let study = study_with("1", &[])?;
    let (training, tests) = (
        tables(split, &study, "train")?,
        tables(split, &study, "test")?,
    );
    let plan = Setting::Exact.plan(&study)?;
    let model = train(&study, &plan, &training, Noise::None)?;
    let Quality(found) = quality(&study, &model, &tests)?;
    println!(
        "{:<24} {:>7}   {}   table {}",
        "clipped only",
        "-",
        figures(&found),
        figures(&WITHOUT_NOISE)
    );
    let mut fallen = Vec::new();
    for (setting, epsilon, expected) in TABLE {
        let study = study_with(epsilon, &[])?;
        let found = summary(&runs(&study, setting, &training, &tests, SEEDS)?);
        println!(
            "{:<24} {epsilon:>7}   {}   table {}   sd {}",
            setting.words(),
            figures(&found.map(|(mean, _)| mean)),
            figures(&expected),
            figures(&found.map(|(_, deviation)| deviation)),
        );
        for ((mean, deviation), expected) in found.into_iter().zip(expected) {
            // Both are means of 30 runs; half a unit of the table's last digit is its rounding.
            if mean < expected - 3.0 * deviation * (2.0_f64 / f64::from(SEEDS)).sqrt() - 0.000_5 {
                fallen.push(format!("{} at {epsilon}: {mean:.4}", setting.words()));
            }
        }
    }
    let short = [
        ("most = 50", "most = 20"),
        ("average_last = 25", "average_last = 10"),
        ("\"1e-3\"", "\"1e-5\""),
    ];
    for setting in [Setting::Exact, Setting::Certified] {
        let study = study_with("1", &short)?;
        let found = summary(&runs(&study, setting, &training, &tests, 20)?);
        println!(
            "{:<24} {:>7}   {}   20 rounds, delta 1e-5, 20 seeds, at least .78",
            setting.words(),
            "1",
            figures(&found.map(|(mean, _)| mean)),
        );
        if found[0].0 < 0.78 {
            fallen.push(format!("{} in 20 rounds", setting.words()));
        }
    }
    ensure!(fallen.is_empty(), "below the table: {}", fallen.join(", "));
    Ok(())
}

pub(super) fn runs(
    study: &Study,
    setting: Setting,
    training: &[Table],
    tests: &[Table],
    seeds: u8,
) -> Result<Vec<Quality>> {
    let plan = setting.plan(study)?;
    (0..seeds)
        .map(|seed| {
            let model = train(study, &plan, training, Noise::Seed(seed))?;
            quality(study, &model, tests)
        })
        .collect()
}

pub(super) fn study_with(epsilon: &str, changes: &[(&str, &str)]) -> Result<Study> {
    let mut text = EXAMPLE.replace("epsilon = \"1\"", &format!("epsilon = \"{epsilon}\""));
    for (from, to) in changes {
        ensure!(text.contains(from), "`{from}` is not in the example");
        text = text.replace(from, to);
    }
    Study::parse(text.as_bytes()).context("heart-private.toml")
}

pub(super) fn figures(figures: &[f64]) -> String {
    let texts: Vec<String> = figures
        .iter()
        .map(|figure| format!("{figure:.3}"))
        .collect();
    texts.join(" / ")
}

#[expect(clippy::cast_precision_loss, reason = "test patients and runs")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[expect(clippy::cast_precision_loss, reason = "test patients")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}
