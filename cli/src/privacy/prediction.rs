// SPDX-License-Identifier: Apache-2.0
//! What a study would find in patients who do not exist.
//!
//! A population is drawn from the study's public columns and one hidden law for the outcome. The study then runs on it by the code that runs at hospitals: the task
//! contributes and advances, the privacy crate clips, quantises and adds every silo's noise. Only masks are left out.

mod population;
mod round;
mod widths;

use super::study_loss::NoisedStudy;
use anyhow::{Context, bail};
use consilium_learning::study::{ColumnKind, ModelPlan, RegressionPlan, Study};
use consilium_learning::{Step, Task};
use consilium_privacy::loss::{ClippingNorm, Epsilon};
use consilium_privacy::noise_plan::{NoisePlacement, Unit, VectorPlan, View};
use population::Population;
use serde::Serialize;
pub(super) use widths::{Width, predict_widths};

/// What the noise does to the result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Prediction {
    /// Never the study's own patients.
    pub(super) population: &'static str,
    /// From whom the model is learned.
    pub(super) patients: u64,
    /// Patients of the study besides, whom its evaluation keeps from the training.
    pub(super) held_out: u64,
    pub(super) repetitions: u32,
    pub(super) epsilon: Epsilon,
    /// What the three accuracies are parts of.
    pub(super) measure: Measure,
    /// On other synthetic patients, mean over the repetitions.
    pub(super) accuracy: f64,
    /// The same steps and clipping without noise, everybody in each.
    pub(super) accuracy_without_noise: f64,
    /// Always answering what is more frequent, or the mean.
    pub(super) accuracy_of_guessing: f64,
    /// The length of the first sum over the standard deviation of the noise's length.
    pub(super) signal_to_noise: f64,
}

/// What a model is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Measure {
    /// The part of the patients whose label is predicted.
    Correct,
    /// The part of a number's variance that the model explains, R squared; below 0 where it does worse than the mean.
    RSquared,
}

impl Prediction {
    /// On whom the study was run, in words.
    pub(super) fn population_words(&self) -> String {
        let held_out = match self.held_out {
            0 => String::new(),
            some => format!(", and {some} more who are held out for the evaluation"),
        };
        format!(
            "{} synthetic patients{held_out}, from the study's public columns and a hidden law for the outcome",
            self.patients
        )
    }
}

impl Measure {
    fn of(plan: &RegressionPlan) -> Self {
        match plan.model {
            ModelPlan::Linear => Self::RSquared,
            ModelPlan::Logistic | ModelPlan::Softmax | ModelPlan::Perceptron { .. } => {
                Self::Correct
            }
        }
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Correct => "accuracy",
            Self::RSquared => "variance explained (R squared)",
        }
    }
}

