// SPDX-License-Identifier: Apache-2.0
//! One declared column while a file is read: which cells fit it, and the cells that were taken.

use std::collections::BTreeMap;

use csv::StringRecord;

use super::{TableFault, TableWarning, Values};
use crate::study::{Category, Column, ColumnKind, Number, nearest};

/// One declared column while the file is read.
pub(super) struct Reading<'a> {
    pub(super) name: &'a str,
    position: usize,
    cells: Cells<'a>,
    /// Cells for which a row was left out.
    pub(super) unfit: usize,
}

enum Cells<'a> {
    Categories {
        category: &'a Category,
        by_value: BTreeMap<&'a str, usize>,
        cells: Vec<usize>,
    },
    Numbers {
        number: &'a Number,
        cells: Vec<f64>,
        clipped: usize,
    },
}

/// A cell that fits its column.
#[derive(Clone, Copy)]
pub(super) enum Cell {
    Category(usize),
    Number(f64),
}

/// Why a cell does not fit its column.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Misfit {
    Missing,
    NotANumber,
    UnknownLevel,
}

impl<'a> Reading<'a> {
    pub(super) fn start(
        header: &StringRecord,
        name: &'a str,
        column: &'a Column,
    ) -> Result<Self, TableFault> {
        let cells = match &column.kind {
            ColumnKind::Category(category) => Cells::Categories {
                category,
                by_value: category.positions(),
                cells: Vec::new(),
            },
            ColumnKind::Number(number) => Cells::Numbers {
                number,
                cells: Vec::new(),
                clipped: 0,
            },
        };
        Ok(Self {
            name,
            position: position(header, name)?,
            cells,
            unfit: 0,
        })
    }

    pub(super) fn cell(&self, record: &StringRecord) -> Result<Cell, Misfit> {
        let text = record.get(self.position).unwrap_or_default();
        if is_missing(text) {
            return Err(Misfit::Missing);
        }
        match &self.cells {
            Cells::Categories { by_value, .. } => by_value
                .get(text)
                .map(|level| Cell::Category(*level))
                .ok_or(Misfit::UnknownLevel),
            Cells::Numbers { .. } => text
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite())
                .map(Cell::Number)
                .ok_or(Misfit::NotANumber),
        }
    }

    pub(super) fn push(&mut self, cell: Cell) {
        match (&mut self.cells, cell) {
            (Cells::Categories { cells, .. }, Cell::Category(level)) => cells.push(level),
            (
                Cells::Numbers {
                    number,
                    cells,
                    clipped,
                },
                Cell::Number(value),
            ) => {
                let [low, high] = number.range;
                let within = value.clamp(low, high);
                if within != value {
                    *clipped += 1;
                }
                cells.push(within);
            }
            // A column reads cells of its own kind.
            (Cells::Categories { .. }, Cell::Number(_))
            | (Cells::Numbers { .. }, Cell::Category(_)) => {}
        }
    }

    pub(super) fn fault(&self, misfit: Misfit, line: u64) -> TableFault {
        let column = self.name.to_owned();
        match (misfit, &self.cells) {
            (Misfit::UnknownLevel, Cells::Categories { category, .. }) => {
                TableFault::UnknownLevel {
                    line,
                    column,
                    levels: category.listed_values(),
                }
            }
            (Misfit::Missing, _) => TableFault::MissingValue { line, column },
            (Misfit::NotANumber | Misfit::UnknownLevel, _) => {
                TableFault::NotANumber { line, column }
            }
        }
    }

    pub(super) fn warnings(&self) -> Vec<TableWarning> {
        let clipped = match &self.cells {
            Cells::Numbers { clipped, .. } => *clipped,
            Cells::Categories { .. } => 0,
        };
        let column = || self.name.to_owned();
        let unfit = (self.unfit > 0).then(|| TableWarning::CellsUnfit {
            column: column(),
            cells: self.unfit,
        });
        let clipped = (clipped > 0).then(|| TableWarning::CellsClipped {
            column: column(),
            cells: clipped,
        });
        unfit.into_iter().chain(clipped).collect()
    }

    pub(super) fn finish(self) -> (String, Values) {
        let values = match self.cells {
            Cells::Categories { cells, .. } => Values::Categories(cells),
            Cells::Numbers { cells, .. } => Values::Numbers(cells),
        };
        (self.name.to_owned(), values)
    }
}

pub(super) fn position(header: &StringRecord, name: &str) -> Result<usize, TableFault> {
    let mut positions = header
        .iter()
        .enumerate()
        .filter(|(_, found)| *found == name)
        .map(|(index, _)| index);
    match (positions.next(), positions.next()) {
        (Some(position), None) => Ok(position),
        (Some(_), Some(_)) => Err(TableFault::RepeatedColumn {
            column: name.to_owned(),
        }),
        (None, _) => Err(TableFault::MissingColumn {
            column: name.to_owned(),
            nearest: nearest(name, header.iter()),
        }),
    }
}

pub(super) fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "NA" | "?")
}
