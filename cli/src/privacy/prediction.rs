// SPDX-License-Identifier: Apache-2.0
//! What a study would find in patients who do not exist.
//!
//! A population is drawn from the study's public columns: numbers around their centre, categories alike, one
//! hidden logistic law for the outcome. The study then runs on it by the code that runs at hospitals: the task
//! contributes and advances, the privacy crate clips, quantises and adds every silo's noise. Only masks are left out.

mod round;

use super::study_loss::NoisedStudy;
use anyhow::{Context, bail};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_learning::study::{Analysis, ColumnKind, Method, Optimizer, RegressionPlan, Study};
use consilium_learning::{Contribution, Step, Table, Task};
use consilium_privacy::loss::{ClippingNorm, Epsilon};
use consilium_privacy::noise_plan::{NoisePlacement, VectorPlan, View};
use serde::Serialize;
use std::fmt::Write as _;

/// What the noise does to the result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Prediction {
    /// Never the study's own patients.
    pub(super) population: &'static str,
    pub(super) patients: u64,
    pub(super) repetitions: u32,
    pub(super) epsilon: Epsilon,
    /// Correct on other synthetic patients, mean over the repetitions.
    pub(super) accuracy: f64,
    /// The same steps and clipping without noise, everybody in each.
    pub(super) accuracy_without_noise: f64,
    /// Always answering what is more frequent.
    pub(super) accuracy_of_guessing: f64,
    /// The length of the first sum over the standard deviation of the noise's length.
    pub(super) signal_to_noise: f64,
}

/// Runs the study on synthetic patients.
///
/// # Errors
/// When the study is no regression with noise, or its steps diverge.
pub(super) fn predict(noised: &NoisedStudy) -> anyhow::Result<Prediction> {
    let (plan, study, patients) = sized(noised)?;
    let noise = NoisedStudy {
        study,
        silos: noised.silos,
        colluders: noised.colluders,
    };
    let terms = noise.noise()?.terms;
    let vector = noise
        .study
        .vector_plan(noise.silos, noise.dropouts()?, noise.colluders)?;
    let mut sums = Sums::default();
    for seed in 0..u64::from(REPETITIONS) {
        let population = Population::draw(&noise.study, &plan, patients, seed)?;
        let run = |with: Noise| {
            Run {
                study: &noise.study,
                vector: &vector,
                clip: terms.clip,
                rate: terms.sampling_rate.value(),
                silos: usize::try_from(noise.silos).unwrap_or(usize::MAX),
                noise: with,
            }
            .accuracy(&population, seed)
        };
        let (private, ratio) = run(Noise::Added)?;
        let (exact, _) = run(Noise::LeftOut)?;
        sums.accuracy += private;
        sums.exact += exact;
        sums.guessing += population.guessing;
        sums.ratio += ratio;
    }
    let mean = |sum: f64| sum / f64::from(REPETITIONS);
    Ok(Prediction {
        population: "synthetic: the study's public columns and a hidden logistic law",
        patients,
        repetitions: REPETITIONS,
        epsilon: terms.epsilon,
        accuracy: mean(sums.accuracy),
        accuracy_without_noise: mean(sums.exact),
        accuracy_of_guessing: mean(sums.guessing),
        signal_to_noise: mean(sums.ratio),
    })
}

#[derive(Default)]
struct Sums {
    accuracy: f64,
    exact: f64,
    guessing: f64,
    ratio: f64,
}

/// The study with as many patients as are simulated: its own expectation, or fewer where that is many.
fn sized(noised: &NoisedStudy) -> anyhow::Result<(RegressionPlan, Study, u64)> {
    let mut study = noised.study.clone();
    let Analysis::LogisticRegression(plan) = study.analysis.clone() else {
        bail!("accuracy is predicted for logistic regressions only");
    };
    let Some(terms) = study.privacy.promise_mut() else {
        bail!("accuracy is predicted for studies with noise only");
    };
    terms.expected_patients = terms.expected_patients.clamp(1, MOST_PATIENTS);
    terms.most_patients_per_silo = terms.most_patients_per_silo.max(terms.expected_patients);
    let patients = terms.expected_patients;
    Ok((plan, study, patients))
}

/// Synthetic patients: those who take part, and others to try the model on.
struct Population {
    training: Table,
    test: Table,
    guessing: f64,
}

