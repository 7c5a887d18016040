// SPDX-License-Identifier: Apache-2.0
//! Patients who do not exist: numbers around their centre, categories alike, one hidden law for the outcome.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_learning::study::{
    Analysis, Column, ColumnKind, Method, ModelPlan, Number, Optimizer, RegressionPlan, Study,
};
use consilium_learning::{Contribution, Table, Task};

use consilium_privacy::noise_plan::Unit;

use super::approximate;

/// Those who take part, and others to try the model on.
pub(super) struct Population {
    pub(super) training: Table,
    /// The same by silo, where the silo is the unit.
    pub(super) silos: Vec<Table>,
    pub(super) test: Table,
    /// What always answering the same reaches: the more frequent label, or the mean, which explains nothing.
    pub(super) guessing: f64,
    /// The mean square of the test outcomes around their mean, in units of the outcome's scale; 0 of labels.
    pub(super) test_variance: f64,
}

impl Population {
    pub(super) fn draw(
        study: &Study,
        plan: &RegressionPlan,
        silos: u32,
        patients: u64,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut random = Uniform::of(seed);
        let all = usize::try_from(patients)? + TEST_PATIENTS;
        let rows: Vec<Vec<(String, String)>> = (0..all)
            .map(|_| drawn(study, &plan.features, &mut random))
            .collect();
        let law = Law::of(study, plan)?;
        let vectors = law.feature_vectors(study, plan, &rows)?;
        let outcomes = law.outcomes(&vectors, &mut random);
        let split = all - TEST_PATIENTS;
        let part = |range: std::ops::Range<usize>| {
            let outcomes = outcomes.cells.get(range.clone()).unwrap_or_default();
            table(
                study,
                Some((plan, outcomes)),
                rows.get(range).unwrap_or_default(),
            )
        };
        let silos = match study.privacy.promise().map(|terms| terms.unit) {
            Some(Unit::Silo) => usize::try_from(silos)?.max(1),
            Some(Unit::Patient) | None => 0,
        };
        if split < silos {
            bail!("there are fewer patients than silos");
        }
        let of_silo = |silo: usize| part(silo * split / silos..(silo + 1) * split / silos);
        let test = outcomes.numbers.get(split..).unwrap_or_default();
        let (guessing, test_variance) = law.guessing(test);
        Ok(Self {
            training: part(0..split)?,
            silos: (0..silos).map(of_silo).collect::<Result<_, _>>()?,
            test: part(split..all)?,
            guessing,
            test_variance,
        })
    }
}

/// Patients for statistics: every column is drawn.
pub(super) fn patients_of(study: &Study, patients: u64, seed: u64) -> anyhow::Result<Table> {
    let mut random = Uniform::of(seed);
    let names: Vec<String> = study.data.columns.keys().cloned().collect();
    let rows: Vec<Vec<(String, String)>> = (0..patients)
        .map(|_| drawn(study, &names, &mut random))
        .collect();
    table(study, None, &rows)
}

/// How outcomes follow from features.
enum Law<'a> {
    /// Two labels by a logistic law: the values in the file of the negative and the positive one.
    Logistic([&'a str; 2]),
    /// Labels by as many linear laws: a value in the file of each.
    Softmax(Vec<&'a str>),
    /// A number of which a linear law explains a half.
    Linear(&'a Number),
}

/// An outcome of each patient.
struct Outcomes {
    /// As in a file.
    cells: Vec<String>,
    /// The place of the label, or the number in units of its scale.
    numbers: Vec<f64>,
}

impl<'a> Law<'a> {
    fn of(study: &'a Study, plan: &RegressionPlan) -> anyhow::Result<Self> {
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
    fn feature_vectors(
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

    fn outcomes(&self, vectors: &[Vec<f64>], random: &mut Uniform) -> Outcomes {
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
    fn guessing(&self, test: &[f64]) -> (f64, f64) {
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

fn drawn(study: &Study, names: &[String], random: &mut Uniform) -> Vec<(String, String)> {
    names
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
    outcomes: Option<(&RegressionPlan, &[String])>,
    rows: &[Vec<(String, String)>],
) -> anyhow::Result<Table> {
    let there = |name: &String| {
        let drawn = rows
            .first()
            .is_some_and(|row| row.iter().any(|(it, _)| it == name));
        drawn || outcomes.is_some_and(|(plan, _)| plan.outcome == *name)
    };
    // Columns that the study declares and the analysis does not use still must be there.
    let unused: Vec<(&String, String)> = study
        .data
        .columns
        .iter()
        .filter(|(name, _)| !there(name))
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
    let mut header: Vec<&str> = Vec::new();
    header.extend(outcomes.map(|(plan, _)| plan.outcome.as_str()));
    header.extend(study.data.patient.as_deref());
    header.extend(unused.iter().map(|(name, _)| name.as_str()));
    header.extend(
        rows.first()
            .into_iter()
            .flat_map(|row| row.iter().map(|(name, _)| name.as_str())),
    );
    csv.push_str(&quoted(header.into_iter()));
    for (number, row) in rows.iter().enumerate() {
        let patient = number.to_string();
        let mut cells: Vec<&str> = Vec::new();
        if let Some((_, outcomes)) = outcomes {
            cells.push(outcomes.get(number).map_or("", String::as_str));
        }
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

/// Numbers between 0 and 1.
struct Uniform(InsecureSeededRandom);

impl Uniform {
    fn of(seed: u64) -> Self {
        Self(InsecureSeededRandom::from_seed(seed))
    }

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

const TEST_PATIENTS: usize = 2_000;
const LOGIT_SPREAD: f64 = 2.0;
/// Standard deviations of an outcome within its public range.
const OUTCOME_SPREADS: f64 = 6.0;
