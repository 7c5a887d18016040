// SPDX-License-Identifier: Apache-2.0
//! Sum, mean and variance of a number with a public range.
//!
//! Without noise the number is taken in the study's centre and scale. With noise it is taken in half-widths of its range
//! about the middle, so that no row adds more than 1 to any sum; a sum alone, which nobody could centre without the
//! number of rows, in units of the largest value.

use super::noise::{CellNoise, NORMAL_97_5, around, within};
use crate::result::{Count, MomentIntervals, Moments};
use crate::study::{MomentOrder, MomentPlan, Number, Privacy};

/// The sums of one number.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    column: String,
    unit: Option<String>,
    order: MomentOrder,
    range: [f64; 2],
    centre: f64,
    scale: f64,
    bound: Option<f64>,
}

impl Sums {
    pub(super) fn new(plan: &MomentPlan, number: &Number, privacy: &Privacy) -> Self {
        let [low, high] = number.range;
        let (centre, scale, bound) = match (privacy, plan.order) {
            (Privacy::None, MomentOrder::Sum) => (0.0, number.scale, None),
            (Privacy::None, MomentOrder::Mean | MomentOrder::Variance) => {
                (number.centre, number.scale, None)
            }
            (Privacy::Distributed(_) | Privacy::Local(_), MomentOrder::Sum) => {
                (0.0, low.abs().max(high.abs()), Some(1.0))
            }
            (
                Privacy::Distributed(_) | Privacy::Local(_),
                MomentOrder::Mean | MomentOrder::Variance,
            ) => {
                let (middle, half) = number.middle_and_half();
                (middle, half, Some(1.0))
            }
        };
        Self {
            column: plan.column.clone(),
            unit: number.unit.clone(),
            order: plan.order,
            range: number.range,
            centre,
            scale,
            bound,
        }
    }

    pub(super) fn column(&self) -> &str {
        &self.column
    }

    pub(super) fn width(&self) -> usize {
        self.order.sums()
    }

    /// Adds one row's number.
    pub(super) fn add(&self, value: f64, into: &mut [f64]) {
        let mut standard = (value - self.centre) / self.scale;
        if let Some(bound) = self.bound {
            standard = standard.clamp(-bound, bound);
        }
        match into {
            [sum] => *sum += standard,
            [rows, sum] => {
                *rows += 1.0;
                *sum += standard;
            }
            [rows, sum, squares] => {
                *rows += 1.0;
                *sum += standard;
                *squares += standard * standard;
            }
            _ => {}
        }
    }

    pub(super) fn result(&self, part: &[f64], noise: Option<CellNoise>) -> Moments {
        let count = |value: f64| noise.map_or(value, |noise| noise.count(value));
        let (rows, sum, squares) = match part {
            [sum] => (None, *sum, None),
            [rows, sum] => (Some(count(*rows)), *sum, None),
            [rows, sum, squares] => (Some(count(*rows)), *sum, Some(*squares)),
            _ => (None, 0.0, None),
        };
        let known = |least: f64| {
            rows.filter(|rows| {
                *rows >= least && noise.is_none_or(|noise| noise.is_clear(*rows, 1.0))
            })
        };
        let mean = known(1.0).map(|rows| self.centre + self.scale * sum / rows);
        let variance = known(2.0).zip(squares).map(|(rows, squares)| {
            let variance = (squares - sum * sum / rows) / (rows - 1.0) * self.scale * self.scale;
            variance.max(0.0)
        });
        Moments {
            column: self.column.clone(),
            unit: self.unit.clone(),
            count: rows.map(Count),
            sum: self.centre * rows.unwrap_or(0.0) + self.scale * sum,
            mean: match noise {
                None => mean,
                Some(_) => mean.map(|mean| mean.clamp(self.range[0], self.range[1])),
            },
            variance,
            intervals: noise.map(|noise| self.intervals(rows, sum, squares, variance, noise)),
        }
    }

    fn intervals(
        &self,
        rows: Option<f64>,
        sum: f64,
        squares: Option<f64>,
        variance: Option<f64>,
        noise: CellNoise,
    ) -> MomentIntervals {
        let (of_count, of_sum) = (noise.count_deviation(), noise.sum_deviation());
        let cut_off = self.scale * noise.cut_off(rows);
        let total = self.centre * rows.unwrap_or(0.0) + self.scale * sum;
        let total_deviation = match rows {
            None => self.scale * of_sum,
            Some(_) => (self.centre * of_count).hypot(self.scale * of_sum),
        };
        let clear = rows.filter(|rows| noise.is_clear(*rows, 1.0));
        let mean = clear.map(|rows| {
            let mean = sum / rows;
            let deviation = self.scale / rows * of_sum.hypot(mean * of_count);
            (rows, self.centre + self.scale * mean, deviation)
        });
        let spread = clear.zip(squares).map(|(rows, squares)| {
            let mean = sum / rows;
            let centred = squares / rows - mean * mean;
            let by_sum = (1.0_f64).hypot(2.0 * mean) * of_sum / rows;
            let by_count = (2.0 * mean * mean - squares / rows) * of_count / rows;
            let units = self.scale * self.scale * rows / (rows - 1.0);
            (units * centred, units * by_sum.hypot(by_count))
        });
        let [low, high] = self.range;
        MomentIntervals {
            count: rows.map(|rows| around(rows, NORMAL_97_5 * of_count)),
            sum: around(total, NORMAL_97_5 * total_deviation + cut_off),
            mean: mean.map(|(rows, mean, deviation)| {
                let reach = NORMAL_97_5 * deviation + cut_off / rows;
                within(around(mean, reach), [low, high])
            }),
            variance: spread.map(|(spread, deviation)| {
                // Two sums are cut, and the mean counts twice.
                let cut_off = 3.0 * self.scale * self.scale * noise.cut_off(Some(1.0));
                let reach = NORMAL_97_5 * deviation + cut_off;
                let most = (high - low) * (high - low) / 4.0;
                within(around(spread, reach), [0.0, most])
            }),
            population_mean: mean
                .zip(variance)
                .map(|((rows, mean, deviation), variance)| {
                    let both = deviation.hypot((variance / rows).sqrt());
                    within(
                        around(mean, NORMAL_97_5 * both + cut_off / rows),
                        [low, high],
                    )
                }),
        }
    }
}