/// Runs the study on synthetic patients.
///
/// # Errors
/// When the study is no regression with noise, or its steps diverge.
pub(super) fn predict(noised: &NoisedStudy) -> anyhow::Result<Prediction> {
    let Some(plan) = noised.study.analysis.regression().cloned() else {
        bail!("accuracy is predicted for regressions only");
    };
    let (study, all) = sized(noised)?;
    let patients = trained(&study, all);
    let noise = NoisedStudy {
        study,
        silos: noised.silos,
        colluders: noised.colluders,
        colluders_assumed: noised.colluders_assumed,
    };
    let terms = noise.noise()?.terms;
    let vector = noise
        .study
        .vector_plan(noise.silos, noise.dropouts()?, noise.colluders)?;
    let mut sums = Sums::default();
    for seed in 0..u64::from(REPETITIONS) {
        let population = Population::draw(&noise.study, &plan, noise.silos, patients, seed)?;
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
        population: "synthetic: the study's public columns and a hidden law for the outcome",
        patients,
        held_out: all - patients,
        repetitions: REPETITIONS,
        epsilon: terms.epsilon,
        measure: Measure::of(&plan),
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
fn sized(noised: &NoisedStudy) -> anyhow::Result<(Study, u64)> {
    let mut study = noised.study.clone();
    let Some(terms) = study.privacy.promise_mut() else {
        bail!("accuracy is predicted for studies with noise only");
    };
    terms.expected_patients = terms.expected_patients.clamp(1, MOST_PATIENTS);
    if terms.unit == Unit::Patient {
        terms.most_patients_per_silo = terms.most_patients_per_silo.max(terms.expected_patients);
    }
    let patients = terms.expected_patients;
    Ok((study, patients))
}

/// About how many of the patients the training of the study sees.
fn trained(study: &Study, all: u64) -> u64 {
    let Some(evaluation) = &study.evaluation else {
        return all;
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of at most MOST_PATIENTS"
    )]
    let trained = (all as f64 * evaluation.trained_share()).round() as u64;
    trained.clamp(1, all)
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
    /// How good the model is on the test patients, and signal over noise in the first round.
    fn accuracy(&self, population: &Population, seed: u64) -> anyhow::Result<(f64, f64)> {
        let task = Task::new(self.study)?;
        let noise = self.vector.noise.context("a study with noise")?;
        let share = noise.multiplier(View::MasksBroken)?.value();
        let mut model = task.initial_model();
        let mut ratio = None;
        let mut round = 0;
        let last = loop {
            let seed = seed << 40 | round << 12;
            let (sum, first) = match (noise.placement, noise.unit) {
                (NoisePlacement::Shared, Unit::Silo) => {
                    let sum = self.of_silos(&task, &model, &population.silos, seed)?;
                    let first = sum.values.clone();
                    (sum, first)
                }
                (NoisePlacement::Shared, Unit::Patient) => {
                    let sum = self.shared(&task, &model, &population.training, seed)?;
                    let first = sum.values.clone();
                    (sum, first)
                }
                (NoisePlacement::Local { .. }, _) => {
                    self.local(&task, &model, &population.training, seed)?
                }
            };
            ratio.get_or_insert_with(|| {
                let silos = f64::from(noise.silos);
                // A mean of silos carries a silo's part of the noise of their sum.
                let divisor = match noise.unit {
                    Unit::Patient => 1.0,
                    Unit::Silo => silos,
                };
                let deviation = share * silos.sqrt() * self.clip.value() / divisor;
                length(&first) / (deviation * approximate(first.len()).sqrt())
            });
            round += 1;
            match task.advance(&model, &sum)? {
                Step::Continue(next) => model = next,
                Step::Trained(outcome) | Step::Finished(outcome) => break outcome,
                Step::Evaluated { .. } => bail!("the study evaluates another model"),
            }
        };
        // The result may be a mean of several models; a number's coefficients are in its own unit there.
        let mut averaged = last.model.clone();
        if let Some(regression) = last.result.regression() {
            averaged.parameters = self.in_public_units(&regression.coefficients);
        }
        let accuracy = match task.evaluate(&averaged, &population.test)? {
            Some(found) => approximate(found.correct) / approximate(found.total),
            None => {
                let squares = task.squared_residuals(&averaged, &population.test)?;
                if squares.is_empty() {
                    bail!("the study predicts nothing");
                }
                let mean = squares.iter().sum::<f64>() / approximate(squares.len());
                1.0 - mean / population.test_variance
            }
        };
        Ok((accuracy, ratio.unwrap_or_default()))
    }
}

impl Run<'_> {
    /// The parameters of a model whose coefficients a result gives: of a number, in units of its public scale.
    fn in_public_units(&self, coefficients: &[f64]) -> Vec<f64> {
        let number = self
            .study
            .analysis
            .regression()
            .filter(|plan| plan.model == ModelPlan::Linear)
            .and_then(|plan| self.study.data.columns.get(&plan.outcome));
        let mut parameters = coefficients.to_vec();
        if let Some(ColumnKind::Number(number)) = number.map(|column| &column.kind) {
            if let Some(intercept) = parameters.first_mut() {
                *intercept -= number.centre;
            }
            parameters.iter_mut().for_each(|it| *it /= number.scale);
        }
        parameters
    }
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "counts of synthetic patients")]
fn approximate(count: usize) -> f64 {
    count as f64
}

