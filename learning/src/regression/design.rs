// SPDX-License-Identifier: Apache-2.0
//! The rows of a table as a regression sees them: intercept, standardised numbers, category indicators.

use crate::study::{Column, ColumnKind, DataSchema, RegressionPlan};
use crate::table::{Table, Values};
use crate::task::TaskFault;

/// The feature rows and outcomes of one silo.
pub(super) struct Design {
    width: usize,
    features: Vec<f64>,
    outcomes: Vec<bool>,
}

impl Design {
    pub(super) fn new(
        plan: &RegressionPlan,
        data: &DataSchema,
        table: &Table,
    ) -> Result<Self, TaskFault> {
        let mut columns = vec![vec![1.0; table.row_count()]];
        for name in &plan.features {
            columns.extend(feature_columns(name, declared(data, name)?, table)?);
        }
        let mut iterators: Vec<_> = columns.iter().map(|column| column.iter()).collect();
        let mut features = Vec::with_capacity(columns.len() * table.row_count());
        for _ in 0..table.row_count() {
            features.extend(iterators.iter_mut().filter_map(Iterator::next).copied());
        }
        Ok(Self {
            width: columns.len(),
            features,
            outcomes: outcomes(plan, data, table)?,
        })
    }

    /// Feature rows with their outcomes.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[f64], bool)> {
        self.features
            .chunks_exact(self.width)
            .zip(self.outcomes.iter().copied())
    }

    /// One row, if there is one of that number.
    pub(super) fn row(&self, index: usize) -> Option<(&[f64], bool)> {
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

fn feature_columns(name: &str, column: &Column, table: &Table) -> Result<Vec<Vec<f64>>, TaskFault> {
    match (&column.kind, table.column(name)) {
        (ColumnKind::Number(number), Some(Values::Numbers(values))) => Ok(vec![
            values
                .iter()
                .map(|value| number.standardise(*value))
                .collect(),
        ]),
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

fn outcomes(
    plan: &RegressionPlan,
    data: &DataSchema,
    table: &Table,
) -> Result<Vec<bool>, TaskFault> {
    match (
        &declared(data, &plan.outcome)?.kind,
        table.column(&plan.outcome),
    ) {
        (ColumnKind::Category(category), Some(Values::Categories(values))) => {
            let positive = category
                .labels()
                .iter()
                .position(|label| *label == plan.positive);
            Ok(values
                .iter()
                .map(|value| Some(*value) == positive)
                .collect())
        }
        _ => Err(TaskFault::OtherTable {
            column: plan.outcome.clone(),
        }),
    }
}

fn declared<'a>(data: &'a DataSchema, name: &str) -> Result<&'a Column, TaskFault> {
    data.columns
        .get(name)
        .ok_or_else(|| TaskFault::UndeclaredColumn {
            column: name.to_owned(),
        })
}
