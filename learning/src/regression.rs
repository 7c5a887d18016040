// SPDX-License-Identifier: Apache-2.0
//! A regression as a sequence of rounds: what each silo contributes and what everybody makes of the sum.
//!
//! | method | coordinates of the vector | of the sum |
//! |---|---|---|
//! | Newton | score, information (upper triangle), log-likelihood, rows | parameters += information^-1 score |
//! | Newton with noise | one scaled score and information per patient | the same, after the eigenvalues are raised |
//! | FedSGD | score, log-likelihood, rows | a step of the server's optimiser along score / rows |
//! | FedSGD with noise | one score per patient | the same along score / patients expected in a round |
//! | FedAvg | rows * (local parameters - parameters), log-likelihood, rows | parameters += mean of the moves |
//! | FedAvg with noise | one score per patient at each local step; then (local parameters - parameters) / silos | parameters += mean of the moves |
//! | FedSGD, silo as unit | one mean score of the whole silo | a step along the mean over all invited silos |
//! | FedAvg, silo as unit | local parameters - parameters, noised once | parameters += mean over all invited silos |
//!
//! The steps of everybody use + - * / and square root only, so that all silos get the same bits.

use consilium_privacy::noise_plan::Unit;

use crate::contribution::Contributing;
use crate::decoded_sum::DecodedSum;
use crate::local_training::LocalStep;
use crate::model::{Model, Stage};
use crate::objective::{Objective, Outcome, logistic};
use crate::result::{Count, RegressionResult};
use crate::server_optimizer::ServerOptimizer;
use crate::study::{DataSchema, Method, Number, Optimizer, RegressionPlan, Study};
use crate::table::{Table, TableWarning, Values};
use crate::task::TaskFault;

use design::Design;

mod cholesky;
mod design;
mod fedavg;
mod fedsgd;
mod newton;
mod private_newton;
mod symmetric;

/// A regression of one study; Newton's steps find logistic and linear ones only.
#[derive(Clone, Debug)]
pub(crate) struct Regression {
    plan: RegressionPlan,
    data: DataSchema,
    objective: Objective,
    /// Of the features, the intercept first.
    features: Vec<String>,
    /// Of the parameters.
    names: Vec<String>,
    most_rounds: u32,
    /// Patients whose vectors a sum with noise holds, by public numbers.
    expected_batch: Option<f64>,
    /// Whom the noise hides, if there is noise.
    unit: Option<Unit>,
}

