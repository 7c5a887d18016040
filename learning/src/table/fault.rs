// SPDX-License-Identifier: Apache-2.0
//! Why a hospital's file does not fit the study.

use thiserror::Error;

/// Why a hospital's file does not fit the study. No variant holds the value of a cell.
#[derive(Debug, Error)]
pub enum TableFault {
    /// The bytes are not CSV in UTF-8, or cannot be read.
    #[error(
        "the data file cannot be read as CSV; save it as UTF-8 with one header line and equally many cells in each line"
    )]
    Unreadable(#[source] csv::Error),
    /// No data row, or none without missing values.
    #[error("the data file has no usable row; check that the export was complete")]
    Empty,
    /// A declared column is absent.
    #[error("the data file has no column `{column}`{}; rename the column in the file or in the study", hint(.nearest.as_deref()))]
    MissingColumn {
        /// The column as the study names it.
        column: String,
        /// The column of the file that was probably meant.
        nearest: Option<String>,
    },
    /// Two columns of one name.
    #[error("the data file has two columns `{column}`; rename one of them")]
    RepeatedColumn {
        /// The name.
        column: String,
    },
    /// A cell of a number column is not a number.
    #[error("line {line}, column `{column}`: not a number; correct the cell or leave it empty")]
    NotANumber {
        /// The line in the file; the header is line 1.
        line: u64,
        /// The column.
        column: String,
    },
    /// A cell of a category column is none of the study's levels.
    #[error(
        "line {line}, column `{column}`: not one of the levels {levels}; correct the cell or name its level in the study"
    )]
    UnknownLevel {
        /// The line in the file; the header is line 1.
        line: u64,
        /// The column.
        column: String,
        /// The values that the study names.
        levels: String,
    },
    /// A cell is missing and the study does not permit it.
    #[error(
        "line {line}, column `{column}`: the value is missing, and the study says `missing = \"refuse\"`; complete the cell"
    )]
    MissingValue {
        /// The line in the file; the header is line 1.
        line: u64,
        /// The column.
        column: String,
    },
    /// A row that belongs to nobody.
    #[error("line {line}, column `{column}`: the patient is missing; complete the cell")]
    MissingPatient {
        /// The line in the file; the header is line 1.
        line: u64,
        /// The column.
        column: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |word| format!(" (there is a column `{word}`)"))
}
