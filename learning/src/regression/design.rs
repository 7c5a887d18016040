// SPDX-License-Identifier: Apache-2.0
//! The rows of a table as a regression sees them: intercept, standardised numbers, category indicators.

use crate::objective::Outcome;
use crate::study::{Column, ColumnKind, DataSchema, Number, RegressionPlan, Scaling};
use crate::table::{Table, Values};
use crate::task::TaskFault;

/// The feature rows and outcomes of one silo.
pub(super) struct Design {
    width: usize,
    features: Vec<f64>,
    outcomes: Vec<Outcome>,
}

impl Design {
    pub(super) fn new(
        plan: &RegressionPlan,
        data: &DataSchema,
        table: &Table,
    ) -> Result<Self, TaskFault> {
        let mut columns = vec![vec![1.0; table.row_count()]];
        for name in &plan.features {
            columns.extend(feature_columns(
                name,
                declared(data, name)?,
                data.scaling,
                table,
            )?);
        }
        let mut iterators: Vec<_> = columns.iter().map(|column| column.iter()).collect();
        let mut features = Vec::with_capacity(columns.len() * table.row_count());
        for _ in 0..table.row_count() {
            features.extend(iterators.iter_mut().filter_map(Iterator::next).copied());
        }
        if let Some(longest) = plan.longest_row {
            features
                .chunks_exact_mut(columns.len())
                .for_each(|row| shorten(row, longest));
        }
        Ok(Self {
            width: columns.len(),
            features,
            outcomes: outcomes(plan, data, table)?,
        })
    }

    /// Rows that stand in no table.
    #[cfg(test)]
    pub(super) fn of_rows(width: usize, features: Vec<f64>, outcomes: Vec<Outcome>) -> Self {
        Self {
            width,
            features,
            outcomes,
        }
    }

    /// Feature rows with their outcomes.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[f64], Outcome)> {
        self.features
            .chunks_exact(self.width)
            .zip(self.outcomes.iter().copied())
    }

    /// One row, if there is one of that number.
    pub(super) fn row(&self, index: usize) -> Option<(&[f64], Outcome)> {
        let start = index.checked_mul(self.width)?;
        let row = self.features.get(start..start.checked_add(self.width)?)?;
        Some((row, *self.outcomes.get(index)?))
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The number of rows, for means.
    pub(super) fn row_count(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "no hospital has 2^53 rows")]
        let rows = self.outcomes.len() as f64;
        rows
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

fn feature_columns(
    name: &str,
    column: &Column,
    scaling: Scaling,
    table: &Table,
) -> Result<Vec<Vec<f64>>, TaskFault> {
    match (&column.kind, table.column(name)) {
        (ColumnKind::Number(number), Some(Values::Numbers(values))) => {
            let standardised = match scaling {
                Scaling::PublicRanges => {
                    let standardise = |value: &f64| number.standardise(*value);
                    values.iter().map(standardise).collect()
                }
                Scaling::PerSite => z_scores(values),
            };
            Ok(vec![standardised])
        }
        (ColumnKind::Category(category), Some(Values::Categories(values))) => {
            let labels = category.labels();
            let compared = category.compared_labels();
            let indicator = |label: &str| {
                values
                    .iter()
                    .map(|value| f64::from(u8::from(labels.get(*value) == Some(&label))))
                    .collect()
            };
            Ok(compared.into_iter().map(indicator).collect())
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

fn outcomes(
    plan: &RegressionPlan,
    data: &DataSchema,
    table: &Table,
) -> Result<Vec<Outcome>, TaskFault> {
    let declared = declared(data, &plan.outcome)?;
    match (&declared.kind, table.column(&plan.outcome), &plan.positive) {
        (ColumnKind::Category(category), Some(Values::Categories(values)), Some(positive)) => {
            let labels = category.labels();
            let positive = labels.iter().position(|label| label == positive);
            let outcome = |value: &usize| Outcome::Binary(Some(*value) == positive);
            Ok(values.iter().map(outcome).collect())
        }
        (ColumnKind::Category(_), Some(Values::Categories(values)), None) => {
            Ok(values.iter().copied().map(Outcome::Label).collect())
        }
        (ColumnKind::Number(number), Some(Values::Numbers(values)), None) => {
            let outcome = |value: &f64| Outcome::Number(number.standardise(*value));
            Ok(values.iter().map(outcome).collect())
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