impl Population {
    fn draw(
        study: &Study,
        plan: &RegressionPlan,
        patients: u64,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut random = Uniform(InsecureSeededRandom::from_seed(seed));
        let all = usize::try_from(patients)? + TEST_PATIENTS;
        let rows: Vec<Vec<(String, String)>> = (0..all)
            .map(|_| features(study, plan, &mut random))
            .collect();
        let mut outcomes = vec![true; all];
        // With everybody's outcome positive and no coefficients yet, a patient's score is half the features.
        let everybody = table(study, plan, &rows, &outcomes)?;
        let task = Task::new(&by_gradients(study, plan))?;
        let Contribution::PatientVectors { vectors, .. } =
            task.contribution(&task.initial_model(), &everybody)?
        else {
            bail!("the study's method gives no vector per patient");
        };
        let width = vectors.first().map_or(0, Vec::len);
        let hidden: Vec<f64> = (0..width).map(|_| random.normal()).collect();
        let logits: Vec<f64> = vectors
            .iter()
            .map(|half| half.iter().zip(&hidden).map(|(x, c)| 2.0 * x * c).sum())
            .collect();
        let mean = logits.iter().sum::<f64>() / approximate(all);
        let spread = (logits.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / approximate(all))
            .sqrt()
            .max(1e-9);
        for (outcome, logit) in outcomes.iter_mut().zip(&logits) {
            // Centred, so that neither outcome is rare, and as telling as clinical scores are.
            let logit = LOGIT_SPREAD * (logit - mean) / spread;
            *outcome = random.next() < 1.0 / (1.0 + (-logit).exp());
        }
        let split = all - TEST_PATIENTS;
        let part = |range: std::ops::Range<usize>| {
            table(
                study,
                plan,
                rows.get(range.clone()).unwrap_or_default(),
                outcomes.get(range).unwrap_or_default(),
            )
        };
        let positive = outcomes.iter().skip(split).filter(|it| **it).count();
        let share = approximate(positive) / approximate(TEST_PATIENTS);
        Ok(Self {
            training: part(0..split)?,
            test: part(split..all)?,
            guessing: share.max(1.0 - share),
        })
    }
}

/// The same study by steps along gradients, in which a patient's vector is the score alone.
fn by_gradients(study: &Study, plan: &RegressionPlan) -> Study {
    let method = Method::FedSgd {
        learning_rate: 1.0,
        average_last: 1,
        optimizer: Optimizer::Momentum(0.0),
    };
    let plan = RegressionPlan {
        method,
        ..plan.clone()
    };
    Study {
        analysis: Analysis::LogisticRegression(plan),
        ..study.clone()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Noise {
    Added,
    LeftOut,
}

/// One run of the study on a population.
struct Run<'a> {
    study: &'a Study,
    vector: &'a VectorPlan,
    clip: ClippingNorm,
    rate: f64,
    silos: usize,
    noise: Noise,
}

impl Run<'_> {
    /// Correct on the test patients, and signal over noise in the first round.
    fn accuracy(&self, population: &Population, seed: u64) -> anyhow::Result<(f64, f64)> {
        let task = Task::new(self.study)?;
        let noise = self.vector.noise.context("a study with noise")?;
        let share = noise.multiplier(View::MasksBroken)?.value();
        let mut model = task.initial_model();
        let mut ratio = None;
        let mut round = 0;
        let last = loop {
            let (sum, first) = match noise.placement {
                NoisePlacement::Shared => {
                    let sum = self.shared(&task, &model, population, seed << 40 | round << 12)?;
                    let first = sum.values.clone();
                    (sum, first)
                }
                NoisePlacement::Local { .. } => {
                    self.local(&task, &model, population, seed << 40 | round << 12)?
                }
            };
            ratio.get_or_insert_with(|| {
                let deviation = share * f64::from(noise.silos).sqrt() * self.clip.value();
                length(&first) / (deviation * approximate(first.len()).sqrt())
            });
            round += 1;
            match task.advance(&model, &sum)? {
                Step::Continue(next) => model = next,
                Step::Finished(outcome) => break outcome,
            }
        };
        // The result may be a mean of several models.
        let mut averaged = last.model.clone();
        if let Some((_, coefficients)) = last
            .result
            .parameters()
            .into_iter()
            .find(|(name, _)| name == "coefficients")
        {
            averaged.parameters = coefficients;
        }
        let Some(found) = task.evaluate(&averaged, &population.test)? else {
            bail!("the study predicts nothing");
        };
        let accuracy = approximate(found.correct) / approximate(found.total);
        Ok((accuracy, ratio.unwrap_or_default()))
    }
}

fn features(study: &Study, plan: &RegressionPlan, random: &mut Uniform) -> Vec<(String, String)> {
    plan.features
        .iter()
        .filter_map(|name| Some((name, study.data.columns.get(name)?)))
        .map(|(name, column)| {
            let value = match &column.kind {
                ColumnKind::Category(category) => {
                    let place = random.next() * approximate(category.levels.len());
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "below the number of levels"
                    )]
                    let value = category.levels.keys().nth(place as usize);
                    value.cloned().unwrap_or_default()
                }
                ColumnKind::Number(number) => {
                    let [low, high] = number.range;
                    (number.centre + number.scale * random.normal())
                        .clamp(low, high)
                        .to_string()
                }
            };
            (name.clone(), value)
        })
        .collect()
}

