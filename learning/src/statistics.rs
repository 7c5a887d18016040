// SPDX-License-Identifier: Apache-2.0
//! Contingency tables, moments and histograms: one round of sums over rows.
//!
//! The vector holds, in the order of the study: the cells of every table, row by row; for every
//! moment the rows, the sum and the sum of squares of the standardised number; the bins of every
//! histogram. With noise, a patient's rows together make one vector under one joint L2 bound.

use crate::contribution::Contribution;
use crate::result::{ContingencyTable, Count, Histogram, Moments, StatisticsResult};
use crate::study::{Column, ColumnKind, DataSchema, Number, Privacy, StatisticsPlan, Study};
use crate::table::{Table, Values};
use crate::task::TaskFault;

/// The statistics of one study.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    blocks: Vec<Block>,
    noised: bool,
}

/// One statistic, with all that the study says about its columns.
#[derive(Clone, Debug)]
enum Block {
    Table {
        rows: Labelled,
        columns: Labelled,
    },
    Moments {
        column: String,
        number: Number,
    },
    Histogram {
        column: String,
        number: Number,
        edges: Vec<f64>,
    },
}

#[derive(Clone, Debug)]
struct Labelled {
    column: String,
    labels: Vec<String>,
}

impl Statistics {
    pub(crate) fn new(plan: &StatisticsPlan, study: &Study) -> Result<Self, TaskFault> {
        let data = &study.data;
        let mut blocks = Vec::new();
        for table in &plan.tables {
            blocks.push(Block::Table {
                rows: Labelled::of(data, &table.rows)?,
                columns: Labelled::of(data, &table.columns)?,
            });
        }
        for moment in &plan.moments {
            blocks.push(Block::Moments {
                column: moment.column.clone(),
                number: number(data, &moment.column)?.clone(),
            });
        }
        for histogram in &plan.histograms {
            blocks.push(Block::Histogram {
                column: histogram.column.clone(),
                number: number(data, &histogram.column)?.clone(),
                edges: histogram.edges.clone(),
            });
        }
        Ok(Self {
            blocks,
            noised: !matches!(study.privacy, Privacy::None),
        })
    }

    pub(crate) fn dimension(&self) -> usize {
        self.blocks.iter().map(Block::width).sum()
    }

    pub(crate) fn contribution(&self, table: &Table) -> Result<Contribution, TaskFault> {
        let bound: Vec<Bound<'_>> = self
            .blocks
            .iter()
            .map(|block| block.bind(table))
            .collect::<Result<_, _>>()?;
        let add_row = |row: usize, into: &mut [f64]| {
            let mut rest = into;
            for (block, bound) in self.blocks.iter().zip(&bound) {
                let Some((part, after)) = rest.split_at_mut_checked(block.width()) else {
                    return;
                };
                bound.add(row, part);
                rest = after;
            }
        };
        let dimension = self.dimension();
        Ok(if self.noised {
            let vector = |rows: &Vec<usize>| {
                let mut vector = vec![0.0; dimension];
                rows.iter().for_each(|row| add_row(*row, &mut vector));
                vector
            };
            Contribution::PatientVectors {
                dimension,
                vectors: table.patients().iter().map(vector).collect(),
            }
        } else {
            let mut sum = vec![0.0; dimension];
            (0..table.row_count()).for_each(|row| add_row(row, &mut sum));
            Contribution::Sum(sum)
        })
    }

    pub(crate) fn result(&self, sum: &[f64]) -> StatisticsResult {
        let mut result = StatisticsResult {
            tables: Vec::new(),
            moments: Vec::new(),
            histograms: Vec::new(),
        };
        let mut rest = sum;
        for block in &self.blocks {
            let Some((part, after)) = rest.split_at_checked(block.width()) else {
                break;
            };
            rest = after;
            match block {
                Block::Table { rows, columns } => result.tables.push(ContingencyTable {
                    rows: rows.column.clone(),
                    columns: columns.column.clone(),
                    row_labels: rows.labels.clone(),
                    column_labels: columns.labels.clone(),
                    cells: part
                        .chunks(columns.labels.len())
                        .map(|cells| cells.iter().copied().map(Count).collect())
                        .collect(),
                }),
                Block::Moments { column, number } => {
                    result.moments.push(moments(column, number, part))
                }
                Block::Histogram {
                    column,
                    number,
                    edges,
                } => result.histograms.push(Histogram {
                    column: column.clone(),
                    unit: number.unit.clone(),
                    edges: edges.clone(),
                    counts: part.iter().copied().map(Count).collect(),
                }),
            }
        }
        result
    }
}