const REPETITIONS: u32 = 5;
/// More are not simulated.
pub(super) const MOST_PATIENTS: u64 = 20_000;

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
            colluders_assumed: false,
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
    fn few_silos_that_are_hidden_as_a_whole_learn_little_and_many_learn_the_law() {
        let file = include_bytes!("../../../examples/studies/private-silo.toml");
        let study = Study::parse(file).unwrap();
        let four = NoisedStudy { study, ..noised() };
        let few = predict(&four).unwrap();
        assert!(few.signal_to_noise < 1.5, "{few:?}");
        let possible = few.accuracy_without_noise - few.accuracy_of_guessing;
        assert!(possible > 0.05, "{few:?}");
        let many = predict(&four.with_silos(256)).unwrap();
        assert!(many.signal_to_noise > 2.0 * few.signal_to_noise, "{many:?}");
        assert!(many.accuracy > few.accuracy, "{many:?} {few:?}");
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
    fn numbers_and_several_labels_are_predicted_too() {
        let read = |file: &[u8]| NoisedStudy {
            study: Study::parse(file).unwrap(),
            ..noised()
        };
        let linear = read(include_bytes!(
            "../../../examples/studies/private-linear.toml"
        ));
        let found = predict(&linear).unwrap();
        assert_eq!(found.measure, Measure::RSquared);
        // The law explains a half; noise takes some of it.
        assert!(
            (0.3..0.55).contains(&found.accuracy_without_noise),
            "{found:?}"
        );
        assert!(
            found.accuracy <= found.accuracy_without_noise + 0.01
                && found.accuracy_of_guessing == 0.0
        );
        let loud = linear.with_epsilon(Epsilon::new(0.05).unwrap()).unwrap();
        assert!(
            predict(&loud).unwrap().accuracy < found.accuracy,
            "{found:?}"
        );
        for kind in [
            "\"softmax-regression\"",
            "\"neural-network\"\nhidden_units = 4",
        ] {
            let text = include_str!("../../../examples/studies/private-logistic.toml")
                .replace("\"logistic-regression\"", kind)
                .replace(", positive = \"yes\"", "");
            let found = predict(&read(text.as_bytes())).unwrap();
            assert_eq!(found.measure, Measure::Correct);
            assert!(
                found.accuracy_without_noise > found.accuracy_of_guessing,
                "{kind} {found:?}"
            );
        }
    }

    #[test]
    fn who_is_held_out_for_the_evaluation_is_not_trained_on() {
        let file = include_str!("../../../examples/studies/private-evaluated.toml");
        let read = |text: &str| NoisedStudy {
            study: Study::parse(text.as_bytes()).unwrap(),
            ..noised()
        };
        let found = predict(&read(file)).unwrap();
        // A fifth of 602.
        assert_eq!((found.patients, found.held_out), (482, 120));
        assert!(
            found
                .population_words()
                .contains("120 more who are held out")
        );
        let half = predict(&read(&file.replace("hold_out = 0.2", "hold_out = 0.5"))).unwrap();
        assert_eq!((half.patients, half.held_out), (301, 301));
        // As much noise, and fewer patients to be heard above it.
        assert!(half.signal_to_noise < found.signal_to_noise, "{half:?}");
        assert_eq!(predict(&noised()).unwrap().held_out, 0);
    }

    #[test]
    fn statistics_have_no_accuracy() {
        let file = include_bytes!("../../../examples/studies/statistics.toml");
        let study = Study::parse(file).unwrap();
        let fault = predict(&NoisedStudy { study, ..noised() }).unwrap_err();
        assert!(fault.to_string().contains("regressions only"));
    }
}