/// The rows as a hospital's file, read as a hospital reads it.
fn table(
    study: &Study,
    plan: &RegressionPlan,
    rows: &[Vec<(String, String)>],
    outcomes: &[bool],
) -> anyhow::Result<Table> {
    let outcome = study.data.columns.get(&plan.outcome);
    let Some(ColumnKind::Category(category)) = outcome.map(|column| &column.kind) else {
        bail!("the outcome is no category");
    };
    let value = |positive: bool| {
        category
            .levels
            .iter()
            .find(|(_, label)| (Some(*label) == plan.positive.as_ref()) == positive)
            .map_or("", |(value, _)| value)
    };
    // Columns that the study declares and the analysis does not use still must be there.
    let unused: Vec<(&String, String)> = study
        .data
        .columns
        .iter()
        .filter(|(name, _)| **name != plan.outcome && !plan.features.contains(name))
        .map(|(name, column)| {
            let value = match &column.kind {
                ColumnKind::Category(category) => {
                    category.levels.keys().next().cloned().unwrap_or_default()
                }
                ColumnKind::Number(number) => number.centre.to_string(),
            };
            (name, value)
        })
        .collect();
    let mut csv = String::new();
    let mut header: Vec<&str> = vec![plan.outcome.as_str()];
    header.extend(study.data.patient.as_deref());
    header.extend(unused.iter().map(|(name, _)| name.as_str()));
    header.extend(plan.features.iter().map(String::as_str));
    csv.push_str(&quoted(header.into_iter()));
    for (number, (row, positive)) in rows.iter().zip(outcomes).enumerate() {
        let patient = number.to_string();
        let mut cells = vec![value(*positive)];
        if study.data.patient.is_some() {
            cells.push(&patient);
        }
        cells.extend(unused.iter().map(|(_, value)| value.as_str()));
        cells.extend(row.iter().map(|(_, value)| value.as_str()));
        let _ = write!(csv, "\n{}", quoted(cells.into_iter()));
    }
    Ok(Table::read(csv.as_bytes(), &study.data)?)
}

fn quoted<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    cells
        .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")))
        .collect::<Vec<_>>()
        .join(",")
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "counts of synthetic patients")]
fn approximate(count: usize) -> f64 {
    count as f64
}

/// Numbers between 0 and 1.
struct Uniform(InsecureSeededRandom);

impl Uniform {
    fn next(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let bits = (self.0.next_u64() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }

    /// By Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.next()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.next()).cos()
    }
}

const REPETITIONS: u32 = 5;
const TEST_PATIENTS: usize = 2_000;
/// More are not simulated.
pub(super) const MOST_PATIENTS: u64 = 20_000;
const LOGIT_SPREAD: f64 = 2.0;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn noised() -> NoisedStudy {
        let file = include_bytes!("../../../examples/studies/private-logistic.toml");
        NoisedStudy {
            study: Study::parse(file).unwrap(),
            silos: 4,
            colluders: 1,
        }
    }

    #[test]
    fn the_same_study_is_predicted_the_same_and_noise_costs_something() {
        let first = predict(&noised()).unwrap();
        let again = predict(&noised()).unwrap();
        assert_eq!(first.accuracy, again.accuracy);
        assert!(first.accuracy <= first.accuracy_without_noise + 0.01);
        assert!(
            first.accuracy_without_noise > first.accuracy_of_guessing + 0.05,
            "{first:?}"
        );
    }

    #[test]
    fn newtons_steps_find_the_hidden_law_in_a_few_rounds() {
        let file = include_bytes!("../../../examples/studies/private-newton.toml");
        let study = Study::parse(file).unwrap();
        let newton = NoisedStudy { study, ..noised() };
        let quiet = predict(&newton).unwrap();
        let slow = predict(&noised()).unwrap();
        // The same patients: their outcomes follow from features, and not from what the method sends.
        assert_eq!(quiet.accuracy_of_guessing, slow.accuracy_of_guessing);
        assert!((quiet.accuracy_without_noise - slow.accuracy_without_noise).abs() < 0.02);
        assert!(quiet.accuracy > quiet.accuracy_of_guessing, "{quiet:?}");
        let loud = newton.with_epsilon(Epsilon::new(0.05).unwrap()).unwrap();
        assert!(
            predict(&loud).unwrap().accuracy < quiet.accuracy,
            "{quiet:?}"
        );
    }

    #[test]
    fn more_noise_drowns_more_of_the_signal() {
        let mut louder = noised();
        let Some(terms) = louder.study.privacy.promise_mut() else {
            panic!("no noise")
        };
        terms.epsilon = Epsilon::new(0.05).unwrap();
        let (quiet, loud) = (predict(&noised()).unwrap(), predict(&louder).unwrap());
        assert!(loud.signal_to_noise < quiet.signal_to_noise);
        assert!(loud.accuracy < quiet.accuracy, "{loud:?}");
    }

    #[test]
    fn statistics_have_no_accuracy() {
        let file = include_bytes!("../../../examples/studies/statistics.toml");
        let study = Study::parse(file).unwrap();
        let fault = predict(&NoisedStudy { study, ..noised() }).unwrap_err();
        assert!(fault.to_string().contains("logistic regressions only"));
    }
}
