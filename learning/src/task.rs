// SPDX-License-Identifier: Apache-2.0
//! One study as the coordinator and the silos run it: contribute, add up, advance.

use consilium_privacy::loss::ClippingNorm;
use consilium_privacy::noise_plan::{NoisePlacement, NoisePlan, Unit, VectorPlan, View};
use thiserror::Error;

use crate::contribution::{Contributing, Contribution};
use crate::decoded_sum::{DecodedSum, SumNoise};
use crate::evaluation::Trial;
use crate::local_training::LocalTraining;
use crate::model::{Model, Stage};
use crate::regression::{Advance, Correctness, Regression};
use crate::result::{EvaluationResult, RegressionResult, StudyResult};
use crate::statistics::Statistics;
use crate::study::{Analysis, Study};
use crate::table::{Table, TableWarning};

/// What a study computes, ready to run.
#[derive(Clone, Debug)]
pub struct Task {
    kind: Kind,
    /// The norm to which the agent clips a patient's vector; `None` without noise.
    clip: Option<f64>,
    /// The trial of the model after the last round, if there is one.
    trial: Option<Trial>,
}

#[derive(Clone, Debug)]
enum Kind {
    Statistics(Statistics),
    /// Together with the name of its result.
    Regression(Box<Regression>, fn(RegressionResult) -> StudyResult),
}

/// What the sum of a round leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Another round, from this model.
    Continue(Model),
    /// The model is learned, and is tried from here.
    Trained(Outcome),
    /// The end.
    Finished(Outcome),
    /// The end: what the model did on patients who were held out.
    Evaluated {
        /// The model that was tried.
        model: Model,
        /// How it did.
        evaluation: EvaluationResult,
    },
}

/// How a study ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The last model.
    pub model: Model,
    /// What the researcher gets.
    pub result: StudyResult,
}

impl Task {
    /// Makes a study ready to run.
    ///
    /// # Errors
    /// [`TaskFault::UndeclaredColumn`], which no study from [`Study::parse`] meets.
    pub fn new(study: &Study) -> Result<Self, TaskFault> {
        let regression = |plan, named: fn(RegressionResult) -> StudyResult| {
            let regression = Regression::new(plan, study)?;
            Ok(Kind::Regression(Box::new(regression), named))
        };
        let kind = match &study.analysis {
            Analysis::Statistics(plan) => Kind::Statistics(Statistics::new(plan, study)?),
            Analysis::LogisticRegression(plan) => {
                regression(plan, StudyResult::LogisticRegression)?
            }
            Analysis::LinearRegression(plan) => regression(plan, StudyResult::LinearRegression)?,
            Analysis::SoftmaxRegression(plan) => regression(plan, StudyResult::SoftmaxRegression)?,
            Analysis::NeuralNetwork(plan) => regression(plan, StudyResult::NeuralNetwork)?,
        };
        let clip = study.privacy.promise().map(|promise| promise.clip.value());
        let trial = match (&study.evaluation, study.analysis.regression()) {
            (Some(evaluation), Some(plan)) => Some(Trial::new(evaluation, plan, study)?),
            (Some(_) | None, _) => None,
        };
        Ok(Self { kind, clip, trial })
    }

    /// Coordinates of a contribution at a stage; none at one that the study does not have.
    pub fn dimension_at(&self, stage: Stage) -> usize {
        match stage {
            Stage::Training => self.dimension(),
            Stage::Evaluation => self.trial.as_ref().map_or(0, Trial::dimension),
        }
    }

    /// Coordinates of a contribution to a round of training.
    pub fn dimension(&self) -> usize {
        match &self.kind {
            Kind::Statistics(statistics) => statistics.dimension(),
            Kind::Regression(regression, _) => regression.dimension(),
        }
    }

    /// The model of the first round.
    pub fn initial_model(&self) -> Model {
        match &self.kind {
            Kind::Statistics(_) => Model::none(),
            Kind::Regression(regression, _) => regression.initial_model(),
        }
    }

