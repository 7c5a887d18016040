// SPDX-License-Identifier: Apache-2.0
//! Newton steps on noised sums.
//!
//! With a public R that no row of features exceeds, a patient's vector is u = (g/G, h/B)/sqrt 2: g the score, G = R times
//! the largest residual, h the upper triangle of the information with off-diagonals times sqrt 2, so that its length is
//! the matrix's Frobenius norm, and B = R^2/4 (logistic) or R^2 (linear). One row's u has norm 1 at most.
//!
//! Everybody takes the sum's matrix apart, raises eigenvalues that the noise may have made small or negative, and adds the
//! public ridge. Standard errors are those of the sandwich: sampling and the noise of the last score.

use super::cholesky::Cholesky;
use super::design::Design;
use super::symmetric::raised;
use super::{Advance, Regression};
use crate::model::Model;
use crate::objective::Objective;
use crate::result::RegressionResult;
use crate::task::TaskFault;

/// Public bounds on one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    score: f64,
    information: f64,
}

impl Scales {
    pub(super) fn of(objective: Objective, row: f64) -> Self {
        match objective {
            Objective::Linear { longest_residual } => Self {
                score: row * longest_residual.unwrap_or(1.0),
                information: row * row,
            },
            Objective::Logistic | Objective::Softmax { .. } | Objective::Perceptron(_) => Self {
                score: row,
                information: row * row / 4.0,
            },
        }
    }

    /// One vector per patient, over all of that patient's rows. The agent clips them.
    pub(super) fn patient_vectors(
        self,
        objective: Objective,
        design: &Design,
        parameters: &[f64],
        patients: &[Vec<usize>],
    ) -> Vec<Vec<f64>> {
        let width = parameters.len();
        let factors: Vec<f64> = off_diagonal_factors(width).collect();
        let vector = |rows: &Vec<usize>| {
            let mut score = vec![0.0; width];
            let mut information = vec![0.0; factors.len()];
            for (row, outcome) in rows.iter().filter_map(|index| design.row(*index)) {
                objective.add_score(row, outcome, parameters, &mut score);
                objective.add_information(row, parameters, &mut information);
            }
            let score = score
                .iter()
                .map(|value| value / self.score / std::f64::consts::SQRT_2);
            let information = information.iter().zip(&factors).map(|(value, factor)| {
                factor * value / self.information / std::f64::consts::SQRT_2
            });
            score.chain(information).collect()
        };
        patients.iter().map(vector).collect()
    }
}

/// 1 on the diagonal of the triangle, sqrt 2 beside it.
fn off_diagonal_factors(size: usize) -> impl Iterator<Item = f64> {
    (0..size).flat_map(move |row| {
        (row..size).map(move |column| match row == column {
            true => 1.0,
            false => std::f64::consts::SQRT_2,
        })
    })
}

/// One step; finished when the rounds are used up. `deviation` is that of the noise in each coordinate.
pub(super) fn advance(
    regression: &Regression,
    model: &Model,
    sum: &[f64],
    deviation: f64,
    scales: Scales,
) -> Result<Advance, TaskFault> {
    let size = model.parameters.len();
    let (score, information) = sum
        .split_at_checked(size)
        .ok_or(TaskFault::NotPositiveDefinite)?;
    let (score_unit, information_unit) = (
        scales.score * std::f64::consts::SQRT_2,
        scales.information * std::f64::consts::SQRT_2,
    );
    #[expect(clippy::cast_precision_loss, reason = "a study has few features")]
    let width = size as f64;
    let ridge = regression.plan.ridge.unwrap_or(0.0) * regression.expected_batch.unwrap_or(0.0);
    let score: Vec<f64> = score
        .iter()
        .zip(&model.parameters)
        .map(|(value, parameter)| value * score_unit - ridge * parameter)
        .collect();
    let upper: Vec<f64> = information
        .iter()
        .zip(off_diagonal_factors(size))
        .map(|(value, factor)| value * information_unit / factor)
        .collect();
    let information = raised(&upper, size, deviation * information_unit * width.sqrt());
    let curvature: Vec<f64> = information
        .iter()
        .zip(off_diagonal_factors(size))
        .map(|(value, factor)| value + if factor == 1.0 { ridge } else { 0.0 })
        .collect();
    let factor =
        Cholesky::of_upper_triangle(&curvature, size).ok_or(TaskFault::NotPositiveDefinite)?;
    let steps = factor.solve(&score);
    let next = model.moved_by(&steps);
    if next.rounds < regression.most_rounds {
        return Ok(Advance::Continue(next));
    }
    let errors = match regression.objective {
        Objective::Logistic => Some(standard_errors(
            &factor,
            &information,
            deviation * score_unit,
            size,
        )),
        // The spread of the residuals, which they need, is no coordinate of the vector.
        Objective::Linear { .. } | Objective::Softmax { .. } | Objective::Perceptron(_) => None,
    };
    let plain = regression.result(&next.parameters, next.rounds, None);
    let intervals = errors.as_ref().map(|errors| {
        let pairs = next.parameters.iter().zip(errors);
        pairs
            .map(|(parameter, error)| {
                let reach = super::newton::NORMAL_97_5 * error;
                [(parameter - reach).exp(), (parameter + reach).exp()]
            })
            .collect()
    });
    let result = RegressionResult {
        standard_errors: errors,
        intervals,
        ..plain
    };
    Ok(Advance::Finished(next, result))
}

/// The roots of the diagonal of A^-1 (H + s^2) A^-1.
fn standard_errors(
    factor: &Cholesky,
    information: &[f64],
    score_deviation: f64,
    size: usize,
) -> Vec<f64> {
    (0..size)
        .map(|index| {
            let unit: Vec<f64> = (0..size)
                .map(|place| f64::from(u8::from(place == index)))
                .collect();
            let column = factor.solve(&unit);
            let mut variance = 0.0;
            let places = (0..size).flat_map(|row| (row..size).map(move |column| (row, column)));
            for ((row, other), value) in places.zip(information) {
                let (left, right) = (column.get(row), column.get(other));
                let product = left.zip(right).map_or(0.0, |(left, right)| left * right);
                variance += product * value * if row == other { 1.0 } else { 2.0 };
            }
            let noise: f64 = column.iter().map(|value| value * value).sum();
            (variance + score_deviation * score_deviation * noise).sqrt()
        })
        .collect()
}

#[cfg(test)]
mod tests;
