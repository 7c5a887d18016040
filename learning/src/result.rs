// SPDX-License-Identifier: Apache-2.0
//! What a study gives back, as people and programs read it.

use serde::{Deserialize, Serialize, Serializer};

/// The result of a finished study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum StudyResult {
    /// Tables, moments and histograms.
    Statistics(StatisticsResult),
    /// A logistic regression.
    LogisticRegression(RegressionResult),
}

/// The statistics in the order in which the study asks for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatisticsResult {
    /// Contingency tables.
    pub tables: Vec<ContingencyTable>,
    /// Counts, means and variances.
    pub moments: Vec<Moments>,
    /// Histograms.
    pub histograms: Vec<Histogram>,
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
}

/// Count, mean and sample variance of a number, in its own unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// The column.
    pub column: String,
    /// Its unit.
    pub unit: Option<String>,
    /// Rows.
    pub count: Count,
    /// The mean, if there is a row.
    pub mean: Option<f64>,
    /// The variance with divisor count - 1, if there are two rows.
    pub variance: Option<f64>,
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
}

/// The coefficients of a regression, in the study's centred and scaled features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegressionResult {
    /// How they were found.
    pub method: String,
    /// The names of the coefficients.
    pub names: Vec<String>,
    /// The coefficients.
    pub coefficients: Vec<f64>,
    /// Their standard errors, where the method gives them.
    pub standard_errors: Option<Vec<f64>>,
    /// e to the coefficients.
    pub odds_ratios: Vec<f64>,
    /// 95 % intervals of the odds ratios, where the method gives them.
    pub intervals: Option<Vec<[f64; 2]>>,
    /// Rounds that were run.
    pub rounds: u32,
    /// Whether the steps became as small as the study asks, for methods that stop by themselves.
    pub converged: Option<bool>,
    /// The log-likelihood before the last step; never released under noise.
    pub log_likelihood: Option<f64>,
    /// Rows of all silos; never released under noise.
    pub examples: Option<Count>,
}

/// A number of rows; with noise it need not be whole. Whole ones are written as integers.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(transparent)]
pub struct Count(pub f64);

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < LARGEST_EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl StudyResult {
    /// The numbers by name, for formats that hold named vectors.
    pub fn parameters(&self) -> Vec<(String, Vec<f64>)> {
        match self {
            Self::Statistics(statistics) => statistics.parameters(),
            Self::LogisticRegression(regression) => {
                let mut vectors =
                    vec![("coefficients".to_owned(), regression.coefficients.clone())];
                if let Some(errors) = &regression.standard_errors {
                    vectors.push(("standard_errors".to_owned(), errors.clone()));
                }
                vectors
            }
        }
    }

    /// The statistics, if the study asked for some.
    pub fn statistics(&self) -> Option<&StatisticsResult> {
        match self {
            Self::Statistics(statistics) => Some(statistics),
            Self::LogisticRegression(_) => None,
        }
    }

    /// The regression, if the study asked for one.
    pub fn regression(&self) -> Option<&RegressionResult> {
        match self {
            Self::LogisticRegression(regression) => Some(regression),
            Self::Statistics(_) => None,
        }
    }
}

impl StatisticsResult {
    fn parameters(&self) -> Vec<(String, Vec<f64>)> {
        let tables = self.tables.iter().map(|table| {
            let cells = table.cells.iter().flatten().map(|count| count.0).collect();
            (format!("table/{}/{}", table.rows, table.columns), cells)
        });
        let moments = self.moments.iter().map(|moments| {
            let numbers = [Some(moments.count.0), moments.mean, moments.variance];
            let numbers = numbers
                .into_iter()
                .map(|number| number.unwrap_or(f64::NAN))
                .collect();
            (format!("moments/{}", moments.column), numbers)
        });
        let histograms = self.histograms.iter().map(|histogram| {
            let counts = histogram.counts.iter().map(|count| count.0).collect();
            (format!("histogram/{}", histogram.column), counts)
        });
        tables.chain(moments).chain(histograms).collect()
    }
}

impl ContingencyTable {
    /// The count at two labels.
    pub fn count(&self, row: &str, column: &str) -> Option<f64> {
        let column = self
            .column_labels
            .iter()
            .position(|label| label == column)?;
        self.row(row)?.get(column).map(|count| count.0)
    }

    /// The sum of a row.
    pub fn row_total(&self, row: &str) -> Option<f64> {
        Some(self.row(row)?.iter().map(|count| count.0).sum())
    }

    fn row(&self, label: &str) -> Option<&[Count]> {
        let row = self.row_labels.iter().position(|known| known == label)?;
        self.cells.get(row).map(Vec::as_slice)
    }
}

/// 2^53: below it every whole number is exact.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