    /// What a silo's data contribute to the round that starts from `model`: those of the patients whom its stage is about.
    ///
    /// COST: the vectors of all patients. A silo uses [`Self::contributing`].
    ///
    /// # Errors
    /// [`TaskFault`] when the table or the model belong to another study.
    pub fn contribution(&self, model: &Model, table: &Table) -> Result<Contribution, TaskFault> {
        Ok(self.contributing(model, table)?.collect())
    }

    /// The same, computed while it is taken.
    ///
    /// # Errors
    /// [`TaskFault`] when the table or the model belong to another study.
    pub fn contributing<'a>(
        &'a self,
        model: &'a Model,
        table: &'a Table,
    ) -> Result<Contributing<'a>, TaskFault> {
        let everybody = || table.patients().iter().map(Vec::as_slice);
        match (&self.kind, &self.trial, model.stage) {
            (Kind::Statistics(statistics), _, Stage::Training) => statistics.contributing(table),
            (Kind::Regression(regression, _), trial, Stage::Training) => {
                match (trial, regression.is_by_patient()) {
                    (None, true) => regression.patient_vectors(model, table, everybody()),
                    (Some(trial), true) => {
                        let patients = trial.patients(Stage::Training, table);
                        regression.patient_vectors(model, table, patients)
                    }
                    (None, false) => regression.sum(model, table).map(Contributing::Sum),
                    (Some(trial), false) => {
                        let side = trial.side(Stage::Training, table);
                        regression.sum(model, &side).map(Contributing::Sum)
                    }
                }
            }
            (Kind::Regression(regression, _), Some(trial), Stage::Evaluation) => {
                trial.contributing(regression, model, table)
            }
            (Kind::Statistics(_) | Kind::Regression(..), _, Stage::Evaluation) => {
                Err(TaskFault::NotEvaluated)
            }
        }
    }

    /// Patients whom a stage is about and of whom no row fits: they contribute zero.
    pub fn unfit_patients(&self, stage: Stage, table: &Table) -> usize {
        match &self.trial {
            None => table.unfit_patients().len(),
            Some(trial) => trial.unfit_patients(stage, table),
        }
    }

    /// One silo's local steps of the round that starts from `model`, where the study has noise at each of them.
    ///
    /// # Errors
    /// [`TaskFault`] when the plan or the model belong to another study.
    pub fn local_training(
        &self,
        plan: &VectorPlan,
        model: &Model,
    ) -> Result<LocalTraining, TaskFault> {
        let step = match &self.kind {
            Kind::Statistics(_) => None,
            Kind::Regression(regression, _) => regression.local_step(),
        };
        if model.parameters.len() != self.dimension() {
            return Err(TaskFault::OtherModel {
                expected: self.dimension(),
                found: model.parameters.len(),
            });
        }
        let (Some(step), Some(clip)) = (step, self.clip) else {
            return Err(TaskFault::OtherPlan);
        };
        LocalTraining::begin(step, clip, plan, model)
    }

    /// The reals that a centred integer sum of a round of training stands for: fixed-point numbers, or quantised vectors
    /// scaled back by C/D. Where the silo is the unit it is the mean over all invited silos, however many survived.
    ///
    /// # Errors
    /// [`TaskFault`] when the sum or the plan belong to another study.
    pub fn decode(&self, plan: &VectorPlan, sum: &[i64]) -> Result<DecodedSum, TaskFault> {
        self.decode_at(Stage::Training, plan, sum)
    }

    /// The same of a sum at any stage.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_at(
        &self,
        stage: Stage,
        plan: &VectorPlan,
        sum: &[i64],
    ) -> Result<DecodedSum, TaskFault> {
        self.check_length(stage, sum.len())?;
        let fixed_point = || {
            let format = plan.fixed_point().map_err(|_| TaskFault::OtherPlan)?;
            let values = sum.iter().map(|integer| format.decode(*integer));
            Ok(values.collect::<Vec<f64>>().into())
        };
        match (&plan.noise, self.clip_at(stage)) {
            (None, None) => fixed_point(),
            (Some(noise), Some(clip)) => match noise.placement {
                NoisePlacement::Shared => {
                    let clip = clip / contributors(noise);
                    Ok(DecodedSum {
                        values: in_reals(sum, noise, clip),
                        noise: Some(noise_of_sum(noise, clip)?),
                    })
                }
                NoisePlacement::Local { .. } => fixed_point(),
            },
            (Some(_), None) | (None, Some(_)) => Err(TaskFault::OtherPlan),
        }
    }

    /// The norm to which a patient's vector is clipped at a stage; `None` without noise.
    fn clip_at(&self, stage: Stage) -> Option<f64> {
        self.clip.map(|clip| match stage {
            Stage::Training => clip,
            Stage::Evaluation => EVALUATION_CLIP.value(),
        })
    }

    /// Takes the decoded sum of the round that started from `model`. The model counts its rounds;
    /// everybody who calls this with the same arguments gets the same bits.
    ///
    /// # Errors
    /// [`TaskFault`] when the sum is of another study or the regression has no solution.
    pub fn advance(&self, model: &Model, sum: &DecodedSum) -> Result<Step, TaskFault> {
        let values = &sum.values;
        self.check_length(model.stage, values.len())?;
        if !values.iter().all(|number| number.is_finite()) {
            return Err(TaskFault::NotFinite);
        }
        let step = match (&self.kind, model.stage) {
            (Kind::Statistics(statistics), Stage::Training) => Step::Finished(Outcome {
                model: Model {
                    rounds: model.rounds.saturating_add(1),
                    ..Model::none()
                },
                result: StudyResult::Statistics(statistics.result(sum)),
            }),
            (Kind::Regression(regression, named), Stage::Training) => {
                match (regression.advance(model, sum)?, &self.trial) {
                    (Advance::Continue(next), _) => Step::Continue(next),
                    (Advance::Finished(model, result), None) => Step::Finished(Outcome {
                        model,
                        result: named(*result),
                    }),
                    (Advance::Finished(last, result), Some(_)) => Step::Trained(Outcome {
                        model: Model {
                            stage: Stage::Evaluation,
                            ..last
                        },
                        result: named(*result),
                    }),
                }
            }
            (Kind::Statistics(_) | Kind::Regression(..), Stage::Evaluation) => {
                let trial = self.trial.as_ref().ok_or(TaskFault::NotEvaluated)?;
                Step::Evaluated {
                    model: Model {
                        rounds: model.rounds.saturating_add(1),
                        ..model.clone()
                    },
                    evaluation: trial.result(sum),
                }
            }
        };
        if step
            .model()
            .parameters
            .iter()
            .all(|parameter| parameter.is_finite())
        {
            Ok(step)
        } else {
            Err(TaskFault::Diverged)
        }
    }

    /// What a hospital should know about its table in this study: for its own log only.
    pub fn warnings(&self, table: &Table) -> Vec<TableWarning> {
        let mut warnings = table.warnings().to_vec();
        if let Kind::Regression(regression, _) = &self.kind {
            warnings.extend(regression.warnings(table));
        }
        warnings
    }

    /// For how many rows of a table a model holds the right label for the most probable; `None` without labels.
    ///
    /// # Errors
    /// [`TaskFault`] when the table or the model belong to another study.
    pub fn evaluate(&self, model: &Model, table: &Table) -> Result<Option<Correctness>, TaskFault> {
        match &self.kind {
            Kind::Statistics(_) => Ok(None),
            Kind::Regression(regression, _) => regression.evaluate(model, table),
        }
    }

    /// The linear predictor of each row, with whether its outcome is positive; empty but for logistic regressions.
    ///
    /// # Errors
    /// [`TaskFault`] when the table or the model belong to another study.
    pub fn scores(&self, model: &Model, table: &Table) -> Result<Vec<(f64, bool)>, TaskFault> {
        match &self.kind {
            Kind::Statistics(_) => Ok(Vec::new()),
            Kind::Regression(regression, _) => regression.scores(model, table),
        }
    }

    /// The squared residual of each row, in units of the outcome's public scale; empty but for linear regressions.
    ///
    /// # Errors
    /// [`TaskFault`] when the table or the model belong to another study.
    pub fn squared_residuals(&self, model: &Model, table: &Table) -> Result<Vec<f64>, TaskFault> {
        match &self.kind {
            Kind::Statistics(_) => Ok(Vec::new()),
            Kind::Regression(regression, _) => regression.squared_residuals(model, table),
        }
    }

    fn check_length(&self, stage: Stage, found: usize) -> Result<(), TaskFault> {
        let expected = self.dimension_at(stage);
        if stage == Stage::Evaluation && self.trial.is_none() {
            Err(TaskFault::NotEvaluated)
        } else if found == expected {
            Ok(())
        } else {
            Err(TaskFault::OtherLength { expected, found })
        }
    }
}

