// SPDX-License-Identifier: Apache-2.0
//! One silo's data, typed by the study's columns and grouped by patient.
//!
//! Rules: a cell is missing when it is empty, `NA` or `?`; only declared columns are looked at;
//! numbers beyond the public range are clipped to it. Without noise, everything else that does not fit refuses the
//! whole table; faults name line and column and never repeat the value of a cell.
//!
//! SECURITY: with noise no cell refuses anything. A row with a missing cell, an unknown level, a text where a number
//! belongs or no patient is left out, whatever the study says about missing values: whether a table was refused would
//! otherwise tell exactly, and uncharged, what single patients have. What a patient contributes then depends on that
//! patient's rows only, and a patient without a row left contributes zero.

use std::collections::BTreeMap;
use std::io::Read;

use crate::study::{DataSchema, Study};

use read::Unfit;

pub use fault::TableFault;
pub use warning::TableWarning;

mod column;
mod fault;
mod read;
mod warning;

/// One silo's rows, column by column.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    columns: BTreeMap<String, Values>,
    patients: Vec<Vec<usize>>,
    /// The value that marks each patient's rows; no text where every row is a patient.
    names: Vec<String>,
    /// The same of patients without a row that takes part.
    unfit: Vec<String>,
    rows: usize,
    warnings: Vec<TableWarning>,
}

/// The cells of one column, in the order of the rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Positions in [`crate::study::Category::labels`].
    Categories(Vec<usize>),
    /// Numbers within the public range, not yet standardised.
    Numbers(Vec<f64>),
}

impl Table {
    /// Reads a CSV file with a header line as this study may: with noise no cell refuses it.
    ///
    /// # Errors
    /// [`TableFault`]: with noise, the header alone decides.
    pub fn of_study(csv: impl Read, study: &Study) -> Result<Self, TableFault> {
        let unfit = if study.is_noised() {
            Unfit::LeftOut
        } else {
            Unfit::Refuses
        };
        read::read(csv, &study.data, unfit)
    }

    /// Reads a CSV file with a header line and refuses what does not fit, by line and column: for a study without noise,
    /// and for a hospital that looks at its own data.
    ///
    /// # Errors
    /// [`TableFault`] names the line and the column that do not fit the study.
    pub fn read(csv: impl Read, schema: &DataSchema) -> Result<Self, TableFault> {
        read::read(csv, schema, Unfit::Refuses)
    }

    /// The cells of a column, if the study declares it.
    pub fn column(&self, name: &str) -> Option<&Values> {
        self.columns.get(name)
    }

    /// Rows that take part.
    pub fn row_count(&self) -> usize {
        self.rows
    }

    /// Patients with at least one row that takes part.
    pub fn patient_count(&self) -> usize {
        self.patients.len()
    }

    /// The rows of each patient, in the order in which patients appear in the file.
    pub fn patients(&self) -> &[Vec<usize>] {
        &self.patients
    }

    /// The value that marks each patient without a row that takes part.
    pub(crate) fn unfit_patients(&self) -> &[String] {
        &self.unfit
    }

    /// The rows of each patient with the value that marks them.
    pub(crate) fn named_patients(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let names = self.names.iter().map(String::as_str);
        names.zip(self.patients.iter().map(Vec::as_slice))
    }

    /// The table of those patients whose names are asked for.
    #[must_use]
    pub fn of_patients(&self, asked: impl Fn(&str) -> bool) -> Self {
        let pairs = self.names.iter().zip(&self.patients);
        let mut part = Self {
            columns: BTreeMap::new(),
            patients: Vec::new(),
            names: Vec::new(),
            unfit: self
                .unfit
                .iter()
                .filter(|name| asked(name))
                .cloned()
                .collect(),
            rows: 0,
            warnings: Vec::new(),
        };
        let mut kept = Vec::new();
        for (name, rows) in pairs.filter(|(name, _)| asked(name)) {
            part.names.push(name.clone());
            let first = kept.len();
            kept.extend(rows);
            part.patients.push((first..kept.len()).collect());
        }
        part.rows = kept.len();
        let columns = self.columns.iter();
        part.columns = columns
            .map(|(name, values)| (name.clone(), values.at(&kept)))
            .collect();
        part
    }

    /// What the hospital should know about its data. They hold counts of patients' rows: for the
    /// hospital's own log only.
    pub fn warnings(&self) -> &[TableWarning] {
        &self.warnings
    }
}

impl Values {
    /// The cells of these rows.
    fn at(&self, rows: &[usize]) -> Self {
        match self {
            Self::Categories(cells) => Self::Categories(
                rows.iter()
                    .filter_map(|row| cells.get(*row))
                    .copied()
                    .collect(),
            ),
            Self::Numbers(cells) => Self::Numbers(
                rows.iter()
                    .filter_map(|row| cells.get(*row))
                    .copied()
                    .collect(),
            ),
        }
    }
}

/// Whether a cell is missing: empty, `NA` or `?`.
pub fn is_missing(cell: &str) -> bool {
    column::is_missing(cell)
}

/// Counts the data rows of a CSV file, as a hospital registers it.
///
/// # Errors
/// [`TableFault`] when the file is not CSV with a header line or has no row.
pub fn count_rows(csv: impl Read) -> Result<u64, TableFault> {
    read::count_rows(csv)
}

#[cfg(test)]
mod tests;
