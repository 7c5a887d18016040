// SPDX-License-Identifier: Apache-2.0
//! A regression as a sequence of rounds: what each silo contributes and what everybody makes of the sum.
//!
//! | method | coordinates of the vector | of the sum |
//! |---|---|---|
//! | Newton | score, information (upper triangle), log-likelihood, rows | parameters += information^-1 score |
//! | FedSGD | score, log-likelihood, rows | parameters += rate * score / rows |
//! | FedSGD with noise | one score per patient | parameters += rate * score / expected patients |
//! | FedAvg | rows * (local parameters - parameters), log-likelihood, rows | parameters += mean of the moves |
//!
//! The steps of everybody use + - * / and square root only, so that all silos get the same bits.

use crate::contribution::Contribution;
use crate::model::Model;
use crate::objective::logistic;
use crate::result::{Count, RegressionResult};
use crate::study::{DataSchema, Method, Privacy, RegressionPlan, Study};
use crate::table::{Table, TableWarning, Values};
use crate::task::TaskFault;

use design::Design;

mod cholesky;
mod design;
mod fedavg;
mod fedsgd;
mod newton;

/// A regression of one study.
#[derive(Clone, Debug)]
pub(crate) struct Regression {
    plan: RegressionPlan,
    data: DataSchema,
    names: Vec<String>,
    most_rounds: u32,
    expected_patients: Option<u64>,
}

/// What the sum of a round leads to.
pub(crate) enum Advance {
    Continue(Model),
    Finished(Model, RegressionResult),
}

/// How many test rows a model predicts on the right side of one half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correctness {
    /// Rows on the right side.
    pub correct: usize,
    /// All rows.
    pub total: usize,
}

impl Regression {
    pub(crate) fn new(plan: &RegressionPlan, study: &Study) -> Result<Self, TaskFault> {
        Ok(Self {
            names: design::names(plan, &study.data)?,
            plan: plan.clone(),
            data: study.data.clone(),
            most_rounds: study.rounds.most,
            expected_patients: match &study.privacy {
                Privacy::None => None,
                Privacy::Distributed(distributed) => Some(distributed.expected_patients),
            },
        })
    }

    pub(crate) fn dimension(&self) -> usize {
        let features = self.names.len();
        match (self.plan.method, self.expected_patients) {
            (Method::Newton { .. }, _) => features + newton::triangle(features) + TAIL,
            (Method::FedSgd { .. }, Some(_)) => features,
            (Method::FedSgd { .. } | Method::FedAvg { .. }, _) => features + TAIL,
        }
    }

    pub(crate) fn initial_model(&self) -> Model {
        Model {
            rounds: 0,
            parameters: vec![0.0; self.names.len()],
            memory: Vec::new(),
        }
    }

    pub(crate) fn contribution(
        &self,
        model: &Model,
        table: &Table,
    ) -> Result<Contribution, TaskFault> {
        self.check(model)?;
        let design = Design::new(&self.plan, &self.data, table)?;
        let parameters = &model.parameters;
        Ok(match (self.plan.method, self.expected_patients) {
            (Method::Newton { .. }, _) => {
                Contribution::Sum(newton::contribution(&design, parameters))
            }
            (Method::FedSgd { .. }, None) => {
                Contribution::Sum(fedsgd::contribution(&design, parameters))
            }
            (Method::FedSgd { .. }, Some(_)) => Contribution::PatientVectors {
                dimension: self.names.len(),
                vectors: fedsgd::patient_scores(&design, parameters, table.patients()),
            },
            (
                Method::FedAvg {
                    learning_rate,
                    local_steps,
                },
                _,
            ) => Contribution::Sum(fedavg::contribution(
                &design,
                parameters,
                learning_rate,
                local_steps,
            )),
        })
    }

    pub(crate) fn advance(&self, model: &Model, sum: &[f64]) -> Result<Advance, TaskFault> {
        self.check(model)?;
        match self.plan.method {
            Method::Newton {
                stop_when_step_below,
            } => newton::advance(self, model, sum, stop_when_step_below),
            Method::FedSgd {
                learning_rate,
                average_last,
            } => fedsgd::advance(self, model, sum, learning_rate, average_last),
            Method::FedAvg { .. } => fedavg::advance(self, model, sum),
        }
    }

    pub(crate) fn warnings(&self, table: &Table) -> Vec<TableWarning> {
        let Some(Values::Categories(outcomes)) = table.column(&self.plan.outcome) else {
            return Vec::new();
        };
        let Ok(category) = self.data.category("analysis.outcome", &self.plan.outcome) else {
            return Vec::new();
        };
        let labels = category.labels();
        match outcomes.first() {
            Some(first) if outcomes.iter().all(|outcome| outcome == first) => {
                vec![TableWarning::OneOutcomeOnly {
                    column: self.plan.outcome.clone(),
                    label: labels.get(*first).copied().unwrap_or_default().to_owned(),
                }]
            }
            Some(_) | None => Vec::new(),
        }
    }

    pub(crate) fn evaluate(&self, model: &Model, table: &Table) -> Result<Correctness, TaskFault> {
        self.check(model)?;
        let design = Design::new(&self.plan, &self.data, table)?;
        let correct = design
            .rows()
            .filter(|(row, positive)| {
                (logistic::linear_predictor(row, &model.parameters) > 0.0) == *positive
            })
            .count();
        Ok(Correctness {
            correct,
            total: table.row_count(),
        })
    }

    fn check(&self, model: &Model) -> Result<(), TaskFault> {
        if model.parameters.len() == self.names.len() {
            Ok(())
        } else {
            Err(TaskFault::OtherModel {
                expected: self.names.len(),
                found: model.parameters.len(),
            })
        }
    }

    /// The result without inference, as FedSGD and FedAvg give it.
    fn result(&self, parameters: &[f64], rounds: u32, tail: Option<Tail>) -> RegressionResult {
        RegressionResult {
            method: self.plan.method.name().to_owned(),
            names: self.names.clone(),
            coefficients: parameters.to_vec(),
            standard_errors: None,
            odds_ratios: parameters.iter().map(|parameter| parameter.exp()).collect(),
            intervals: None,
            rounds,
            converged: None,
            log_likelihood: tail.as_ref().map(|tail| tail.log_likelihood),
            examples: tail.map(|tail| Count(tail.rows)),
        }
    }
}

/// The last two coordinates of an unnoised sum.
#[derive(Clone, Copy)]
struct Tail {
    log_likelihood: f64,
    rows: f64,
}

impl Tail {
    /// Splits a sum into what the method put there and the tail.
    fn split(sum: &[f64]) -> Result<(&[f64], Self), TaskFault> {
        match sum {
            [body @ .., log_likelihood, rows] if *rows >= 1.0 => Ok((
                body,
                Self {
                    log_likelihood: *log_likelihood,
                    rows: *rows,
                },
            )),
            _ => Err(TaskFault::NoExamples),
        }
    }

    fn of(design: &Design, parameters: &[f64]) -> [f64; TAIL] {
        let mut tail = [0.0; TAIL];
        for (row, positive) in design.rows() {
            let eta = logistic::linear_predictor(row, parameters);
            tail[0] += logistic::log_likelihood(eta, positive);
            tail[1] += 1.0;
        }
        tail
    }
}

const TAIL: usize = 2;
