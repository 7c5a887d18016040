// SPDX-License-Identifier: Apache-2.0
//! What is maximised: the log-likelihood of each row under a model, with its score, the gradient by the parameters.
//!
//! These run inside a silo, on its own rows, so that they may call the platform's exponential; what everybody computes
//! from a released sum may not.

use crate::study::ModelPlan;

pub mod linear;
pub mod logistic;
pub mod perceptron;
pub mod softmax;

/// What is known of a row besides its features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Whether it has the positive label.
    Binary(bool),
    /// The position of its label.
    Label(usize),
    /// Its number, standardised.
    Number(f64),
}

impl Outcome {
    /// Whether it is the positive label.
    pub fn is_positive(self) -> bool {
        matches!(self, Self::Binary(true))
    }
}

/// The model between features and outcome, with its public sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// One score for the logarithm of the odds.
    Logistic,
    /// One number, whose residual is cut at a public bound if there is one.
    Linear {
        /// The largest residual that counts.
        longest_residual: Option<f64>,
    },
    /// One score for each label.
    Softmax {
        /// Labels.
        labels: usize,
    },
    /// One hidden layer below the scores.
    Perceptron(perceptron::Shape),
}

impl Objective {
    /// The parameters for rows of `width` features.
    pub fn parameter_count(self, width: usize) -> usize {
        match self {
            Self::Logistic | Self::Linear { .. } => width,
            Self::Softmax { labels } => labels * width,
            Self::Perceptron(shape) => shape.parameter_count(width),
        }
    }

    /// The parameters of the first model, the same at everybody's.
    pub fn initial_parameters(self, width: usize) -> Vec<f64> {
        match self {
            Self::Logistic | Self::Linear { .. } | Self::Softmax { .. } => {
                vec![0.0; self.parameter_count(width)]
            }
            Self::Perceptron(shape) => shape.initial_parameters(width),
        }
    }

    /// Adds the score of one row to `into`.
    pub fn add_score(self, row: &[f64], outcome: Outcome, parameters: &[f64], into: &mut [f64]) {
        match (self, outcome) {
            (Self::Logistic, Outcome::Binary(positive)) => {
                let eta = logistic::linear_predictor(row, parameters);
                logistic::add_score(row, eta, positive, into);
            }
            (Self::Linear { longest_residual }, Outcome::Number(number)) => {
                linear::add_score(row, number, parameters, longest_residual, into);
            }
            (Self::Softmax { labels }, Outcome::Label(label)) => {
                softmax::add_score(row, label, labels, parameters, into);
            }
            (Self::Perceptron(shape), Outcome::Label(label)) => {
                shape.add_score(row, label, parameters, into);
            }
            // The design gives each objective its own kind of outcome.
            (
                Self::Logistic | Self::Linear { .. } | Self::Softmax { .. } | Self::Perceptron(_),
                _,
            ) => {}
        }
    }

    /// Adds the upper triangle of the information of one row, row by row; nothing for models that Newton's steps do not find.
    pub fn add_information(self, row: &[f64], parameters: &[f64], into: &mut [f64]) {
        match self {
            Self::Logistic => {
                logistic::add_information(row, logistic::linear_predictor(row, parameters), into);
            }
            Self::Linear { .. } => linear::add_information(row, into),
            Self::Softmax { .. } | Self::Perceptron(_) => {}
        }
    }

    /// The log-likelihood of one row; of a number, minus half the squared residual.
    pub fn log_likelihood(self, row: &[f64], outcome: Outcome, parameters: &[f64]) -> f64 {
        match (self, outcome) {
            (Self::Logistic, Outcome::Binary(positive)) => {
                logistic::log_likelihood(logistic::linear_predictor(row, parameters), positive)
            }
            (Self::Linear { .. }, Outcome::Number(number)) => {
                linear::log_likelihood(row, number, parameters)
            }
            (Self::Softmax { labels }, Outcome::Label(label)) => {
                softmax::log_probability(&softmax::scores(row, labels, parameters), label)
            }
            (Self::Perceptron(shape), Outcome::Label(label)) => {
                softmax::log_probability(&shape.scores(row, parameters), label)
            }
            (
                Self::Logistic | Self::Linear { .. } | Self::Softmax { .. } | Self::Perceptron(_),
                _,
            ) => 0.0,
        }
    }

    /// Whether the model holds the row's label for the most probable; `None` for numbers.
    pub fn is_right(self, row: &[f64], outcome: Outcome, parameters: &[f64]) -> Option<bool> {
        match (self, outcome) {
            (Self::Logistic, Outcome::Binary(positive)) => {
                Some((logistic::linear_predictor(row, parameters) > 0.0) == positive)
            }
            (Self::Softmax { labels }, Outcome::Label(label)) => {
                Some(softmax::largest(&softmax::scores(row, labels, parameters)) == Some(label))
            }
            (Self::Perceptron(shape), Outcome::Label(label)) => {
                Some(softmax::largest(&shape.scores(row, parameters)) == Some(label))
            }
            (
                Self::Logistic | Self::Linear { .. } | Self::Softmax { .. } | Self::Perceptron(_),
                _,
            ) => None,
        }
    }

