// SPDX-License-Identifier: Apache-2.0
//! Counts, tables, moments, histograms, quantiles and survival curves: one round of sums over rows.
//!
//! The vector holds the blocks in the order of the study's plan. A block is either cells, of which each row falls into
//! exactly one, or the sums of a number. Quantiles and survival curves are histograms on the wire and are computed from
//! the released cells by everybody.
//!
//! With noise, a patient's rows together make one vector under one joint L2 bound, and every coordinate carries the same
//! noise, whose size is public: each released number comes with an interval that holds it.

use crate::contribution::Contributing;
use crate::decoded_sum::DecodedSum;
use crate::result::{
    CategoryCounts, ContingencyTable, Count, Histogram, Interval, Quantiles, StatisticsResult,
};
use crate::study::{Distributed, StatisticsPlan, Study};
use crate::table::Table;
use crate::task::TaskFault;

use block::{Axis, Block, Shown};
use noise::CellNoise;

mod block;
mod moments;
mod noise;
mod quantile;
mod survival;

/// The statistics of one study.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    blocks: Vec<Block>,
    row_bound: f64,
    promise: Option<Distributed>,
}

impl Statistics {
    pub(crate) fn new(plan: &StatisticsPlan, study: &Study) -> Result<Self, TaskFault> {
        Ok(Self {
            blocks: block::blocks(plan, study)?,
            row_bound: plan.row_bound(),
            promise: study.privacy.promise().cloned(),
        })
    }

    pub(crate) fn dimension(&self) -> usize {
        self.blocks.iter().map(Block::width).sum()
    }

    pub(crate) fn contributing<'a>(
        &'a self,
        table: &'a Table,
    ) -> Result<Contributing<'a>, TaskFault> {
        let bound = self
            .blocks
            .iter()
            .map(|block| block.bind(table))
            .collect::<Result<Vec<_>, _>>()?;
        let add_row = move |row: usize, into: &mut [f64]| {
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
        Ok(if self.promise.is_some() {
            let vector = move |rows: &Vec<usize>| {
                let mut vector = vec![0.0; dimension];
                rows.iter().for_each(|row| add_row(*row, &mut vector));
                vector
            };
            Contributing::PatientVectors {
                dimension,
                vectors: Box::new(table.patients().iter().map(vector)),
            }
        } else {
            let mut sum = vec![0.0; dimension];
            (0..table.row_count()).for_each(|row| add_row(row, &mut sum));
            Contributing::Sum(sum)
        })
    }

    pub(crate) fn result(&self, sum: &DecodedSum) -> StatisticsResult {
        let noise = CellNoise::of(sum.noise, self.promise.as_ref());
        let mut result = StatisticsResult {
            noise: noise.map(|noise| noise.statement(self.row_bound)),
            ..StatisticsResult::default()
        };
        let mut rest = sum.values.as_slice();
        for block in &self.blocks {
            let Some((part, after)) = rest.split_at_checked(block.width()) else {
                break;
            };
            rest = after;
            match block {
                Block::Moments(sums) => result.moments.push(sums.result(part, noise)),
                Block::Cells { axes, shown } => {
                    let counts = match noise {
                        None => part.to_vec(),
                        Some(noise) => part.iter().map(|value| noise.count(*value)).collect(),
                    };
                    show(axes, shown, &counts, noise, &mut result);
                }
            }
        }
        result
    }
}

/// Adds the cells of one block to the result, in the form that the study asked for.
fn show(
    axes: &[Axis],
    shown: &Shown,
    counts: &[f64],
    noise: Option<CellNoise>,
    result: &mut StatisticsResult,
) {
    let intervals = noise.map(|noise| noise.intervals(counts));
    let as_counts = |cells: &[f64]| cells.iter().copied().map(Count).collect::<Vec<_>>();
    match (shown, axes) {
        (Shown::Counts, [Axis::Labels(axis)]) => result.counts.push(CategoryCounts {
            column: axis.column.clone(),
            labels: axis.labels.clone(),
            counts: as_counts(counts),
            intervals,
        }),
        (Shown::Table, [Axis::Labels(rows), Axis::Labels(columns)]) => {
            let width = columns.labels.len();
            result.tables.push(ContingencyTable {
                rows: rows.column.clone(),
                columns: columns.column.clone(),
                row_labels: rows.labels.clone(),
                column_labels: columns.labels.clone(),
                cells: counts.chunks(width).map(as_counts).collect(),
                intervals: intervals
                    .map(|intervals| intervals.chunks(width).map(<[Interval]>::to_vec).collect()),
            });
        }
        (Shown::Histogram | Shown::Quantiles(_), [Axis::Bins(bins)]) => {
            let histogram = Histogram {
                column: bins.column.clone(),
                unit: bins.unit.clone(),
                edges: bins.edges.clone(),
                counts: as_counts(counts),
                intervals,
            };
            match shown {
                Shown::Quantiles(shares) => result.quantiles.push(Quantiles {
                    quantiles: shares
                        .iter()
                        .map(|share| quantile::quantile(*share, &bins.edges, counts, noise))
                        .collect(),
                    histogram,
                }),
                Shown::Counts | Shown::Table | Shown::Histogram | Shown::Survival { .. } => {
                    result.histograms.push(histogram);
                }
            }
        }
        (Shown::Survival { event }, [groups @ .., Axis::Bins(bins), Axis::Event(_)]) => {
            let labels: Vec<Option<String>> = match groups {
                [Axis::Labels(by)] => by.labels.iter().cloned().map(Some).collect(),
                _ => vec![None],
            };
            for (group, cells) in labels.into_iter().zip(counts.chunks(2 * bins.cells())) {
                result
                    .survival
                    .push(survival::curve(bins, event, group, cells, noise));
            }
        }
        // The blocks are made in pairs of form and axes that stand above.
        (Shown::Counts | Shown::Table | Shown::Histogram | Shown::Quantiles(_), _)
        | (Shown::Survival { .. }, _) => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
