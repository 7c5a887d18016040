// SPDX-License-Identifier: Apache-2.0
//! From the public size of the noise to intervals.
//!
//! A coordinate of the released sum is the true one plus noise of a known standard deviation s, a sum of discrete
//! Gaussians of more than 10^4 units, which no table of the normal distribution tells from a continuous one: the interval
//! is the value +- 1.96 s. Functions of several coordinates get s by linearisation.

use crate::decoded_sum::SumNoise;
use crate::result::{Interval, NoiseStatement};
use crate::study::Distributed;

/// The noise as it looks in counts of rows and in sums.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellNoise {
    /// Standard deviation of a sum.
    sum_deviation: f64,
    /// From a decoded coordinate to a count: a row stands for a whole number of integer units, a little less than one.
    row: f64,
    /// How much of each patient's number is cut off at most.
    unit: f64,
    clip: f64,
    expected_rows: f64,
}

impl CellNoise {
    pub(super) fn of(noise: Option<SumNoise>, promise: Option<&Distributed>) -> Option<Self> {
        let (noise, promise) = (noise?, promise?);
        // As the quantiser computes it: D is a power of two, so that C/D and its inverse lose nothing.
        let units_of_a_row = (1.0 / noise.unit).floor();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a study states at most 10^9 patients"
        )]
        let patients = promise.expected_patients as f64;
        Some(Self {
            sum_deviation: noise.standard_deviation,
            row: units_of_a_row * noise.unit,
            unit: noise.unit,
            clip: promise.clip.value(),
            expected_rows: patients * f64::from(promise.most_rows_per_patient),
        })
    }

    /// The count that a coordinate stands for.
    pub(super) fn count(self, value: f64) -> f64 {
        value / self.row
    }

    /// The standard deviation of a count.
    pub(super) fn count_deviation(self) -> f64 {
        self.sum_deviation / self.row
    }

    /// The standard deviation of a sum of numbers between -1 and 1.
    pub(super) fn sum_deviation(self) -> f64 {
        self.sum_deviation
    }

    /// How far cutting towards zero may have moved a sum over so many rows; over the study's number, if it is not known.
    pub(super) fn cut_off(self, rows: Option<f64>) -> f64 {
        self.unit * rows.unwrap_or(self.expected_rows).max(0.0)
    }

    /// Whether a count is so large that it may be divided by: five standard deviations.
    pub(super) fn is_clear(self, count: f64, coordinates: f64) -> bool {
        count > 5.0 * self.count_deviation() * coordinates.sqrt()
    }

    pub(super) fn intervals(self, counts: &[f64]) -> Vec<Interval> {
        counts
            .iter()
            .map(|count| around(*count, NORMAL_97_5 * self.count_deviation()))
            .collect()
    }

    pub(super) fn statement(self, row_bound: f64) -> NoiseStatement {
        // A hair more than exactly, so that an automatic clip counts its own rows.
        let rows = (self.clip / row_bound * (1.0 + 1e-12)).floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, and is never negative"
        )]
        let rows_counted_in_full = rows as u32;
        NoiseStatement {
            standard_deviation: self.count_deviation(),
            confidence: 0.95,
            clip: self.clip,
            rows_counted_in_full,
            intervals: INTERVALS.to_owned(),
        }
    }
}

/// A value and how far it may be off.
pub(super) fn around(value: f64, reach: f64) -> Interval {
    [value - reach, value + reach]
}

/// Within public bounds, which cost no privacy.
pub(super) fn within([low, high]: Interval, [least, most]: Interval) -> Interval {
    [low.clamp(least, most), high.clamp(least, most)]
}

/// The 97.5 % point of the standard normal distribution, for two-sided 95 % intervals.
pub(super) const NORMAL_97_5: f64 = 1.959_963_984_540_054;

const INTERVALS: &str = "value +- 1.96 s; s of a count is `standard_deviation`, of other numbers it follows by \
    linearisation, and an interval of a quantile holds all bins that a test at 1.96 s leaves. The noise of every invited \
    silo is counted, also of one that dropped out. Intervals cover the numbers of the rows at hand; `population_mean` and \
    survival also cover the error of sampling. Each holds by itself, not all of them together.";
