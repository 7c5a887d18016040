// SPDX-License-Identifier: Apache-2.0
//! One gradient step per round, along the mean over rows or, with noise, over the number of
//! patients that a round is expected to hold, which is public.

use super::design::Design;
use super::{Advance, Regression, Tail};
use crate::model::Model;
use crate::objective::Objective;
use crate::server_optimizer::ServerOptimizer;
use crate::task::TaskFault;

/// Score, log-likelihood and rows, at `parameters`.
pub(super) fn contribution(objective: Objective, design: &Design, parameters: &[f64]) -> Vec<f64> {
    let mut score = vec![0.0; parameters.len()];
    for (row, outcome) in design.rows() {
        objective.add_score(&row, outcome, parameters, &mut score);
    }
    score.extend(Tail::of(objective, design, parameters));
    score
}

/// The score over the number of rows: what a whole silo contributes where it is the unit. Zero without rows.
pub(super) fn mean_score(objective: Objective, design: &Design, parameters: &[f64]) -> Vec<f64> {
    let mut score = vec![0.0; parameters.len()];
    for (row, outcome) in design.rows() {
        objective.add_score(&row, outcome, parameters, &mut score);
    }
    let rows = design.row_count().max(1.0);
    score.into_iter().map(|slope| slope / rows).collect()
}

/// The score of one patient, over all of that patient's rows. The agent clips it.
pub(super) fn patient_score(
    objective: Objective,
    design: &Design,
    parameters: &[f64],
    rows: &[usize],
) -> Vec<f64> {
    let mut score = vec![0.0; parameters.len()];
    for (row, outcome) in rows.iter().filter_map(|index| design.row(*index)) {
        objective.add_score(&row, outcome, parameters, &mut score);
    }
    score
}

/// One step; finished when the rounds are used up.
pub(super) fn advance(
    regression: &Regression,
    model: &Model,
    sum: &[f64],
    server: ServerOptimizer,
) -> Result<Advance, TaskFault> {
    let (score, divisor, tail) = match regression.expected_batch {
        Some(patients) => (sum, patients, None),
        None => {
            let (score, tail) = Tail::split(sum)?;
            (score, tail.rows, Some(tail))
        }
    };
    let ridge = regression.ridge();
    let gradient: Vec<f64> = score
        .iter()
        .zip(&model.parameters)
        .map(|(slope, parameter)| slope / divisor - ridge * parameter)
        .collect();
    step(regression, model, &gradient, server, tail)
}

/// A step of the server along a direction; finished when the rounds are used up.
pub(super) fn step(
    regression: &Regression,
    model: &Model,
    direction: &[f64],
    server: ServerOptimizer,
    tail: Option<Tail>,
) -> Result<Advance, TaskFault> {
    let expected = server.memory_length(model.rounds, model.parameters.len());
    if model.memory.len() != expected {
        return Err(TaskFault::OtherModel {
            expected,
            found: model.memory.len(),
        });
    }
    let stepped = server.step(model.rounds, &model.parameters, &model.memory, direction);
    let next = Model {
        rounds: stepped.rounds,
        parameters: stepped.parameters,
        memory: stepped.memory,
        stage: model.stage,
    };
    if stepped.finished {
        let result = regression.result(&next.parameters, next.rounds, tail);
        Ok(Advance::Finished(next, Box::new(result)))
    } else {
        Ok(Advance::Continue(next))
    }
}
