// SPDX-License-Identifier: Apache-2.0
//! Newton steps on noised sums.
//!
//! With a public R that no row of features exceeds, a patient's vector is u = (g/G, h/B)/sqrt 2: g the score, G = R times
//! the largest residual, h the upper triangle of the information with off-diagonals times sqrt 2, so that its length is
//! the matrix's Frobenius norm, and B = R^2/4 (logistic) or R^2 (linear). A linear one has one coordinate more, for the
//! standard errors: u = (g/G, h/B, w r^2)/sqrt(2 + w^2), r the residual over its bound. One row's u has norm 1 at most.
//!
//! Everybody takes the sum's matrix apart, raises eigenvalues that the noise may have made small or negative, and adds the
//! public ridge. Standard errors are those of the sandwich: sampling, the noise of the last score, and the noise of the last
//! information times the step that was taken with it. That step is what remained of all noise before.

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
    /// The square of the largest residual of a number.
    squared_residual: Option<f64>,
}

impl Scales {
    pub(super) fn of(objective: Objective, row: f64) -> Self {
        match objective {
            Objective::Linear { longest_residual } => Self {
                score: row * longest_residual.unwrap_or(1.0),
                information: row * row,
                squared_residual: Some(longest_residual.unwrap_or(1.0).powi(2)),
            },
            Objective::Logistic | Objective::Softmax { .. } | Objective::Perceptron(_) => Self {
                score: row,
                information: row * row / 4.0,
                squared_residual: None,
            },
        }
    }

    /// What one row's vector is divided by, so that its norm is 1 at most.
    fn divisor(self) -> f64 {
        match self.squared_residual {
            None => std::f64::consts::SQRT_2,
            Some(_) => (2.0 + RESIDUAL_WEIGHT * RESIDUAL_WEIGHT).sqrt(),
        }
    }

    /// The vector of one patient, over all of that patient's rows. The agent clips it.
    pub(super) fn patient_vector(
        self,
        objective: Objective,
        design: &Design,
        parameters: &[f64],
        rows: &[usize],
    ) -> Vec<f64> {
        let width = parameters.len();
        let divisor = self.divisor();
        let mut score = vec![0.0; width];
        let mut information = vec![0.0; super::newton::triangle(width)];
        let mut residuals = 0.0;
        for (row, outcome) in rows.iter().filter_map(|index| design.row(*index)) {
            objective.add_score(&row, outcome, parameters, &mut score);
            objective.add_information(&row, parameters, &mut information);
            if let Some(bound) = self.squared_residual {
                let square = -2.0 * objective.log_likelihood(&row, outcome, parameters);
                residuals += square.min(bound) / bound;
            }
        }
        let spread = self
            .squared_residual
            .map(|_| RESIDUAL_WEIGHT * residuals / divisor);
        let score = score.iter().map(|value| value / self.score / divisor);
        let information = information
            .iter()
            .zip(off_diagonal_factors(width))
            .map(|(value, factor)| factor * value / self.information / divisor);
        score.chain(information).chain(spread).collect()
    }
}

/// Coordinates of a patient's vector, for so many parameters.
pub(super) fn dimension(objective: Objective, parameters: usize) -> usize {
    let spread = match objective {
        Objective::Linear { .. } => 1,
        Objective::Logistic | Objective::Softmax { .. } | Objective::Perceptron(_) => 0,
    };
    parameters + super::newton::triangle(parameters) + spread
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
    let (score, rest) = sum
        .split_at_checked(size)
        .ok_or(TaskFault::NotPositiveDefinite)?;
    let (information, spread) = rest
        .split_at_checked(super::newton::triangle(size))
        .ok_or(TaskFault::NotPositiveDefinite)?;
    let (score_unit, information_unit) = (
        scales.score * scales.divisor(),
        scales.information * scales.divisor(),
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
    let uncertainty = Uncertainty {
        factor: &factor,
        information: &information,
        dispersion: dispersion(&upper, spread, deviation, scales),
        score_deviation: deviation * score_unit,
        information_deviation: deviation * information_unit,
        steps: &steps,
    };
    let unit = regression.outcome_number().map(|number| number.scale);
    let errors: Vec<f64> = (0..size)
        .map(|index| unit.unwrap_or(1.0) * uncertainty.variance(index).sqrt())
        .collect();
    let plain = regression.result(&next.parameters, next.rounds, None);
    let pairs = plain.coefficients.iter().zip(&errors);
    let intervals = pairs
        .map(|(coefficient, error)| {
            let reach = super::newton::NORMAL_97_5 * error;
            let ends = [coefficient - reach, coefficient + reach];
            match unit {
                None => ends.map(f64::exp),
                Some(_) => ends,
            }
        })
        .collect();
    let result = RegressionResult {
        standard_errors: Some(errors),
        intervals: Some(intervals),
        ..plain
    };
    Ok(Advance::Finished(next, Box::new(result)))
}

/// The variance of a number's residuals, never below what its noise could hide; 1 for other outcomes.
///
/// The rows are those that the information counts: the square of the intercept, which is less where rows were shortened.
fn dispersion(upper: &[f64], spread: &[f64], deviation: f64, scales: Scales) -> f64 {
    match (scales.squared_residual, spread, upper) {
        (Some(bound), [sum], [rows, ..]) => {
            let unit = bound * scales.divisor() / RESIDUAL_WEIGHT;
            (sum * unit).max(deviation * unit) / rows.max(1.0)
        }
        _ => 1.0,
    }
}

/// What the last step rests on.
struct Uncertainty<'a> {
    factor: &'a Cholesky,
    information: &'a [f64],
    /// The variance of one row's score, over its information.
    dispersion: f64,
    score_deviation: f64,
    /// Of an entry of the diagonal; beside it by the root of two less.
    information_deviation: f64,
    steps: &'a [f64],
}

impl Uncertainty<'_> {
    /// A place of the diagonal of A^-1 (f H + s_g^2 + s_h^2 (|v|^2 + v v')/2) A^-1, v the step: E v, for symmetric noise E,
    /// has the last term as its covariance.
    fn variance(&self, index: usize) -> f64 {
        let size = self.steps.len();
        let unit: Vec<f64> = (0..size)
            .map(|place| f64::from(u8::from(place == index)))
            .collect();
        let column = self.factor.solve(&unit);
        let mut sampling = 0.0;
        let places = (0..size).flat_map(|row| (row..size).map(move |column| (row, column)));
        for ((row, other), value) in places.zip(self.information) {
            let (left, right) = (column.get(row), column.get(other));
            let product = left.zip(right).map_or(0.0, |(left, right)| left * right);
            sampling += product * value * if row == other { 1.0 } else { 2.0 };
        }
        let square = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>();
        let along: f64 = column.iter().zip(self.steps).map(|(c, v)| c * v).sum();
        let of_information = (square(self.steps) * square(&column) + along * along) / 2.0;
        self.dispersion * sampling
            + self.score_deviation * self.score_deviation * square(&column)
            + self.information_deviation * self.information_deviation * of_information
    }
}

/// How much of a row's norm the residual may take: enough for the standard errors, little noise more on all else.
const RESIDUAL_WEIGHT: f64 = 0.5;

#[cfg(test)]
mod tests;
