// SPDX-License-Identifier: Apache-2.0
//! The parts of the vector, and which of their coordinates a row falls into.

use super::moments::Sums;
use crate::study::{Column, ColumnKind, DataSchema, HistogramPlan, Number, StatisticsPlan, Study};
use crate::table::{Table, Values};
use crate::task::TaskFault;

/// One part of the vector.
#[derive(Clone, Debug)]
pub(super) enum Block {
    /// Counts of rows: one cell for each combination of the axes, the last axis fastest. A row falls into one of them.
    Cells { axes: Vec<Axis>, shown: Shown },
    /// Sums of a number over rows.
    Moments(Sums),
}

/// What becomes of released cells.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    Counts,
    Table,
    Histogram,
    /// The shares below.
    Quantiles(Vec<f64>),
    Survival {
        /// The label that means the event.
        event: String,
    },
}

/// One column that decides about the cell.
#[derive(Clone, Debug)]
pub(super) enum Axis {
    Labels(Labels),
    Bins(Bins),
    /// Two cells: the event, and everything else.
    Event(Event),
}

#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub(super) column: String,
    pub(super) labels: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Bins {
    pub(super) column: String,
    pub(super) unit: Option<String>,
    pub(super) edges: Vec<f64>,
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    column: String,
    positive: usize,
}

/// All blocks of a plan, in its order.
pub(super) fn blocks(plan: &StatisticsPlan, study: &Study) -> Result<Vec<Block>, TaskFault> {
    let data = &study.data;
    let cells = |axes: Vec<Axis>, shown: Shown| Block::Cells { axes, shown };
    let mut blocks = Vec::new();
    for count in &plan.counts {
        blocks.push(cells(vec![labels(data, &count.column)?], Shown::Counts));
    }
    for table in &plan.tables {
        let axes = vec![labels(data, &table.rows)?, labels(data, &table.columns)?];
        blocks.push(cells(axes, Shown::Table));
    }
    for moment in &plan.moments {
        let number = number(data, &moment.column)?;
        blocks.push(Block::Moments(Sums::new(moment, number, &study.privacy)));
    }
    for histogram in &plan.histograms {
        blocks.push(cells(vec![bins(data, histogram)?], Shown::Histogram));
    }
    for quantiles in &plan.quantiles {
        let shown = Shown::Quantiles(quantiles.at.clone());
        blocks.push(cells(vec![bins(data, &quantiles.histogram)?], shown));
    }
    for survival in &plan.survival {
        let mut axes = Vec::new();
        if let Some(by) = &survival.by {
            axes.push(labels(data, by)?);
        }
        axes.push(bins(data, &survival.histogram)?);
        let Axis::Labels(event) = labels(data, &survival.event)? else {
            return Err(undeclared(&survival.event));
        };
        let positive = event
            .labels
            .iter()
            .position(|label| *label == survival.positive)
            .ok_or_else(|| undeclared(&survival.event))?;
        axes.push(Axis::Event(Event {
            column: event.column,
            positive,
        }));
        let event = survival.positive.clone();
        blocks.push(cells(axes, Shown::Survival { event }));
    }
    Ok(blocks)
}

impl Block {
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Cells { axes, .. } => axes.iter().map(Axis::cells).product(),
            Self::Moments(sums) => sums.width(),
        }
    }

    pub(super) fn bind<'a>(&'a self, table: &'a Table) -> Result<Bound<'a>, TaskFault> {
        Ok(match self {
            Self::Cells { axes, .. } => Bound::Cells(
                axes.iter()
                    .map(|axis| axis.bind(table))
                    .collect::<Result<_, _>>()?,
            ),
            Self::Moments(sums) => Bound::Moments {
                values: numbers(table, sums.column())?,
                sums,
            },
        })
    }
}

impl Axis {
    fn cells(&self) -> usize {
        match self {
            Self::Labels(axis) => axis.labels.len(),
            Self::Bins(bins) => bins.cells(),
            Self::Event(_) => 2,
        }
    }

    fn bind<'a>(&'a self, table: &'a Table) -> Result<BoundAxis<'a>, TaskFault> {
        let values = match self {
            Self::Labels(axis) => AxisValues::Labels(categories(table, &axis.column)?),
            Self::Bins(bins) => AxisValues::Bins(numbers(table, &bins.column)?, &bins.edges),
            Self::Event(event) => {
                AxisValues::Event(categories(table, &event.column)?, event.positive)
            }
        };
        Ok(BoundAxis {
            cells: self.cells(),
            values,
        })
    }
}

impl Bins {
    pub(super) fn cells(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }
}

/// A block together with the rows of one silo.
pub(super) enum Bound<'a> {
    Cells(Vec<BoundAxis<'a>>),
    Moments { values: &'a [f64], sums: &'a Sums },
}

pub(super) struct BoundAxis<'a> {
    cells: usize,
    values: AxisValues<'a>,
}

enum AxisValues<'a> {
    Labels(&'a [usize]),
    Bins(&'a [f64], &'a [f64]),
    Event(&'a [usize], usize),
}

impl Bound<'_> {
    pub(super) fn add(&self, row: usize, into: &mut [f64]) {
        match self {
            Self::Cells(axes) => {
                let cell = axes.iter().try_fold(0, |cell, axis| {
                    Some(cell * axis.cells + axis.values.cell(row)?)
                });
                if let Some(cell) = cell.and_then(|cell| into.get_mut(cell)) {
                    *cell += 1.0;
                }
            }
            Self::Moments { values, sums } => {
                if let Some(value) = values.get(row) {
                    sums.add(*value, into);
                }
            }
        }
    }
}

impl AxisValues<'_> {
    fn cell(&self, row: usize) -> Option<usize> {
        match self {
            Self::Labels(values) => values.get(row).copied(),
            Self::Event(values, positive) => {
                values.get(row).map(|value| usize::from(value != positive))
            }
            Self::Bins(values, edges) => values.get(row).map(|value| {
                // Edges at or below the value; the last bin holds its upper edge too.
                let below = edges.partition_point(|edge| edge <= value);
                below.saturating_sub(1).min(edges.len().saturating_sub(2))
            }),
        }
    }
}

fn labels(data: &DataSchema, column: &str) -> Result<Axis, TaskFault> {
    match &declared(data, column)?.kind {
        ColumnKind::Category(category) => Ok(Axis::Labels(Labels {
            column: column.to_owned(),
            labels: category.labels().into_iter().map(str::to_owned).collect(),
        })),
        ColumnKind::Number(_) => Err(undeclared(column)),
    }
}

fn bins(data: &DataSchema, histogram: &HistogramPlan) -> Result<Axis, TaskFault> {
    Ok(Axis::Bins(Bins {
        column: histogram.column.clone(),
        unit: number(data, &histogram.column)?.unit.clone(),
        edges: histogram.edges.clone(),
    }))
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