impl Step {
    /// The model that it leads to.
    pub fn model(&self) -> &Model {
        match self {
            Self::Continue(model)
            | Self::Trained(Outcome { model, .. })
            | Self::Finished(Outcome { model, .. })
            | Self::Evaluated { model, .. } => model,
        }
    }
}

/// Quantised and noised sums, scaled back by C/D.
#[expect(
    clippy::cast_precision_loss,
    reason = "noise is far larger than the 53rd bit"
)]
pub(crate) fn in_reals(sum: &[i64], noise: &NoisePlan, clip: f64) -> Vec<f64> {
    sum.iter()
        .map(|integer| *integer as f64 * clip / noise.clip_integer as f64)
        .collect()
}

/// What a sum is divided by when it is decoded: a public number, and never who turned up.
fn contributors(noise: &NoisePlan) -> f64 {
    match noise.unit {
        Unit::Patient => 1.0,
        Unit::Silo => f64::from(noise.silos),
    }
}

/// The shares of all invited silos together, in the study's reals.
fn noise_of_sum(noise: &NoisePlan, clip: f64) -> Result<SumNoise, TaskFault> {
    let share = noise
        .multiplier(View::MasksBroken)
        .map_err(|_| TaskFault::OtherPlan)?;
    #[expect(clippy::cast_precision_loss, reason = "a power of two below 2^53")]
    let unit = clip / noise.clip_integer as f64;
    Ok(SumNoise {
        standard_deviation: share.value() * f64::from(noise.silos).sqrt() * clip,
        unit,
    })
}

