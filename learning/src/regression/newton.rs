// SPDX-License-Identifier: Apache-2.0
//! Newton steps on the summed score and information: the pooled maximum-likelihood fit without pooling.
//!
//! Of a number the first step is the least-squares fit itself, and the second confirms it.

use super::cholesky::Cholesky;
use super::design::Design;
use super::{Advance, Regression, Tail};
use crate::model::Model;
use crate::objective::Objective;
use crate::result::RegressionResult;
use crate::task::TaskFault;

/// Score, upper triangle of the information, log-likelihood and rows, at `parameters`.
pub(super) fn contribution(objective: Objective, design: &Design, parameters: &[f64]) -> Vec<f64> {
    let mut score = vec![0.0; design.width()];
    let mut information = vec![0.0; triangle(design.width())];
    for (row, outcome) in design.rows() {
        objective.add_score(&row, outcome, parameters, &mut score);
        objective.add_information(&row, parameters, &mut information);
    }
    score.extend(information);
    score.extend(Tail::of(objective, design, parameters));
    score
}

/// One step; finished when it is small or when the rounds are used up.
pub(super) fn advance(
    regression: &Regression,
    model: &Model,
    sum: &[f64],
    stop_when_step_below: f64,
) -> Result<Advance, TaskFault> {
    let (body, tail) = Tail::split(sum)?;
    let size = regression.features.len();
    let (score, information) = body
        .split_at_checked(size)
        .ok_or(TaskFault::NotPositiveDefinite)?;
    let factor =
        Cholesky::of_upper_triangle(information, size).ok_or(TaskFault::NotPositiveDefinite)?;
    let steps = factor.solve(score);
    let largest_step = steps
        .iter()
        .fold(0.0_f64, |largest, step| largest.max(step.abs()));
    let next = model.moved_by(&steps);
    let converged = largest_step < stop_when_step_below;
    if converged || next.rounds >= regression.most_rounds {
        let result = inference(regression, &next, &factor, tail, converged);
        Ok(Advance::Finished(next, Box::new(result)))
    } else {
        Ok(Advance::Continue(next))
    }
}

/// Entries of the upper triangle of a square matrix.
pub(super) fn triangle(size: usize) -> usize {
    size * (size + 1) / 2
}

/// Standard errors from the information, which was taken one (tiny) step before the end. Those of a number need the
/// variance of the residuals there, over rows less coefficients, and its unit.
fn inference(
    regression: &Regression,
    model: &Model,
    factor: &Cholesky,
    tail: Tail,
    converged: bool,
) -> RegressionResult {
    let fit = RegressionResult {
        converged: Some(converged),
        ..regression.result(&model.parameters, model.rounds, Some(tail))
    };
    let dispersion = match regression.outcome_number() {
        None => 1.0,
        Some(number) => {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53 coefficients")]
            let freedom = tail.rows - model.parameters.len() as f64;
            if !converged || freedom < 1.0 {
                return fit;
            }
            number.scale * number.scale * (-2.0 * tail.log_likelihood) / freedom
        }
    };
    let standard_errors: Vec<f64> = factor
        .inverse_diagonal()
        .iter()
        .map(|variance| (variance * dispersion).sqrt())
        .collect();
    let intervals = fit
        .coefficients
        .iter()
        .zip(&standard_errors)
        .map(|(coefficient, error)| {
            let reach = NORMAL_97_5 * error;
            let ends = [coefficient - reach, coefficient + reach];
            match regression.outcome_number() {
                None => ends.map(f64::exp),
                Some(_) => ends,
            }
        })
        .collect();
    RegressionResult {
        standard_errors: Some(standard_errors),
        intervals: Some(intervals),
        ..fit
    }
}

/// The 97.5 % point of the standard normal distribution, for two-sided 95 % intervals.
pub(super) const NORMAL_97_5: f64 = 1.959_963_984_540_054;
