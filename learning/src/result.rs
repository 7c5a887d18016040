// SPDX-License-Identifier: Apache-2.0
//! What a study gives back, as people and programs read it.

use serde::{Deserialize, Serialize, Serializer};

pub use evaluation::{EvaluationResult, Measure, OutcomeCells};
pub use statistics::{
    CategoryCounts, ContingencyTable, Histogram, Interval, MomentIntervals, Moments,
    NoiseStatement, Quantile, Quantiles, StatisticsResult, SurvivalCurve,
};

mod evaluation;
mod statistics;

/// The result of a finished study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum StudyResult {
    /// Counts, tables, moments, histograms, quantiles and survival curves.
    Statistics(StatisticsResult),
    /// A logistic regression.
    LogisticRegression(RegressionResult),
    /// A linear regression.
    LinearRegression(RegressionResult),
    /// A softmax regression.
    SoftmaxRegression(RegressionResult),
    /// A perceptron.
    NeuralNetwork(RegressionResult),
}

/// The coefficients of a regression, in the study's centred and scaled features; a number that is predicted is in its own unit.
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
    /// e to the coefficients, in a logistic regression.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub odds_ratios: Vec<f64>,
    /// 95 % intervals of the odds ratios or, of a number, of the coefficients, where the method gives them.
    pub intervals: Option<Vec<[f64; 2]>>,
    /// Rounds that were run.
    pub rounds: u32,
    /// Whether the steps became as small as the study asks, for methods that stop by themselves.
    pub converged: Option<bool>,
    /// The log-likelihood before the last step, of a number minus half the sum of squared standardised residuals; never released under noise.
    pub log_likelihood: Option<f64>,
    /// Rows of all silos; never released under noise.
    pub examples: Option<Count>,
    /// How the model did on patients who were held out, where the study tries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationResult>,
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
            Self::LogisticRegression(regression)
            | Self::LinearRegression(regression)
            | Self::SoftmaxRegression(regression)
            | Self::NeuralNetwork(regression) => {
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
            Self::LogisticRegression(_)
            | Self::LinearRegression(_)
            | Self::SoftmaxRegression(_)
            | Self::NeuralNetwork(_) => None,
        }
    }

    /// The regression, if the study asked for one.
    pub fn regression(&self) -> Option<&RegressionResult> {
        match self {
            Self::LogisticRegression(regression)
            | Self::LinearRegression(regression)
            | Self::SoftmaxRegression(regression)
            | Self::NeuralNetwork(regression) => Some(regression),
            Self::Statistics(_) => None,
        }
    }
}

/// 2^53: below it every whole number is exact.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
