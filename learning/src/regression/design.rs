// SPDX-License-Identifier: Apache-2.0
//! The rows of a table as a regression sees them: intercept, standardised numbers, category indicators.
//!
//! A row is made when it is asked for. A category may have thousands of levels: kept, every row that fits would take room
//! for all of them, and the memory of a trainer would count the patients who fit.

use crate::objective::Outcome;
use crate::study::{Column, ColumnKind, DataSchema, Number, RegressionPlan, Scaling};
use crate::table::{Table, Values};
use crate::task::TaskFault;

/// The feature rows and outcomes of one silo.
pub(super) struct Design<'a> {
    width: usize,
    rows: usize,
    features: Vec<Feature<'a>>,
    longest_row: Option<f64>,
    outcomes: Outcomes<'a>,
}

/// One column of the table, and the features that it becomes.
enum Feature<'a> {
    Intercept,
    Number(&'a [f64], &'a Number),
    /// Standardised already, by what is in the column.
    Scores(Vec<f64>),
    Category {
        values: &'a [usize],
        /// The indicator of each label; none of the reference.
        indicators: Vec<Option<usize>>,
        compared: usize,
    },
    /// Rows that stand in no table.
    #[cfg(test)]
    Given(Vec<Vec<f64>>),
}

enum Outcomes<'a> {
    Binary(&'a [usize], Option<usize>),
    Labels(&'a [usize]),
    Numbers(&'a [f64], &'a Number),
    /// Rows that stand in no table.
    #[cfg(test)]
    Given(Vec<Outcome>),
}

impl<'a> Design<'a> {
    pub(super) fn new(
        plan: &RegressionPlan,
        data: &'a DataSchema,
        table: &'a Table,
    ) -> Result<Self, TaskFault> {
        let mut features = vec![Feature::Intercept];
        for name in &plan.features {
            features.push(feature(name, declared(data, name)?, data.scaling, table)?);
        }
        Ok(Self {
            width: features.iter().map(Feature::width).sum::<usize>(),
            rows: table.row_count(),
            features,
            longest_row: plan.longest_row,
            outcomes: outcomes(plan, data, table)?,
        })
    }

    /// Rows that stand in no table.
    #[cfg(test)]
    pub(super) fn of_rows(width: usize, features: &[f64], outcomes: Vec<Outcome>) -> Self {
        let rows = features.chunks_exact(width).map(<[f64]>::to_vec);
        Self {
            width,
            rows: outcomes.len(),
            features: vec![Feature::Given(rows.collect())],
            longest_row: None,
            outcomes: Outcomes::Given(outcomes),
        }
    }

    /// Feature rows with their outcomes.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Vec<f64>, Outcome)> {
        (0..self.rows).filter_map(|index| self.row(index))
    }

    /// One row, if there is one of that number.
    pub(super) fn row(&self, index: usize) -> Option<(Vec<f64>, Outcome)> {
        let mut row = Vec::with_capacity(self.width);
        for feature in &self.features {
            feature.add_to(&mut row, index)?;
        }
        if let Some(longest) = self.longest_row {
            shorten(&mut row, longest);
        }
        Some((row, self.outcomes.of_row(index)?))
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The number of rows, for means.
    pub(super) fn row_count(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "no hospital has 2^53 rows")]
        let rows = self.rows as f64;
        rows
    }
}

impl Feature<'_> {
    fn width(&self) -> usize {
        match self {
            Self::Intercept | Self::Number(..) | Self::Scores(_) => 1,
            Self::Category { compared, .. } => *compared,
            #[cfg(test)]
            Self::Given(rows) => rows.first().map_or(0, Vec::len),
        }
    }

    /// Appends what one row has of it; nothing when the table has no such row.
    fn add_to(&self, row: &mut Vec<f64>, index: usize) -> Option<()> {
        match self {
            Self::Intercept => row.push(1.0),
            Self::Number(values, number) => row.push(number.standardise(*values.get(index)?)),
            Self::Scores(scores) => row.push(*scores.get(index)?),
            Self::Category {
                values,
                indicators,
                compared,
            } => {
                let first = row.len();
                row.resize(first + compared, 0.0);
                let own = indicators.get(*values.get(index)?).copied().flatten();
                if let Some(place) = own.and_then(|own| row.get_mut(first + own)) {
                    *place = 1.0;
                }
            }
            #[cfg(test)]
            Self::Given(rows) => row.extend(rows.get(index)?),
        }
        Some(())
    }
}

impl Outcomes<'_> {
    fn of_row(&self, index: usize) -> Option<Outcome> {
        Some(match self {
            Self::Binary(values, positive) => {
                Outcome::Binary(Some(*values.get(index)?) == *positive)
            }
            Self::Labels(values) => Outcome::Label(*values.get(index)?),
            Self::Numbers(values, number) => {
                Outcome::Number(number.standardise(*values.get(index)?))
            }
            #[cfg(test)]
            Self::Given(outcomes) => *outcomes.get(index)?,
        })
    }
}

