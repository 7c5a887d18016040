// SPDX-License-Identifier: Apache-2.0
//! The rows of synthetic patients, drawn by the study's public columns, as a hospital's file.

use std::fmt::Write as _;

use consilium_learning::Table;
use consilium_learning::study::{ColumnKind, RegressionPlan, Study};

use super::uniform::Uniform;
use crate::privacy::prediction::approximate;

/// One patient's cells in these columns.
pub(super) fn drawn(
    study: &Study,
    names: &[String],
    random: &mut Uniform,
) -> Vec<(String, String)> {
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
pub(super) fn table(
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
