// SPDX-License-Identifier: Apache-2.0
//! From CSV text to typed columns: a row's cells are all judged before any of them enters.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use csv::{Reader, ReaderBuilder, StringRecord, Trim};

use super::column::{Cell, Misfit, Reading, is_missing, position};
use super::{Table, TableFault, TableWarning};
use crate::study::{DataSchema, Missing};

/// What becomes of a row with a cell that does not fit the study.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unfit {
    /// The whole table is refused, by line and column.
    Refuses,
    /// The row is left out, and counted for the hospital alone.
    LeftOut,
}

pub(super) fn read(csv: impl Read, schema: &DataSchema, unfit: Unfit) -> Result<Table, TableFault> {
    let mut reader = reader(csv);
    let header = reader.headers().map_err(TableFault::Unreadable)?.clone();
    let mut columns = schema
        .columns
        .iter()
        .map(|(name, column)| Reading::start(&header, name, column))
        .collect::<Result<Vec<_>, _>>()?;
    let patient = schema
        .patient
        .as_deref()
        .map(|name| Ok((name, position(&header, name)?)))
        .transpose()?;

    let mut patients = Patients::default();
    let mut rows = 0;
    let mut left_out = 0;
    let mut cells = Vec::with_capacity(columns.len());
    let mut record = StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(TableFault::Unreadable)?
    {
        let line = record.position().map_or(0, csv::Position::line);
        cells.clear();
        cells.extend(columns.iter().map(|column| column.cell(&record)));
        let patient = patient.map(|(name, position)| (name, record.get(position)));
        let fits = match unfit {
            Unfit::Refuses => judged(&columns, &cells, patient, schema.missing, line)?,
            Unfit::LeftOut => counted(&mut columns, &cells, patient),
        };
        let name = patient.and_then(|(_, value)| value);
        if !fits {
            left_out += 1;
            patients.push_unfit(name);
            continue;
        }
        let fitting = cells.iter().filter_map(|cell| cell.as_ref().ok());
        for (column, cell) in columns.iter_mut().zip(fitting) {
            column.push(*cell);
        }
        patients.push(name, rows);
        rows += 1;
    }
    if rows == 0 && unfit == Unfit::Refuses {
        return Err(TableFault::Empty);
    }
    let mut warnings = Vec::new();
    if left_out > 0 {
        warnings.push(TableWarning::RowsLeftOut { rows: left_out });
    }
    warnings.extend(columns.iter().flat_map(Reading::warnings));
    Ok(Table {
        columns: columns.into_iter().map(Reading::finish).collect(),
        names: patients.names(),
        unfit: patients.unfit(),
        patients: patients.rows,
        rows,
        warnings,
    })
}

/// Whether a row takes part under the study's rule for missing values; other misfits refuse the table.
fn judged(
    columns: &[Reading],
    cells: &[Result<Cell, Misfit>],
    patient: Option<(&str, Option<&str>)>,
    missing: Missing,
    line: u64,
) -> Result<bool, TableFault> {
    let misfits = || {
        columns
            .iter()
            .zip(cells)
            .filter_map(|(column, cell)| cell.as_ref().err().map(|misfit| (column, *misfit)))
    };
    if let Some((column, _)) = misfits().find(|(_, misfit)| *misfit == Misfit::Missing) {
        return match missing {
            Missing::CompleteCase => Ok(false),
            Missing::Refuse => Err(TableFault::MissingValue {
                line,
                column: column.name.to_owned(),
            }),
        };
    }
    if let Some((column, misfit)) = misfits().next() {
        return Err(column.fault(misfit, line));
    }
    match patient {
        Some((name, value)) if is_missing(value.unwrap_or_default()) => {
            Err(TableFault::MissingPatient {
                line,
                column: name.to_owned(),
            })
        }
        Some(_) | None => Ok(true),
    }
}

/// Whether a row takes part when every misfit leaves it out.
///
/// SECURITY: the answer depends on this row alone, and nobody but the hospital hears of the counts.
fn counted(
    columns: &mut [Reading],
    cells: &[Result<Cell, Misfit>],
    patient: Option<(&str, Option<&str>)>,
) -> bool {
    let mut fits = patient.is_none_or(|(_, value)| !is_missing(value.unwrap_or_default()));
    for (column, cell) in columns.iter_mut().zip(cells) {
        if cell.is_err() {
            column.unfit += 1;
            fits = false;
        }
    }
    fits
}

pub(super) fn count_rows(csv: impl Read) -> Result<u64, TableFault> {
    let mut reader = reader(csv);
    let mut rows = 0;
    let mut record = StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(TableFault::Unreadable)?
    {
        rows += 1;
    }
    if rows == 0 {
        Err(TableFault::Empty)
    } else {
        Ok(rows)
    }
}

/// The rows of each patient, patients in the order of their first row.
#[derive(Default)]
struct Patients {
    by_value: HashMap<String, usize>,
    rows: Vec<Vec<usize>>,
    /// Of rows that were left out.
    unfit: BTreeSet<String>,
    unfit_without_value: usize,
}

impl Patients {
    /// What marks each patient, in the same order; nothing where a row is a patient of its own.
    fn names(&self) -> Vec<String> {
        let mut names = vec![String::new(); self.rows.len()];
        for (name, patient) in &self.by_value {
            if let Some(place) = names.get_mut(*patient) {
                place.clone_from(name);
            }
        }
        names
    }

    /// Who has no row that takes part.
    fn unfit(&self) -> Vec<String> {
        let named = self.unfit.iter();
        named
            .filter(|name| !self.by_value.contains_key(*name))
            .cloned()
            .chain(vec![String::new(); self.unfit_without_value])
            .collect()
    }

    /// A row that is left out.
    fn push_unfit(&mut self, patient: Option<&str>) {
        match patient {
            Some(value) if is_missing(value) => {}
            Some(value) if self.unfit.contains(value) => {}
            Some(value) => {
                self.unfit.insert(value.to_owned());
            }
            None => self.unfit_without_value += 1,
        }
    }

    /// A row of the patient of this value; without one, of a patient of its own.
    fn push(&mut self, patient: Option<&str>, row: usize) {
        let Some(value) = patient else {
            self.rows.push(vec![row]);
            return;
        };
        let next = self.rows.len();
        let patient = *self.by_value.entry(value.to_owned()).or_insert(next);
        match self.rows.get_mut(patient) {
            Some(rows) => rows.push(row),
            None => self.rows.push(vec![row]),
        }
    }
}

fn reader<R: Read>(csv: R) -> Reader<R> {
    ReaderBuilder::new().trim(Trim::All).from_reader(csv)
}
