// SPDX-License-Identifier: Apache-2.0
//! Newton steps on the summed score and information: the pooled maximum-likelihood fit without pooling.

use super::cholesky::Cholesky;
use super::design::Design;
use super::{Advance, Regression, Tail};
use crate::model::Model;
use crate::objective::{Objective, logistic};
use crate::result::RegressionResult;
use crate::task::TaskFault;

/// Score, upper triangle of the information, log-likelihood and rows, at `parameters`.
pub(super) fn contribution(design: &Design, parameters: &[f64]) -> Vec<f64> {
    let mut score = vec![0.0; design.width()];
    let mut information = vec![0.0; triangle(design.width())];
    for (row, outcome) in design.rows() {
        let eta = logistic::linear_predictor(row, parameters);
        logistic::add_score(row, eta, outcome.is_positive(), &mut score);
        logistic::add_information(row, eta, &mut information);
    }
    score.extend(information);
    score.extend(Tail::of(Objective::Logistic, design, parameters));
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
    let next = Model {
        rounds: model.rounds.saturating_add(1),
        parameters: model
            .parameters
            .iter()
            .zip(&steps)
            .map(|(parameter, step)| parameter + step)
            .collect(),
        memory: Vec::new(),
    };
    let converged = largest_step < stop_when_step_below;
    if converged || next.rounds >= regression.most_rounds {
        let result = inference(regression, &next, &factor, tail, converged);
        Ok(Advance::Finished(next, result))
    } else {
        Ok(Advance::Continue(next))
    }
}

/// Entries of the upper triangle of a square matrix.
pub(super) fn triangle(size: usize) -> usize {
    size * (size + 1) / 2
}

/// Standard errors from the information, which was taken one (tiny) step before the end.
fn inference(
    regression: &Regression,
    model: &Model,
    factor: &Cholesky,
    tail: Tail,
    converged: bool,
) -> RegressionResult {
    let standard_errors: Vec<f64> = factor
        .inverse_diagonal()
        .iter()
        .map(|variance| variance.sqrt())
        .collect();
    let intervals = model
        .parameters
        .iter()
        .zip(&standard_errors)
        .map(|(parameter, error)| {
            let reach = NORMAL_97_5 * error;
            [(parameter - reach).exp(), (parameter + reach).exp()]
        })
        .collect();
    RegressionResult {
        standard_errors: Some(standard_errors),
        intervals: Some(intervals),
        converged: Some(converged),
        ..regression.result(&model.parameters, model.rounds, Some(tail))
    }
}

/// The 97.5 % point of the standard normal distribution, for two-sided 95 % intervals.
pub(super) const NORMAL_97_5: f64 = 1.959_963_984_540_054;
