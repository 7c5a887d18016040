// SPDX-License-Identifier: Apache-2.0
//! How a model did on patients who were held out.

use serde::{Deserialize, Serialize};

use super::{Count, Interval};

/// The released histogram and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationResult {
    /// About this part of all patients was held out.
    pub held_out: f64,
    /// How many patients that were; with noise.
    pub patients: Count,
    /// The part of them for whom the model holds the right label for the most probable; `None` for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Measure>,
    /// The area under the receiver operating characteristic, where there are two labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area_under_curve: Option<Measure>,
    /// Of a predicted number, in its own unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_mean_squared_error: Option<Measure>,
    /// The edges of the bins: of probabilities, or of distances in the number's own unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<f64>,
    /// The histogram.
    pub cells: Vec<OutcomeCells>,
    /// Of the noise in each cell, if every invited silo survived, less otherwise; `None` without noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_deviation: Option<f64>,
    /// The probability with which one interval holds, taken by itself.
    pub confidence: f64,
    /// What the intervals cover.
    pub intervals: String,
}

/// The cells of one label: a count for each bin, or the wrong and the right ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeCells {
    /// The label that the patients have.
    pub outcome: String,
    /// How many there are in each cell.
    pub counts: Vec<Count>,
}

/// A number that describes the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// The number; `None` when the noise hides how many patients there are.
    pub value: Option<f64>,
    /// Where it lies for the patients who were held out; `None` where it is known exactly.
    pub interval: Option<Interval>,
    /// Where it lies for the population that they are a sample of.
    pub population_interval: Option<Interval>,
}
