// SPDX-License-Identifier: Apache-2.0
//! One gradient step per round, along the mean over rows or, with noise, over a public number of patients.

use super::design::Design;
use super::{Advance, Regression, Tail};
use crate::model::Model;
use crate::objective::logistic;
use crate::task::TaskFault;

/// Score, log-likelihood and rows, at `parameters`.
pub(super) fn contribution(design: &Design, parameters: &[f64]) -> Vec<f64> {
    let mut score = vec![0.0; design.width()];
    for (row, positive) in design.rows() {
        let eta = logistic::linear_predictor(row, parameters);
        logistic::add_score(row, eta, positive, &mut score);
    }
    score.extend(Tail::of(design, parameters));
    score
}

/// One score per patient, over all of that patient's rows. The agent clips them.
pub(super) fn patient_scores(
    design: &Design,
    parameters: &[f64],
    patients: &[Vec<usize>],
) -> Vec<Vec<f64>> {
    patients
        .iter()
        .map(|rows| {
            let mut score = vec![0.0; design.width()];
            for (row, positive) in rows.iter().filter_map(|index| design.row(*index)) {
                let eta = logistic::linear_predictor(row, parameters);
                logistic::add_score(row, eta, positive, &mut score);
            }
            score
        })
        .collect()
}

/// One step; finished when the rounds are used up. `memory` is the running sum of the averaged rounds.
pub(super) fn advance(
    regression: &Regression,
    model: &Model,
    sum: &[f64],
    learning_rate: f64,
    average_last: u32,
) -> Result<Advance, TaskFault> {
    let (score, divisor, tail) = match regression.expected_patients {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a study states at most 10^9 patients"
        )]
        Some(patients) => (sum, patients as f64, None),
        None => {
            let (score, tail) = Tail::split(sum)?;
            (score, tail.rows, Some(tail))
        }
    };
    let parameters: Vec<f64> = model
        .parameters
        .iter()
        .zip(score)
        .map(|(parameter, slope)| parameter + learning_rate * slope / divisor)
        .collect();
    let rounds = model.rounds.saturating_add(1);
    let averaged = average_last > 1 && rounds.saturating_add(average_last) > regression.most_rounds;
    let memory = match (averaged, model.memory.is_empty()) {
        (false, _) => Vec::new(),
        (true, true) => parameters.clone(),
        (true, false) => model
            .memory
            .iter()
            .zip(&parameters)
            .map(|(sum, parameter)| sum + parameter)
            .collect(),
    };
    if rounds < regression.most_rounds {
        return Ok(Advance::Continue(Model {
            rounds,
            parameters,
            memory,
        }));
    }
    let parameters = if averaged {
        memory
            .iter()
            .map(|sum| sum / f64::from(average_last))
            .collect()
    } else {
        parameters
    };
    let result = regression.result(&parameters, rounds, tail);
    let last = Model {
        rounds,
        parameters,
        memory: Vec::new(),
    };
    Ok(Advance::Finished(last, result))
}