/// The coefficients' names: `intercept`, then one per number and one per compared label.
pub(super) fn names(plan: &RegressionPlan, data: &DataSchema) -> Result<Vec<String>, TaskFault> {
    let mut names = vec!["intercept".to_owned()];
    for feature in &plan.features {
        let column = declared(data, feature)?;
        match &column.kind {
            ColumnKind::Number(_) => {
                names.push(column.shown_as.as_ref().unwrap_or(feature).clone())
            }
            ColumnKind::Category(category) => {
                match (category.compared_labels().as_slice(), &column.shown_as) {
                    ([_], Some(shown)) => names.push(shown.clone()),
                    ([label], None) => names.push((*label).to_owned()),
                    (labels, shown) => {
                        let prefix = shown.as_ref().unwrap_or(feature);
                        names.extend(labels.iter().map(|label| format!("{prefix}: {label}")));
                    }
                }
            }
        }
    }
    Ok(names)
}

fn feature<'a>(
    name: &str,
    column: &'a Column,
    scaling: Scaling,
    table: &'a Table,
) -> Result<Feature<'a>, TaskFault> {
    match (&column.kind, table.column(name)) {
        (ColumnKind::Number(number), Some(Values::Numbers(values))) => Ok(match scaling {
            Scaling::PublicRanges => Feature::Number(values, number),
            Scaling::PerSite => Feature::Scores(z_scores(values)),
        }),
        (ColumnKind::Category(category), Some(Values::Categories(values))) => {
            let compared = category.compared_labels();
            let labels = category.labels().into_iter();
            Ok(Feature::Category {
                values,
                indicators: labels
                    .map(|label| compared.iter().position(|own| *own == label))
                    .collect(),
                compared: compared.len(),
            })
        }
        _ => Err(TaskFault::OtherTable {
            column: name.to_owned(),
        }),
    }
}

/// By the mean and the standard deviation of these values.
fn z_scores(values: &[f64]) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "no hospital has 2^53 rows")]
    let rows = values.len() as f64;
    let mean = values.iter().sum::<f64>() / rows;
    let squares: f64 = values
        .iter()
        .map(|value| (value - mean) * (value - mean))
        .sum();
    let deviation = (squares / (rows - 1.0).max(1.0)).sqrt();
    let score = |value: &f64| (value - mean) / (deviation + LEAST_DEVIATION);
    values.iter().map(score).collect()
}

/// Scales a row down to the longest norm, if it is longer.
fn shorten(row: &mut [f64], longest: f64) {
    let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length > longest {
        row.iter_mut().for_each(|value| *value *= longest / length);
    }
}

fn outcomes<'a>(
    plan: &RegressionPlan,
    data: &'a DataSchema,
    table: &'a Table,
) -> Result<Outcomes<'a>, TaskFault> {
    let declared = declared(data, &plan.outcome)?;
    match (&declared.kind, table.column(&plan.outcome), &plan.positive) {
        (ColumnKind::Category(category), Some(Values::Categories(values)), Some(positive)) => {
            let labels = category.labels();
            let positive = labels.iter().position(|label| label == positive);
            Ok(Outcomes::Binary(values, positive))
        }
        (ColumnKind::Category(_), Some(Values::Categories(values)), None) => {
            Ok(Outcomes::Labels(values))
        }
        (ColumnKind::Number(number), Some(Values::Numbers(values)), None) => {
            Ok(Outcomes::Numbers(values, number))
        }
        _ => Err(TaskFault::OtherTable {
            column: plan.outcome.clone(),
        }),
    }
}

/// The labels of the outcome; none of a number.
pub(super) fn outcome_labels(
    plan: &RegressionPlan,
    data: &DataSchema,
) -> Result<Vec<String>, TaskFault> {
    Ok(match &declared(data, &plan.outcome)?.kind {
        ColumnKind::Category(category) => {
            category.labels().into_iter().map(str::to_owned).collect()
        }
        ColumnKind::Number(_) => Vec::new(),
    })
}

/// The number that is predicted, if it is one.
pub(super) fn outcome_number<'a>(
    plan: &RegressionPlan,
    data: &'a DataSchema,
) -> Option<&'a Number> {
    match &data.columns.get(&plan.outcome)?.kind {
        ColumnKind::Number(number) => Some(number),
        ColumnKind::Category(_) => None,
    }
}

fn declared<'a>(data: &'a DataSchema, name: &str) -> Result<&'a Column, TaskFault> {
    data.columns
        .get(name)
        .ok_or_else(|| TaskFault::UndeclaredColumn {
            column: name.to_owned(),
        })
}

/// Keeps a constant column at zero.
const LEAST_DEVIATION: f64 = 1e-9;
