// SPDX-License-Identifier: Apache-2.0
//! One silo's data, typed by the study's columns and grouped by patient.
//!
//! Rules: a cell is missing when it is empty, `NA` or `?`; only declared columns are looked at;
//! numbers beyond the public range are clipped to it; everything else that does not fit refuses the
//! whole table. Faults name line and column and never repeat the value of a cell.

use std::collections::BTreeMap;
use std::io::Read;

use crate::study::DataSchema;

pub use fault::TableFault;
pub use warning::TableWarning;

mod fault;
mod read;
mod warning;

/// One silo's rows, column by column.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    columns: BTreeMap<String, Values>,
    patients: Vec<Vec<usize>>,
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
    /// Reads a CSV file with a header line.
    ///
    /// # Errors
    /// [`TableFault`] names the line and the column that do not fit the study.
    pub fn read(csv: impl Read, schema: &DataSchema) -> Result<Self, TableFault> {
        read::read(csv, schema)
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

    /// What the hospital should know about its data. They hold counts of patients' rows: for the
    /// hospital's own log only.
    pub fn warnings(&self) -> &[TableWarning] {
        &self.warnings
    }
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
