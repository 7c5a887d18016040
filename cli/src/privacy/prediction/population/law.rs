// SPDX-License-Identifier: Apache-2.0
//! The hidden law by which the outcomes of synthetic patients follow from their features.

use anyhow::{Context, bail};
use consilium_learning::study::{
    Analysis, Column, ColumnKind, Method, ModelPlan, Number, Optimizer, RegressionPlan, Study,
};
use consilium_learning::{Contribution, Task};
use consilium_privacy::noise_plan::Unit;

use super::file::table;
use super::uniform::Uniform;
use crate::privacy::prediction::approximate;

/// How outcomes follow from features.
pub(super) enum Law<'a> {
    /// Two labels by a logistic law: the values in the file of the negative and the positive one.
    Logistic([&'a str; 2]),
    /// Labels by as many linear laws: a value in the file of each.
    Softmax(Vec<&'a str>),
    /// A number of which a linear law explains a half.
    Linear(&'a Number),
}

/// An outcome of each patient.
pub(super) struct Outcomes {
    /// As in a file.
    pub(super) cells: Vec<String>,
    /// The place of the label, or the number in units of its scale.
    pub(super) numbers: Vec<f64>,
}

impl<'a> Law<'a> {
    pub(super) fn of(study: &'a Study, plan: &RegressionPlan) -> anyhow::Result<Self> {
        let column: &Column = study
            .data
            .columns
            .get(&plan.outcome)
            .context("an outcome without a column")?;
        Ok(match (&column.kind, plan.model) {
            (ColumnKind::Number(number), ModelPlan::Linear) => Self::Linear(number),
            (ColumnKind::Category(category), ModelPlan::Logistic) => {
                let value = |positive: bool| {
                    let mut levels = category.levels.iter();
                    let found = levels
                        .find(|(_, label)| (Some(*label) == plan.positive.as_ref()) == positive);
                    found.map_or("", |(value, _)| value)
                };
                Self::Logistic([value(false), value(true)])
            }
            (ColumnKind::Category(category), ModelPlan::Softmax | ModelPlan::Perceptron { .. }) => {
                let value = |label: &&str| {
                    let mut levels = category.levels.iter();
                    let found = levels.find(|(_, other)| other == label);
                    found.map_or("", |(value, _)| value.as_str())
                };
                Self::Softmax(category.labels().iter().map(value).collect())
            }
            (ColumnKind::Number(_) | ColumnKind::Category(_), _) => {
                bail!("the outcome does not fit the model")
            }
        })
    }

    /// The rows as a model sees them: the score at no coefficients, with one outcome for everybody, is a multiple of it.
    pub(super) fn feature_vectors(
        &self,
        study: &Study,
        plan: &RegressionPlan,
        rows: &[Vec<(String, String)>],
    ) -> anyhow::Result<Vec<Vec<f64>>> {
        let (cell, factor, blocks) = match self {
            Self::Logistic([_, positive]) => ((*positive).to_owned(), 0.5, 1),
            Self::Softmax(values) => {
                let share = 1.0 / approximate(values.len());
                let first = values.first().copied().unwrap_or_default();
                (first.to_owned(), 1.0 - share, values.len())
            }
            Self::Linear(number) => {
                // The end that is farther from the centre: a residual of 0 would tell nothing.
                let [low, high] = number.range;
                let (low_units, high_units) = (number.standardise(low), number.standardise(high));
                if low_units.abs() > high_units.abs() {
                    (low.to_string(), low_units, 1)
                } else {
                    (high.to_string(), high_units, 1)
                }
            }
        };
        let cells = vec![cell; rows.len()];
        let everybody = table(study, Some((plan, cells.as_slice())), rows)?;
        let task = Task::new(&by_gradients(study, plan))?;
        let Contribution::PatientVectors { vectors, .. } =
            task.contribution(&task.initial_model(), &everybody)?
        else {
            bail!("the study's method gives no vector per patient");
        };
        Ok(vectors
            .into_iter()
            .map(|vector| {
                let width = vector.len() / blocks;
                vector
                    .iter()
                    .take(width)
                    .map(|value| value / factor)
                    .collect()
            })
            .collect())
    }

    pub(super) fn outcomes(&self, vectors: &[Vec<f64>], random: &mut Uniform) -> Outcomes {
        match self {
            Self::Logistic(values) => {
                // Centred, so that neither outcome is rare, and as telling as clinical scores are.
                let logits = scores(vectors, random);
                let drawn = logits.iter().map(|logit| {
                    let logit = LOGIT_SPREAD * logit;
                    random.next() < 1.0 / (1.0 + (-logit).exp())
                });
                let positive: Vec<usize> = drawn.map(usize::from).collect();
                labelled(values, &positive)
            }
            Self::Softmax(values) => {
                let logits: Vec<Vec<f64>> =
                    values.iter().map(|_| scores(vectors, random)).collect();
                let chosen: Vec<usize> = (0..vectors.len())
                    .map(|patient| {
                        let weights: Vec<f64> = logits
                            .iter()
                            .filter_map(|logits| logits.get(patient))
                            .map(|logit| (LOGIT_SPREAD * logit).exp())
                            .collect();
                        let mut left = random.next() * weights.iter().sum::<f64>();
                        let found = weights.iter().position(|weight| {
                            left -= weight;
                            left < 0.0
                        });
                        found.unwrap_or_default()
                    })
                    .collect();
                labelled(values, &chosen)
            }
            Self::Linear(number) => {
                let [low, high] = number.range;
                let (middle, spread) = (f64::midpoint(low, high), (high - low) / OUTCOME_SPREADS);
                let values: Vec<f64> = scores(vectors, random)
                    .iter()
                    .map(|score| {
                        let mixed = (score + random.normal()) * std::f64::consts::FRAC_1_SQRT_2;
                        (middle + spread * mixed).clamp(low, high)
                    })
                    .collect();
                Outcomes {
                    cells: values.iter().map(ToString::to_string).collect(),
                    numbers: values
                        .iter()
                        .map(|value| number.standardise(*value))
                        .collect(),
                }
            }
        }
    }

    /// What always answering the same reaches on the test patients, and the variance of their outcomes.
    pub(super) fn guessing(&self, test: &[f64]) -> (f64, f64) {
        let count = approximate(test.len());
        match self {
            Self::Linear(_) => {
                let mean = test.iter().sum::<f64>() / count;
                let squares = test.iter().map(|value| (value - mean).powi(2));
                (0.0, squares.sum::<f64>() / count)
            }
            Self::Logistic(_) | Self::Softmax(_) => {
                let most = test
                    .iter()
                    .map(|label| test.iter().filter(|other| *other == label).count())
                    .max();
                (approximate(most.unwrap_or_default()) / count, 0.0)
            }
        }
    }
}

fn labelled(values: &[&str], chosen: &[usize]) -> Outcomes {
    Outcomes {
        cells: chosen
            .iter()
            .map(|place| values.get(*place).copied().unwrap_or_default().to_owned())
            .collect(),
        numbers: chosen.iter().map(|place| approximate(*place)).collect(),
    }
}

/// A hidden linear law of the features, with mean 0 and variance 1 over all patients.
fn scores(vectors: &[Vec<f64>], random: &mut Uniform) -> Vec<f64> {
    let width = vectors.first().map_or(0, Vec::len);
    let hidden: Vec<f64> = (0..width).map(|_| random.normal()).collect();
    let raw: Vec<f64> = vectors
        .iter()
        .map(|row| row.iter().zip(&hidden).map(|(x, c)| x * c).sum())
        .collect();
    let count = approximate(raw.len());
    let mean = raw.iter().sum::<f64>() / count;
    let variance = raw.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / count;
    let spread = variance.sqrt().max(1e-9);
    raw.iter().map(|score| (score - mean) / spread).collect()
}

/// The same study by steps along gradients, in which a patient's vector is the score alone.
fn by_gradients(study: &Study, plan: &RegressionPlan) -> Study {
    let model = match plan.model {
        ModelPlan::Perceptron { .. } => ModelPlan::Softmax,
        model => model,
    };
    let plan = RegressionPlan {
        method: Method::FedSgd {
            learning_rate: 1.0,
            average_last: 1,
            optimizer: Optimizer::Momentum(0.0),
        },
        model,
        ..plan.clone()
    };
    let mut study = Study {
        analysis: match model {
            ModelPlan::Logistic => Analysis::LogisticRegression(plan),
            ModelPlan::Linear => Analysis::LinearRegression(plan),
            ModelPlan::Softmax | ModelPlan::Perceptron { .. } => Analysis::SoftmaxRegression(plan),
        },
        evaluation: None,
        ..study.clone()
    };
    if let Some(terms) = study.privacy.promise_mut() {
        terms.unit = Unit::Patient;
    }
    study
}

const LOGIT_SPREAD: f64 = 2.0;
/// Standard deviations of an outcome within its public range.
const OUTCOME_SPREADS: f64 = 6.0;