/// What the sum of a round leads to.
pub(crate) enum Advance {
    Continue(Model),
    Finished(Model, Box<RegressionResult>),
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
        let features = design::names(plan, &study.data)?;
        let labels = design::outcome_labels(plan, &study.data)?;
        let expected_batch = study.expected_batch();
        let longest_residual = expected_batch
            .and_then(|_| design::outcome_number(plan, &study.data))
            .map(|number| number.standard_width());
        let objective = Objective::of(plan.model, labels.len(), longest_residual);
        Ok(Self {
            names: objective.names(&features, &labels),
            objective,
            features,
            plan: plan.clone(),
            data: study.data.clone(),
            most_rounds: study.rounds.most,
            expected_batch,
            unit: study.privacy.promise().map(|promise| promise.unit),
        })
    }

    pub(crate) fn dimension(&self) -> usize {
        let parameters = self.objective.parameter_count(self.features.len());
        match (self.plan.method, self.expected_batch) {
            (Method::Newton { .. }, _) => parameters + newton::triangle(parameters) + TAIL,
            (Method::PrivateNewton, _) => private_newton::dimension(self.objective, parameters),
            (Method::FedSgd { .. } | Method::FedAvg { .. }, Some(_)) => parameters,
            (Method::FedSgd { .. } | Method::FedAvg { .. }, None) => parameters + TAIL,
        }
    }

    pub(crate) fn initial_model(&self) -> Model {
        Model {
            rounds: 0,
            parameters: self.objective.initial_parameters(self.features.len()),
            memory: Vec::new(),
            stage: Stage::Training,
        }
    }

    /// Whether every patient has a vector. The alternative is one sum of the whole silo.
    pub(crate) fn is_by_patient(&self) -> bool {
        let is_noised = match self.plan.method {
            Method::Newton { .. } => false,
            Method::PrivateNewton => true,
            Method::FedSgd { .. } | Method::FedAvg { .. } => self.expected_batch.is_some(),
        };
        is_noised && self.unit != Some(Unit::Silo)
    }

    /// One vector for each of these patients, as it is asked for.
    pub(crate) fn patient_vectors<'a>(
        &'a self,
        model: &'a Model,
        table: &'a Table,
        patients: impl Iterator<Item = &'a [usize]> + 'a,
    ) -> Result<Contributing<'a>, TaskFault> {
        self.check(model)?;
        let design = Design::new(&self.plan, &self.data, table)?;
        let (objective, parameters) = (self.objective, model.parameters.as_slice());
        let vectors: Box<dyn Iterator<Item = Vec<f64>> + 'a> = match self.plan.method {
            Method::PrivateNewton => {
                let scales = self.scales()?;
                Box::new(
                    patients.map(move |rows| {
                        scales.patient_vector(objective, &design, parameters, rows)
                    }),
                )
            }
            Method::FedSgd { .. } | Method::FedAvg { .. } => Box::new(
                patients
                    .map(move |rows| fedsgd::patient_score(objective, &design, parameters, rows)),
            ),
            Method::Newton { .. } => return Err(TaskFault::OtherPlan),
        };
        Ok(Contributing::PatientVectors {
            dimension: self.dimension(),
            vectors,
        })
    }

    /// What a whole silo contributes as one vector.
    pub(crate) fn sum(&self, model: &Model, table: &Table) -> Result<Vec<f64>, TaskFault> {
        self.check(model)?;
        let design = Design::new(&self.plan, &self.data, table)?;
        let (objective, parameters) = (self.objective, &model.parameters);
        if self.unit == Some(Unit::Silo) {
            return self.of_whole_silo(&design, parameters);
        }
        Ok(match self.plan.method {
            Method::Newton { .. } => newton::contribution(objective, &design, parameters),
            Method::FedSgd { .. } => fedsgd::contribution(objective, &design, parameters),
            Method::FedAvg {
                learning_rate,
                local_steps,
                ..
            } => {
                let local = fedavg::LocalSteps {
                    learning_rate,
                    steps: local_steps,
                    ridge: self.ridge(),
                };
                fedavg::contribution(objective, &design, parameters, &local)
            }
            Method::PrivateNewton => return Err(TaskFault::OtherPlan),
        })
    }

    /// Everything that one silo contributes, as the one vector that the agent clips. Every silo weighs the same: by how
    /// many rows would be a number of its own that no noise hides.
    fn of_whole_silo(&self, design: &Design, parameters: &[f64]) -> Result<Vec<f64>, TaskFault> {
        match self.plan.method {
            Method::FedSgd { .. } => Ok(fedsgd::mean_score(self.objective, design, parameters)),
            Method::FedAvg {
                learning_rate,
                local_steps,
                ..
            } => {
                let local = fedavg::LocalSteps {
                    learning_rate,
                    steps: local_steps,
                    ridge: self.ridge(),
                };
                Ok(fedavg::moves(self.objective, design, parameters, &local))
            }
            Method::Newton { .. } | Method::PrivateNewton => Err(TaskFault::OtherPlan),
        }
    }

    pub(crate) fn advance(&self, model: &Model, sum: &DecodedSum) -> Result<Advance, TaskFault> {
        self.check(model)?;
        let noise = sum.noise;
        let sum = sum.values.as_slice();
        match self.plan.method {
            Method::Newton {
                stop_when_step_below,
            } => newton::advance(self, model, sum, stop_when_step_below),
            Method::PrivateNewton => {
                let deviation = noise.map_or(0.0, |noise| noise.standard_deviation);
                private_newton::advance(self, model, sum, deviation, self.scales()?)
            }
            Method::FedSgd {
                learning_rate,
                average_last,
                optimizer,
            } => {
                let server = ServerOptimizer {
                    optimizer,
                    learning_rate,
                    average_last,
                    rounds: self.most_rounds,
                };
                fedsgd::advance(self, model, sum, server)
            }
            Method::FedAvg { average_last, .. } => {
                let server = ServerOptimizer {
                    optimizer: Optimizer::Momentum(0.0),
                    learning_rate: 1.0,
                    average_last,
                    rounds: self.most_rounds,
                };
                fedavg::advance(self, model, sum, server)
            }
        }
    }

    /// The noised local steps of one silo, if the study has such.
    pub(crate) fn local_step(&self) -> Option<LocalStep> {
        if self.unit == Some(Unit::Silo) {
            return None;
        }
        match (self.plan.method, self.expected_batch) {
            (
                Method::FedAvg {
                    learning_rate,
                    local_steps,
                    ..
                },
                Some(expected_batch),
            ) => Some(LocalStep {
                learning_rate,
                steps: local_steps,
                ridge: self.ridge(),
                expected_batch,
            }),
            (
                Method::Newton { .. }
                | Method::PrivateNewton
                | Method::FedSgd { .. }
                | Method::FedAvg { .. },
                _,
            ) => None,
        }
    }

    /// The number that is predicted, if it is one.
    fn outcome_number(&self) -> Option<&Number> {
        design::outcome_number(&self.plan, &self.data)
    }

    fn ridge(&self) -> f64 {
        self.plan.ridge.unwrap_or(0.0)
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

    /// `None` for numbers, which are not right or wrong.
    pub(crate) fn evaluate(
        &self,
        model: &Model,
        table: &Table,
    ) -> Result<Option<Correctness>, TaskFault> {
        self.check(model)?;
        let design = Design::new(&self.plan, &self.data, table)?;
        let right: Option<Vec<bool>> = design
            .rows()
            .map(|(row, outcome)| self.objective.is_right(&row, outcome, &model.parameters))
            .collect();
        Ok(right.map(|right| Correctness {
            correct: right.iter().filter(|right| **right).count(),
            total: right.len(),
        }))
    }

    /// The linear predictor of each row of a binary outcome, with whether it is positive; empty for others.
    pub(crate) fn scores(
        &self,
        model: &Model,
        table: &Table,
    ) -> Result<Vec<(f64, bool)>, TaskFault> {
        self.check(model)?;
        let design = Design::new(&self.plan, &self.data, table)?;
        let scored = design.rows().filter_map(|(row, outcome)| match outcome {
            Outcome::Binary(positive) => {
                let predictor = logistic::linear_predictor(&row, &model.parameters);
                Some((predictor, positive))
            }
            Outcome::Label(_) | Outcome::Number(_) => None,
        });
        Ok(scored.collect())
    }

    /// In units of the outcome's scale; empty for outcomes that are no numbers.
    pub(crate) fn squared_residuals(
        &self,
        model: &Model,
        table: &Table,
    ) -> Result<Vec<f64>, TaskFault> {
        self.check(model)?;
        let design = Design::new(&self.plan, &self.data, table)?;
        let squares = design.rows().filter_map(|(row, outcome)| match outcome {
            Outcome::Number(_) => {
                let log_likelihood =
                    self.objective
                        .log_likelihood(&row, outcome, &model.parameters);
                Some(-2.0 * log_likelihood)
            }
            Outcome::Binary(_) | Outcome::Label(_) => None,
        });
        Ok(squares.collect())
    }

    /// Something about each of these patients, from that patient's rows.
    pub(crate) fn of_patients<'a, T: 'a>(
        &'a self,
        model: &'a Model,
        table: &'a Table,
        patients: impl Iterator<Item = &'a [usize]> + 'a,
        about: impl Fn(Objective, &mut dyn Iterator<Item = (Vec<f64>, Outcome)>) -> T + 'a,
    ) -> Result<impl Iterator<Item = T> + 'a, TaskFault> {
        self.check(model)?;
        let design = Design::new(&self.plan, &self.data, table)?;
        Ok(patients.map(move |rows| {
            let mut rows = rows.iter().filter_map(|index| design.row(*index));
            about(self.objective, &mut rows)
        }))
    }

    /// The public bounds by which a patient's score and information are scaled.
    fn scales(&self) -> Result<private_newton::Scales, TaskFault> {
        let row = self.plan.longest_feature_row(&self.data);
        let row = row.ok_or(TaskFault::NotPositiveDefinite)?;
        Ok(private_newton::Scales::of(self.objective, row))
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

    /// The result without inference, as FedSGD and FedAvg give it. A number's coefficients are in its own unit.
    fn result(&self, parameters: &[f64], rounds: u32, tail: Option<Tail>) -> RegressionResult {
        let coefficients = match self.outcome_number() {
            None => parameters.to_vec(),
            Some(number) => {
                let mut coefficients: Vec<f64> = parameters
                    .iter()
                    .map(|parameter| parameter * number.scale)
                    .collect();
                if let Some(intercept) = coefficients.first_mut() {
                    *intercept += number.centre;
                }
                coefficients
            }
        };
        RegressionResult {
            method: self.plan.method.name().to_owned(),
            names: self.names.clone(),
            odds_ratios: match self.objective {
                Objective::Logistic => coefficients.iter().map(|value| value.exp()).collect(),
                Objective::Linear { .. } | Objective::Softmax { .. } | Objective::Perceptron(_) => {
                    Vec::new()
                }
            },
            coefficients,
            standard_errors: None,
            intervals: None,
            rounds,
            converged: None,
            log_likelihood: tail.as_ref().map(|tail| tail.log_likelihood),
            examples: tail.map(|tail| Count(tail.rows)),
            evaluation: None,
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

    fn of(objective: Objective, design: &Design, parameters: &[f64]) -> [f64; TAIL] {
        let mut tail = [0.0; TAIL];
        for (row, outcome) in design.rows() {
            tail[0] += objective.log_likelihood(&row, outcome, parameters);
            tail[1] += 1.0;
        }
        tail
    }
}

const TAIL: usize = 2;
