// SPDX-License-Identifier: Apache-2.0
//! A number as a linear function: l = -(y - x . theta)^2 / 2, score = (y - x . theta) x.

use super::logistic::{add_triangle, linear_predictor};

/// Minus half the squared residual.
pub fn log_likelihood(row: &[f64], number: f64, parameters: &[f64]) -> f64 {
    let residual = number - linear_predictor(row, parameters);
    -residual * residual / 2.0
}

/// Adds the row's score; a residual beyond `longest` counts as that, so that the score has a public bound.
pub fn add_score(
    row: &[f64],
    number: f64,
    parameters: &[f64],
    longest: Option<f64>,
    into: &mut [f64],
) {
    let mut residual = number - linear_predictor(row, parameters);
    if let Some(longest) = longest {
        residual = residual.max(-longest).min(longest);
    }
    for (sum, feature) in into.iter_mut().zip(row) {
        *sum += residual * feature;
    }
}

/// Adds the upper triangle of x x^T, row by row: the information where no residual is cut.
pub fn add_information(row: &[f64], into: &mut [f64]) {
    add_triangle(row, 1.0, into);
}