impl Block {
    fn width(&self) -> usize {
        match self {
            Self::Table { rows, columns } => rows.labels.len() * columns.labels.len(),
            Self::Moments { .. } => 3,
            Self::Histogram { edges, .. } => edges.len().saturating_sub(1),
        }
    }

    fn bind<'a>(&'a self, table: &'a Table) -> Result<Bound<'a>, TaskFault> {
        Ok(match self {
            Self::Table { rows, columns } => Bound::Table {
                rows: categories(table, &rows.column)?,
                columns: categories(table, &columns.column)?,
                width: columns.labels.len(),
            },
            Self::Moments { column, number } => Bound::Moments {
                values: numbers(table, column)?,
                number,
            },
            Self::Histogram { column, edges, .. } => Bound::Histogram {
                values: numbers(table, column)?,
                edges,
            },
        })
    }
}

/// A statistic together with the cells of one silo.
enum Bound<'a> {
    Table {
        rows: &'a [usize],
        columns: &'a [usize],
        width: usize,
    },
    Moments {
        values: &'a [f64],
        number: &'a Number,
    },
    Histogram {
        values: &'a [f64],
        edges: &'a [f64],
    },
}

impl Bound<'_> {
    fn add(&self, row: usize, into: &mut [f64]) {
        match self {
            Self::Table {
                rows,
                columns,
                width,
            } => {
                if let (Some(level), Some(other)) = (rows.get(row), columns.get(row)) {
                    count(into, level * width + other);
                }
            }
            Self::Moments { values, number } => {
                if let (Some(value), [rows, sum, squares]) = (values.get(row), into) {
                    let standard = number.standardise(*value);
                    *rows += 1.0;
                    *sum += standard;
                    *squares += standard * standard;
                }
            }
            Self::Histogram { values, edges } => {
                if let Some(value) = values.get(row) {
                    // Edges at or below the value; the last bin holds its upper edge too.
                    let below = edges.partition_point(|edge| edge <= value);
                    count(
                        into,
                        below.saturating_sub(1).min(edges.len().saturating_sub(2)),
                    );
                }
            }
        }
    }
}

impl Labelled {
    fn of(data: &DataSchema, column: &str) -> Result<Self, TaskFault> {
        match &declared(data, column)?.kind {
            ColumnKind::Category(category) => Ok(Self {
                column: column.to_owned(),
                labels: category.labels().into_iter().map(str::to_owned).collect(),
            }),
            ColumnKind::Number(_) => Err(undeclared(column)),
        }
    }
}

fn count(cells: &mut [f64], cell: usize) {
    if let Some(cell) = cells.get_mut(cell) {
        *cell += 1.0;
    }
}

fn moments(column: &str, number: &Number, part: &[f64]) -> Moments {
    let (rows, sum, squares) = match part {
        [rows, sum, squares] => (*rows, *sum, *squares),
        _ => (0.0, 0.0, 0.0),
    };
    let variance = (squares - sum * sum / rows) / (rows - 1.0) * number.scale * number.scale;
    Moments {
        column: column.to_owned(),
        unit: number.unit.clone(),
        count: Count(rows),
        mean: (rows >= 1.0).then(|| number.centre + number.scale * sum / rows),
        variance: (rows >= 2.0).then(|| variance.max(0.0)),
    }
}

fn number<'a>(data: &'a DataSchema, column: &str) -> Result<&'a Number, TaskFault> {
    match &declared(data, column)?.kind {
        ColumnKind::Number(number) => Ok(number),
        ColumnKind::Category(_) => Err(undeclared(column)),
    }
}

fn declared<'a>(data: &'a DataSchema, column: &str) -> Result<&'a Column, TaskFault> {
    data.columns.get(column).ok_or_else(|| undeclared(column))
}

fn undeclared(column: &str) -> TaskFault {
    TaskFault::UndeclaredColumn {
        column: column.to_owned(),
    }
}

fn categories<'a>(table: &'a Table, column: &str) -> Result<&'a [usize], TaskFault> {
    match table.column(column) {
        Some(Values::Categories(values)) => Ok(values),
        Some(Values::Numbers(_)) | None => Err(other_table(column)),
    }
}

fn numbers<'a>(table: &'a Table, column: &str) -> Result<&'a [f64], TaskFault> {
    match table.column(column) {
        Some(Values::Numbers(values)) => Ok(values),
        Some(Values::Categories(_)) | None => Err(other_table(column)),
    }
}

fn other_table(column: &str) -> TaskFault {
    TaskFault::OtherTable {
        column: column.to_owned(),
    }
}
