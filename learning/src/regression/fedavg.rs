// SPDX-License-Identifier: Apache-2.0
//! Federated averaging: several full-batch steps in each silo, then the mean over all rows.

use super::design::Design;
use super::{Advance, Regression, Tail};
use crate::model::Model;
use crate::objective::{Objective, logistic};
use crate::task::TaskFault;

/// The silo's move times its rows, then log-likelihood (before the move) and rows.
pub(super) fn contribution(
    design: &Design,
    parameters: &[f64],
    learning_rate: f64,
    local_steps: u32,
) -> Vec<f64> {
    let rows = design.row_count();
    let mut local = parameters.to_vec();
    for _ in 0..local_steps {
        let mut score = vec![0.0; design.width()];
        for (row, outcome) in design.rows() {
            let eta = logistic::linear_predictor(row, &local);
            logistic::add_score(row, eta, outcome.is_positive(), &mut score);
        }
        for (parameter, slope) in local.iter_mut().zip(score) {
            *parameter += learning_rate * slope / rows;
        }
    }
    let mut sum: Vec<f64> = local
        .iter()
        .zip(parameters)
        .map(|(after, before)| rows * (after - before))
        .collect();
    sum.extend(Tail::of(Objective::Logistic, design, parameters));
    sum
}

/// The mean move over all rows; finished when the rounds are used up.
pub(super) fn advance(
    regression: &Regression,
    model: &Model,
    sum: &[f64],
) -> Result<Advance, TaskFault> {
    let (moves, tail) = Tail::split(sum)?;
    let next = Model {
        rounds: model.rounds.saturating_add(1),
        parameters: model
            .parameters
            .iter()
            .zip(moves)
            .map(|(parameter, total)| parameter + total / tail.rows)
            .collect(),
        memory: Vec::new(),
    };
    if next.rounds < regression.most_rounds {
        return Ok(Advance::Continue(next));
    }
    let result = regression.result(&next.parameters, next.rounds, Some(tail));
    Ok(Advance::Finished(next, result))
}
