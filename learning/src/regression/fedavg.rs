// SPDX-License-Identifier: Apache-2.0
//! Federated averaging: several full-batch steps in each silo, then the mean over all rows or, with noise, over all silos.

use super::design::Design;
use super::{Advance, Regression, Tail, fedsgd};
use crate::model::Model;
use crate::objective::Objective;
use crate::server_optimizer::ServerOptimizer;
use crate::task::TaskFault;

/// The steps of a silo without noise.
pub(super) struct LocalSteps {
    pub(super) learning_rate: f64,
    pub(super) steps: u32,
    pub(super) ridge: f64,
}

/// The silo's move times its rows, then log-likelihood (before the move) and rows.
pub(super) fn contribution(
    objective: Objective,
    design: &Design,
    parameters: &[f64],
    local: &LocalSteps,
) -> Vec<f64> {
    let rows = design.row_count();
    let moves = moves(objective, design, parameters, local);
    let mut sum: Vec<f64> = moves.into_iter().map(|moved| rows * moved).collect();
    sum.extend(Tail::of(objective, design, parameters));
    sum
}

/// How far the parameters move in all local steps.
pub(super) fn moves(
    objective: Objective,
    design: &Design,
    parameters: &[f64],
    local: &LocalSteps,
) -> Vec<f64> {
    let rows = design.row_count();
    let mut moved = parameters.to_vec();
    for _ in 0..local.steps {
        let mut score = vec![0.0; parameters.len()];
        for (row, outcome) in design.rows() {
            objective.add_score(&row, outcome, &moved, &mut score);
        }
        for (parameter, slope) in moved.iter_mut().zip(score) {
            *parameter += local.learning_rate * (slope / rows - local.ridge * *parameter);
        }
    }
    moved
        .iter()
        .zip(parameters)
        .map(|(after, before)| after - before)
        .collect()
}

/// The mean move; finished when the rounds are used up.
pub(super) fn advance(
    regression: &Regression,
    model: &Model,
    sum: &[f64],
    server: ServerOptimizer,
) -> Result<Advance, TaskFault> {
    match regression.expected_batch {
        // A mean already: each silo has divided its move by the number of silos, or everybody does so when decoding.
        Some(_) => fedsgd::step(regression, model, sum, server, None),
        None => {
            let (moves, tail) = Tail::split(sum)?;
            let mean: Vec<f64> = moves.iter().map(|total| total / tail.rows).collect();
            fedsgd::step(regression, model, &mean, server, Some(tail))
        }
    }
}
