// SPDX-License-Identifier: Apache-2.0
//! What a hospital should know about its own data, for its own log only.

use std::fmt;

/// What a hospital should know about its own data. It counts patients' rows: never send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableWarning {
    /// Rows were left out because a declared column was missing or did not fit.
    RowsLeftOut {
        /// How many.
        rows: usize,
    },
    /// Cells were missing or did not fit the study, and their rows were left out.
    CellsUnfit {
        /// The column.
        column: String,
        /// How many.
        cells: usize,
    },
    /// Numbers lay beyond the public range and were clipped to it.
    CellsClipped {
        /// The column.
        column: String,
        /// How many.
        cells: usize,
    },
    /// Every row has the same outcome, so that this silo alone could not learn anything.
    OneOutcomeOnly {
        /// The column of the outcome.
        column: String,
        /// The label that every row has.
        label: String,
    },
}

impl fmt::Display for TableWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RowsLeftOut { rows } => {
                write!(
                    formatter,
                    "{rows} rows were left out: a column of the study is missing in them, or holds what the study does not know"
                )
            }
            Self::CellsUnfit { column, cells } => write!(
                formatter,
                "column `{column}`: {cells} cells are missing or not what the study expects, and their rows were left out"
            ),
            Self::CellsClipped { column, cells } => write!(
                formatter,
                "column `{column}`: {cells} values were beyond the public range of the study and were clipped to it"
            ),
            Self::OneOutcomeOnly { column, label } => {
                write!(formatter, "column `{column}`: all outcomes are `{label}`")
            }
        }
    }
}
