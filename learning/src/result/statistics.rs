// SPDX-License-Identifier: Apache-2.0
//! Statistics as people and programs read them. With noise, every number comes with its interval.

use serde::{Deserialize, Serialize};

use super::Count;

/// From and to.
pub type Interval = [f64; 2];

/// The statistics in the order in which the study asks for them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatisticsResult {
    /// Counts by one category.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<CategoryCounts>,
    /// Contingency tables.
    pub tables: Vec<ContingencyTable>,
    /// Sums, means and variances.
    pub moments: Vec<Moments>,
    /// Histograms.
    pub histograms: Vec<Histogram>,
    /// Quantiles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<Quantiles>,
    /// Kaplan-Meier curves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub survival: Vec<SurvivalCurve>,
    /// What the noise does to all of them; `None` without noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseStatement>,
}

/// What a reader must know about the noise in a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseStatement {
    /// The standard deviation of the noise in each count, if every invited silo survived; less otherwise.
    pub standard_deviation: f64,
    /// The probability with which one interval holds, taken by itself.
    pub confidence: f64,
    /// The L2 norm that all cells of one patient share.
    pub clip: f64,
    /// Rows of one patient that count in full, whatever they hold. The vector of a patient with more of them may be
    /// shortened, and no interval tells of that.
    pub rows_counted_in_full: u32,
    /// How the intervals are computed, and what they cover.
    pub intervals: String,
}

/// Counts of rows by one category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryCounts {
    /// The column.
    pub column: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// The count of each label.
    pub counts: Vec<Count>,
    /// The interval of each count, with noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Vec<Interval>>,
}

/// Counts of rows by two categories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContingencyTable {
    /// The column that became the rows.
    pub rows: String,
    /// The column that became the columns.
    pub columns: String,
    /// The labels of the rows.
    pub row_labels: Vec<String>,
    /// The labels of the columns.
    pub column_labels: Vec<String>,
    /// One list of counts per row.
    pub cells: Vec<Vec<Count>>,
    /// The interval of each cell, with noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Vec<Vec<Interval>>>,
}

/// Sum, count, mean and sample variance of a number, in its own unit, as far as the study asks for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// The column.
    pub column: String,
    /// Its unit.
    pub unit: Option<String>,
    /// Rows.
    pub count: Option<Count>,
    /// The sum.
    pub sum: f64,
    /// The mean, if there is a row; with noise, if there are clearly more rows than noise.
    pub mean: Option<f64>,
    /// The variance with divisor count - 1, if there are two rows; with noise as for the mean.
    pub variance: Option<f64>,
    /// With noise, the intervals of these numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<MomentIntervals>,
}

/// The intervals of sums under noise. But for the last they cover the numbers of the rows at hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MomentIntervals {
    /// Of the count.
    pub count: Option<Interval>,
    /// Of the sum.
    pub sum: Interval,
    /// Of the mean.
    pub mean: Option<Interval>,
    /// Of the variance.
    pub variance: Option<Interval>,
    /// Of the mean of the population that the rows are a sample of: the noise and the error of sampling together.
    pub population_mean: Option<Interval>,
}

/// Counts between public edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The column.
    pub column: String,
    /// Its unit.
    pub unit: Option<String>,
    /// One edge more than counts; every bin holds its lower edge, the last its upper edge too.
    pub edges: Vec<f64>,
    /// Rows in each bin.
    pub counts: Vec<Count>,
    /// The interval of each count, with noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Vec<Interval>>,
}

/// Quantiles out of a histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The histogram.
    pub histogram: Histogram,
    /// The quantiles.
    pub quantiles: Vec<Quantile>,
}

/// One quantile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// The share of the rows below it.
    pub share: f64,
    /// The value, by straight lines within bins; `None` when the noise hides how many rows there are.
    pub value: Option<f64>,
    /// The edges between which it lies for the rows at hand.
    pub interval: Option<Interval>,
}

/// A Kaplan-Meier curve by time bins: observations that end without the event count as at risk to the end of their bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SurvivalCurve {
    /// The column of times.
    pub time: String,
    /// Its unit.
    pub unit: Option<String>,
    /// The label that means the event.
    pub event: String,
    /// Whose curve it is, where the study asks for one for each label of a category.
    pub group: Option<String>,
    /// One edge more than bins.
    pub edges: Vec<f64>,
    /// Events in each bin.
    pub events: Vec<Count>,
    /// Observations that ended in each bin without the event.
    pub cut_off: Vec<Count>,
    /// The share without the event at the end of each bin; `None` once the noise hides how many are at risk.
    pub survival: Vec<Option<f64>>,
    /// The interval of each share: the noise and the error of sampling together.
    pub intervals: Vec<Option<Interval>>,
    /// The first edge at which the share is at most a half.
    pub median: Option<f64>,
}

impl StatisticsResult {
    pub(super) fn parameters(&self) -> Vec<(String, Vec<f64>)> {
        let numbers = |counts: &[Count]| counts.iter().map(|count| count.0).collect();
        let mut vectors = Vec::new();
        for counts in &self.counts {
            vectors.push((format!("counts/{}", counts.column), numbers(&counts.counts)));
        }
        for table in &self.tables {
            let cells = table.cells.iter().flatten().map(|count| count.0).collect();
            vectors.push((format!("table/{}/{}", table.rows, table.columns), cells));
        }
        for moments in &self.moments {
            let count = moments.count.map(|count| count.0);
            let numbers = [count, moments.mean, moments.variance]
                .into_iter()
                .map(|number| number.unwrap_or(f64::NAN))
                .collect();
            vectors.push((format!("moments/{}", moments.column), numbers));
        }
        for histogram in &self.histograms {
            let name = format!("histogram/{}", histogram.column);
            vectors.push((name, numbers(&histogram.counts)));
        }
        for quantiles in &self.quantiles {
            let values = quantiles.quantiles.iter();
            let values = values.map(|quantile| quantile.value.unwrap_or(f64::NAN));
            let name = format!("quantiles/{}", quantiles.histogram.column);
            vectors.push((name, values.collect()));
        }
        for curve in &self.survival {
            let name = match &curve.group {
                None => format!("survival/{}", curve.time),
                Some(group) => format!("survival/{}/{group}", curve.time),
            };
            let shares = curve.survival.iter();
            vectors.push((
                name,
                shares.map(|share| share.unwrap_or(f64::NAN)).collect(),
            ));
        }
        vectors
    }
}

impl ContingencyTable {
    /// The count at two labels.
    pub fn count(&self, row: &str, column: &str) -> Option<f64> {
        let column = position(&self.column_labels, column)?;
        self.row(row)?.get(column).map(|count| count.0)
    }

    /// The interval of the count at two labels, with noise.
    pub fn interval(&self, row: &str, column: &str) -> Option<Interval> {
        let (row, column) = (
            position(&self.row_labels, row)?,
            position(&self.column_labels, column)?,
        );
        self.intervals.as_ref()?.get(row)?.get(column).copied()
    }

    /// The sum of a row.
    pub fn row_total(&self, row: &str) -> Option<f64> {
        Some(self.row(row)?.iter().map(|count| count.0).sum())
    }

    fn row(&self, label: &str) -> Option<&[Count]> {
        self.cells
            .get(position(&self.row_labels, label)?)
            .map(Vec::as_slice)
    }
}

fn position(labels: &[String], label: &str) -> Option<usize> {
    labels.iter().position(|known| known == label)
}