/// Why a round of a study cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TaskFault {
    /// The analysis names a column that `[data]` does not declare in the right kind.
    #[error(
        "the analysis names the column `{column}`, which `[data.columns]` does not declare as such"
    )]
    UndeclaredColumn {
        /// The column.
        column: String,
    },
    /// The table was read by another study's columns.
    #[error("the table was read for another study: its column `{column}` does not fit")]
    OtherTable {
        /// The column.
        column: String,
    },
    /// The model has another number of parameters.
    #[error("the model has {found} parameters, the study {expected}")]
    OtherModel {
        /// Parameters of the study.
        expected: usize,
        /// Parameters of the model.
        found: usize,
    },
    /// The sum has another number of coordinates.
    #[error("the sum has {found} coordinates, the study {expected}")]
    OtherLength {
        /// Coordinates of the study.
        expected: usize,
        /// Coordinates of the sum.
        found: usize,
    },
    /// The plan is noised and the study is not, or the reverse.
    #[error("the vector plan belongs to another study")]
    OtherPlan,
    /// Local steps were ended before the last.
    #[error("the local steps of the round are not all taken")]
    StepsLeft,
    /// The model says that it is to be tried, and the study tries none.
    #[error("the model is to be tried on patients held out, and the study holds nobody out")]
    NotEvaluated,
    /// The sum holds an infinity.
    #[error("the sum holds a number that is not finite")]
    NotFinite,
    /// No row took part.
    #[error("no row took part in the sum")]
    NoExamples,
    /// The information matrix cannot be inverted.
    #[error(
        "the regression has no unique solution: a feature is constant, follows from the others, or separates the outcomes; leave it out"
    )]
    NotPositiveDefinite,
    /// The parameters left every bound.
    #[error("the parameters grew without bound; lower `rounds.learning_rate`")]
    Diverged,
}

/// A patient held out falls into one cell: the norm of that vector.
pub const EVALUATION_CLIP: ClippingNorm = ClippingNorm::ONE;

#[cfg(test)]
mod tests;
