// SPDX-License-Identifier: Apache-2.0
//! From CSV text to typed columns.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use csv::{Reader, ReaderBuilder, StringRecord, Trim};

use super::{Table, TableFault, TableWarning, Values};
use crate::study::{Category, Column, ColumnKind, DataSchema, Missing, Number, nearest};

pub(super) fn read(csv: impl Read, schema: &DataSchema) -> Result<Table, TableFault> {
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
    let mut record = StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(TableFault::Unreadable)?
    {
        let line = record.position().map_or(0, csv::Position::line);
        let gap = columns
            .iter()
            .find(|column| is_missing(column.cell(&record)));
        match (gap, schema.missing) {
            (None, _) => {
                for column in &mut columns {
                    column.push(&record, line)?;
                }
                patients.push(patient, &record, line, rows)?;
                rows += 1;
            }
            (Some(_), Missing::CompleteCase) => left_out += 1,
            (Some(column), Missing::Refuse) => {
                return Err(TableFault::MissingValue {
                    line,
                    column: column.name.to_owned(),
                });
            }
        }
    }
    if rows == 0 {
        return Err(TableFault::Empty);
    }
    let mut warnings = Vec::new();
    if left_out > 0 {
        warnings.push(TableWarning::RowsLeftOut { rows: left_out });
    }
    warnings.extend(columns.iter().filter_map(Reading::warning));
    Ok(Table {
        columns: columns.into_iter().map(Reading::finish).collect(),
        patients: patients.rows,
        rows,
        warnings,
    })
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

/// One declared column while the file is read.
struct Reading<'a> {
    name: &'a str,
    position: usize,
    cells: Cells<'a>,
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

impl<'a> Reading<'a> {
    fn start(header: &StringRecord, name: &'a str, column: &'a Column) -> Result<Self, TableFault> {
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
        })
    }

    fn cell<'r>(&self, record: &'r StringRecord) -> &'r str {
        record.get(self.position).unwrap_or_default()
    }

    fn push(&mut self, record: &StringRecord, line: u64) -> Result<(), TableFault> {
        let cell = self.cell(record);
        match &mut self.cells {
            Cells::Categories {
                category,
                by_value,
                cells,
            } => {
                let level = by_value.get(cell).ok_or_else(|| TableFault::UnknownLevel {
                    line,
                    column: self.name.to_owned(),
                    levels: category.listed_values(),
                })?;
                cells.push(*level);
            }
            Cells::Numbers {
                number,
                cells,
                clipped,
            } => {
                let value = cell
                    .parse()
                    .ok()
                    .filter(|value: &f64| value.is_finite())
                    .ok_or_else(|| TableFault::NotANumber {
                        line,
                        column: self.name.to_owned(),
                    })?;
                let [low, high] = number.range;
                let within = value.clamp(low, high);
                if within != value {
                    *clipped += 1;
                }
                cells.push(within);
            }
        }
        Ok(())
    }

    fn warning(&self) -> Option<TableWarning> {
        match &self.cells {
            Cells::Numbers { clipped, .. } if *clipped > 0 => Some(TableWarning::CellsClipped {
                column: self.name.to_owned(),
                cells: *clipped,
            }),
            Cells::Numbers { .. } | Cells::Categories { .. } => None,
        }
    }

    fn finish(self) -> (String, Values) {
        let values = match self.cells {
            Cells::Categories { cells, .. } => Values::Categories(cells),
            Cells::Numbers { cells, .. } => Values::Numbers(cells),
        };
        (self.name.to_owned(), values)
    }
}

/// The rows of each patient, patients in the order of their first row.
#[derive(Default)]
struct Patients {
    by_value: HashMap<String, usize>,
    rows: Vec<Vec<usize>>,
}

impl Patients {
    fn push(
        &mut self,
        column: Option<(&str, usize)>,
        record: &StringRecord,
        line: u64,
        row: usize,
    ) -> Result<(), TableFault> {
        let Some((name, position)) = column else {
            self.rows.push(vec![row]);
            return Ok(());
        };
        let value = record.get(position).unwrap_or_default();
        if is_missing(value) {
            return Err(TableFault::MissingPatient {
                line,
                column: name.to_owned(),
            });
        }
        let next = self.rows.len();
        let patient = *self.by_value.entry(value.to_owned()).or_insert(next);
        match self.rows.get_mut(patient) {
            Some(rows) => rows.push(row),
            None => self.rows.push(vec![row]),
        }
        Ok(())
    }
}

fn reader<R: Read>(csv: R) -> Reader<R> {
    ReaderBuilder::new().trim(Trim::All).from_reader(csv)
}

fn position(header: &StringRecord, name: &str) -> Result<usize, TableFault> {
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

fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "NA" | "?")
}
