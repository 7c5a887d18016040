// SPDX-License-Identifier: Apache-2.0
//! In which cell of the histogram a patient falls.
//!
//! Of several rows of one patient the mean of the predictions counts, and the label that most of the rows have.

use crate::objective::{Objective, Outcome, logistic, softmax};
use crate::study::{ColumnKind, DataSchema, Evaluation, HALF, ModelPlan, RegressionPlan};
use crate::task::TaskFault;

/// The cells of one study's histogram.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cells {
    /// Bins of the probability of the second of two labels: of those with the first label, then of those with the second.
    Probabilities {
        /// The labels; the second is the one whose probability it is.
        labels: [String; 2],
        /// Inner edges of the bins.
        edges: Vec<f64>,
    },
    /// Wrong and right for each label.
    Labels(Vec<String>),
    /// Bins of how far off a predicted number is.
    Distances {
        /// Inner edges of the bins, as parts of the longest distance.
        edges: Vec<f64>,
        /// The longest distance, in units of the objective: the width of the public range.
        longest: f64,
        /// The number's own units in one unit of the objective.
        scale: f64,
        /// The lowest and highest number that is predicted, in units of the objective.
        range: [f64; 2],
    },
}

impl Cells {
    pub(super) fn of(
        plan: &Evaluation,
        regression: &RegressionPlan,
        data: &DataSchema,
    ) -> Result<Self, TaskFault> {
        let undeclared = || TaskFault::UndeclaredColumn {
            column: regression.outcome.clone(),
        };
        let column = data
            .columns
            .get(&regression.outcome)
            .ok_or_else(undeclared)?;
        let edges = plan.edges.clone();
        match (&column.kind, regression.model) {
            (ColumnKind::Number(number), ModelPlan::Linear) => {
                let [low, high] = number.range;
                Ok(Self::Distances {
                    edges,
                    longest: number.standard_width(),
                    scale: number.scale,
                    range: [number.standardise(low), number.standardise(high)],
                })
            }
            (ColumnKind::Category(category), ModelPlan::Logistic) => {
                let positive = regression.positive.clone().ok_or_else(undeclared)?;
                let labels = category.labels();
                let others: Vec<&str> = labels
                    .into_iter()
                    .filter(|label| *label != positive)
                    .collect();
                Ok(Self::Probabilities {
                    labels: [others.join(" or "), positive],
                    edges,
                })
            }
            (ColumnKind::Category(category), ModelPlan::Softmax | ModelPlan::Perceptron { .. }) => {
                let labels = category.labels();
                Ok(match labels.as_slice() {
                    [first, second] => Self::Probabilities {
                        labels: [(*first).to_owned(), (*second).to_owned()],
                        edges,
                    },
                    _ => Self::Labels(labels.into_iter().map(str::to_owned).collect()),
                })
            }
            (ColumnKind::Number(_) | ColumnKind::Category(_), _) => Err(undeclared()),
        }
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Self::Probabilities { edges, .. } => 2 * (edges.len() + 1),
            Self::Labels(labels) => 2 * labels.len(),
            Self::Distances { edges, .. } => edges.len() + 1,
        }
    }

    /// The cell of the patient with these rows. Every patient has one, whatever the model predicts.
    pub(super) fn of_patient(
        &self,
        objective: Objective,
        rows: impl Iterator<Item = (Vec<f64>, Outcome)>,
        parameters: &[f64],
    ) -> usize {
        match self {
            Self::Probabilities { edges, .. } => {
                let (mut probability, mut second, mut count) = (0.0, 0.0, 0.0);
                for (row, outcome) in rows {
                    probability += second_label(objective, &row, parameters);
                    second += match outcome {
                        Outcome::Binary(true) | Outcome::Label(1) => 1.0,
                        Outcome::Binary(false) | Outcome::Label(_) | Outcome::Number(_) => 0.0,
                    };
                    count += 1.0;
                }
                let bin = bin(edges, probability / count);
                if second / count >= HALF {
                    bin + edges.len() + 1
                } else {
                    bin
                }
            }
            Self::Labels(labels) => {
                let mut probabilities = vec![0.0; labels.len()];
                let mut votes = vec![0.0; labels.len()];
                for (row, outcome) in rows {
                    let scores = softmax::probabilities(&scores(objective, &row, parameters));
                    for (sum, probability) in probabilities.iter_mut().zip(scores) {
                        *sum += probability;
                    }
                    if let Outcome::Label(label) = outcome
                        && let Some(votes) = votes.get_mut(label)
                    {
                        *votes += 1.0;
                    }
                }
                let label = softmax::largest(&votes).unwrap_or(0);
                let is_right = softmax::largest(&probabilities) == Some(label);
                2 * label + usize::from(is_right)
            }
            Self::Distances {
                edges,
                longest,
                range: [low, high],
                ..
            } => {
                let (mut distance, mut count) = (0.0, 0.0);
                for (row, outcome) in rows {
                    if let Outcome::Number(number) = outcome {
                        let predicted =
                            logistic::linear_predictor(&row, parameters).clamp(*low, *high);
                        distance += (number - predicted).abs();
                        count += 1.0;
                    }
                }
                bin(edges, distance / count / longest)
            }
        }
    }
}

/// The number of inner edges at or below a score; 0 for what is no number.
fn bin(edges: &[f64], score: f64) -> usize {
    edges.iter().take_while(|edge| score >= **edge).count()
}

fn second_label(objective: Objective, row: &[f64], parameters: &[f64]) -> f64 {
    match objective {
        Objective::Logistic => logistic::probability(logistic::linear_predictor(row, parameters)),
        Objective::Softmax { .. } | Objective::Perceptron(_) | Objective::Linear { .. } => {
            let probabilities = softmax::probabilities(&scores(objective, row, parameters));
            probabilities.get(1).copied().unwrap_or(0.0)
        }
    }
}

fn scores(objective: Objective, row: &[f64], parameters: &[f64]) -> Vec<f64> {
    match objective {
        Objective::Softmax { labels } => softmax::scores(row, labels, parameters),
        Objective::Perceptron(shape) => shape.scores(row, parameters),
        // The design gives these other cells.
        Objective::Logistic | Objective::Linear { .. } => Vec::new(),
    }
}