    /// The names of the parameters, given those of the features and the labels of the outcome.
    pub fn names(self, features: &[String], labels: &[String]) -> Vec<String> {
        let of = |owners: &[String], names: &[String]| {
            let pairs = owners
                .iter()
                .flat_map(|owner| names.iter().map(move |name| format!("{owner}: {name}")));
            pairs.collect::<Vec<_>>()
        };
        match self {
            Self::Logistic | Self::Linear { .. } => features.to_vec(),
            Self::Softmax { .. } => of(labels, features),
            Self::Perceptron(shape) => {
                let hidden: Vec<String> = (1..=shape.hidden_units)
                    .map(|unit| format!("hidden {unit}"))
                    .collect();
                let mut names = of(&hidden, features);
                let inputs: Vec<String> = std::iter::once("intercept".to_owned())
                    .chain(hidden)
                    .collect();
                names.extend(of(labels, &inputs));
                names
            }
        }
    }

    /// Of a study's plan, for an outcome with so many labels and, under noise, this width of its range.
    pub(crate) fn of(plan: ModelPlan, labels: usize, longest_residual: Option<f64>) -> Self {
        match plan {
            ModelPlan::Logistic => Self::Logistic,
            ModelPlan::Linear => Self::Linear { longest_residual },
            ModelPlan::Softmax => Self::Softmax { labels },
            ModelPlan::Perceptron {
                hidden_units,
                initial_seed,
            } => Self::Perceptron(perceptron::Shape {
                hidden_units: usize::try_from(hidden_units).unwrap_or(usize::MAX),
                labels,
                initial_seed,
            }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every objective with an outcome for it.
    fn cases() -> Vec<(Objective, Outcome)> {
        let shape = perceptron::Shape {
            hidden_units: 4,
            labels: 3,
            initial_seed: 5,
        };
        vec![
            (Objective::Logistic, Outcome::Binary(true)),
            (Objective::Logistic, Outcome::Binary(false)),
            (
                Objective::Linear {
                    longest_residual: None,
                },
                Outcome::Number(0.7),
            ),
            (Objective::Softmax { labels: 3 }, Outcome::Label(0)),
            (Objective::Softmax { labels: 3 }, Outcome::Label(2)),
            (Objective::Perceptron(shape), Outcome::Label(1)),
            (Objective::Perceptron(shape), Outcome::Label(2)),
        ]
    }

    proptest! {
        #[test]
        fn every_score_is_the_derivative_of_its_log_likelihood(
            row in proptest::collection::vec(-2.0..2.0, 3),
            parameters in proptest::collection::vec(-1.5..1.5, 27),
        ) {
            let step = 1e-5;
            for (objective, outcome) in cases() {
                let count = objective.parameter_count(3);
                let parameters = parameters.get(..count).unwrap();
                let mut score = vec![0.0; count];
                objective.add_score(&row, outcome, parameters, &mut score);
                for (index, slope) in score.iter().enumerate() {
                    let shifted = |by: f64| {
                        let mut moved = parameters.to_vec();
                        *moved.get_mut(index).unwrap() += by;
                        objective.log_likelihood(&row, outcome, &moved)
                    };
                    let rise = (shifted(step) - shifted(-step)) / (2.0 * step);
                    prop_assert!((rise - slope).abs() < 1e-7, "{objective:?} {index}: {rise} {slope}");
                }
            }
        }

        #[test]
        fn no_score_is_longer_than_its_public_bound(
            row in proptest::collection::vec(-9.0..9.0, 3),
            parameters in proptest::collection::vec(-9.0..9.0, 9),
            label in 0..3_usize,
        ) {
            let length = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>().sqrt();
            let mut score = vec![0.0; 3];
            Objective::Logistic.add_score(&row, Outcome::Binary(label == 0), &parameters[..3], &mut score);
            prop_assert!(length(&score) <= length(&row) * (1.0 + 1e-12));
            let mut score = vec![0.0; 9];
            Objective::Softmax { labels: 3 }.add_score(&row, Outcome::Label(label), &parameters, &mut score);
            prop_assert!(length(&score) <= std::f64::consts::SQRT_2 * length(&row) * (1.0 + 1e-12));
            let mut score = vec![0.0; 3];
            let linear = Objective::Linear { longest_residual: Some(2.0) };
            linear.add_score(&row, Outcome::Number(1.0), &parameters[..3], &mut score);
            prop_assert!(length(&score) <= 2.0 * length(&row) * (1.0 + 1e-12));
        }
    }

    #[test]
    fn every_parameter_has_a_name_of_its_own() {
        let features = ["intercept", "age", "risk"].map(str::to_owned);
        let labels = ["a", "b", "c"].map(str::to_owned);
        for (objective, _) in cases() {
            let mut names = objective.names(&features, &labels);
            assert_eq!(names.len(), objective.parameter_count(3));
            names.sort();
            names.dedup();
            assert_eq!(names.len(), objective.parameter_count(3));
        }
    }

    #[test]
    fn an_outcome_of_another_kind_adds_nothing() {
        for (objective, _) in cases() {
            let count = objective.parameter_count(2);
            let mut score = vec![0.0; count];
            let other = match objective {
                Objective::Linear { .. } => Outcome::Label(0),
                Objective::Logistic | Objective::Softmax { .. } | Objective::Perceptron(_) => {
                    Outcome::Number(1.0)
                }
            };
            objective.add_score(&[1.0, 2.0], other, &vec![0.1; count], &mut score);
            assert!(score.iter().all(|value| *value == 0.0));
        }
    }
}
