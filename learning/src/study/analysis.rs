// SPDX-License-Identifier: Apache-2.0
//! `[analysis]`: what is computed, from which columns.

use consilium_privacy::noise_plan::Unit;
use serde::Serialize;

use super::method::Rounds;
use super::privacy::RowBound;
use super::regression::{ModelKind, REGRESSION_KEYS, RegressionPlan};
use super::schema::DataSchema;
use super::section::Section;
use super::statistics::{Curves, STATISTICS_KEYS, StatisticsPlan};
use super::{Mode, StudyFault, unit};

/// What the study computes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Analysis {
    /// Counts, tables, moments, histograms, quantiles, or survival curves, all in one round.
    Statistics(StatisticsPlan),
    /// A logistic regression of a category on the features.
    LogisticRegression(RegressionPlan),
    /// A linear regression of a number on the features.
    LinearRegression(RegressionPlan),
    /// A softmax regression of a category with any number of labels on the features.
    SoftmaxRegression(RegressionPlan),
    /// A perceptron with one hidden layer that tells the label of a category from the features.
    NeuralNetwork(RegressionPlan),
}

impl Analysis {
    /// The word for it in a study file and in a policy.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Statistics(plan) if plan.survival.is_empty() => STATISTICS,
            Self::Statistics(_) => KAPLAN_MEIER,
            Self::LogisticRegression(_) => LOGISTIC_REGRESSION,
            Self::LinearRegression(_) => LINEAR_REGRESSION,
            Self::SoftmaxRegression(_) => SOFTMAX_REGRESSION,
            Self::NeuralNetwork(_) => NEURAL_NETWORK,
        }
    }

    /// The regression, if it is one.
    pub fn regression(&self) -> Option<&RegressionPlan> {
        match self {
            Self::Statistics(_) => None,
            Self::LogisticRegression(plan)
            | Self::LinearRegression(plan)
            | Self::SoftmaxRegression(plan)
            | Self::NeuralNetwork(plan) => Some(plan),
        }
    }

    /// What the public ranges say about the vector of one row, or of a whole silo where that is the unit.
    pub(crate) fn row_bound(&self, data: &DataSchema, unit: Unit) -> RowBound {
        match self {
            Self::Statistics(plan) => RowBound::Counts(plan.row_bound()),
            Self::LogisticRegression(plan)
            | Self::LinearRegression(plan)
            | Self::SoftmaxRegression(plan)
            | Self::NeuralNetwork(plan) => plan.row_bound(data, unit),
        }
    }

    /// Reads `[analysis]` and `[rounds]`, which together say what is computed and how.
    pub(crate) fn read(
        analysis: Section,
        rounds: Option<Section>,
        data: &DataSchema,
        mode: Mode,
        unit: Unit,
    ) -> Result<(Self, Rounds), StudyFault> {
        let statistics = |curves| {
            move |analysis: Section, rounds: Option<Section>| {
                if mode == Mode::Local {
                    return Err(StudyFault::Invalid {
                        field: "privacy.mode".to_owned(),
                        problem: "`local` is for the local steps of a regression".to_owned(),
                        fix: "write `distributed`".to_owned(),
                    });
                }
                unit::refused_for(unit, "statistics")?;
                let plan = StatisticsPlan::read(analysis, data, curves)?;
                Ok((Self::Statistics(plan), Rounds::single(rounds, mode)?))
            }
        };
        let (kind, make): (ModelKind, fn(RegressionPlan) -> Self) = match analysis.peek("kind") {
            Some(STATISTICS) => return statistics(Curves::None)(analysis, rounds),
            Some(KAPLAN_MEIER) => return statistics(Curves::Only)(analysis, rounds),
            Some(LOGISTIC_REGRESSION) => (ModelKind::Logistic, Self::LogisticRegression),
            Some(LINEAR_REGRESSION) => (ModelKind::Linear, Self::LinearRegression),
            Some(SOFTMAX_REGRESSION) => (ModelKind::Softmax, Self::SoftmaxRegression),
            Some(NEURAL_NETWORK) => (ModelKind::Perceptron, Self::NeuralNetwork),
            Some(other) => {
                return Err(analysis.invalid(
                    "kind",
                    format!("`{other}` is not available"),
                    format!(
                        "write `{STATISTICS}`, `{KAPLAN_MEIER}`, `{LOGISTIC_REGRESSION}`, `{LINEAR_REGRESSION}`, `{SOFTMAX_REGRESSION}` or `{NEURAL_NETWORK}`"
                    ),
                ));
            }
            None => {
                return Err(StudyFault::Missing {
                    field: "analysis.kind".to_owned(),
                    expected: "`statistics` or `logistic-regression`",
                });
            }
        };
        let mut rounds = rounds.ok_or(StudyFault::Missing {
            field: "rounds".to_owned(),
            expected: "a section `[rounds]`",
        })?;
        let plan = RegressionPlan::read(kind, analysis, &mut rounds, data, mode, unit)?;
        let rounds = Rounds::read(rounds, None, mode)?;
        rounds.check_average(plan.method)?;
        Ok((make(plan), rounds))
    }
}

/// The keys of `[analysis]`.
pub(crate) fn analysis_keys() -> Vec<&'static str> {
    let keys = [&["kind"], REGRESSION_KEYS, STATISTICS_KEYS];
    keys.into_iter().flatten().copied().collect()
}

const STATISTICS: &str = "statistics";
const KAPLAN_MEIER: &str = "kaplan-meier";
const LOGISTIC_REGRESSION: &str = "logistic-regression";
const LINEAR_REGRESSION: &str = "linear-regression";
const SOFTMAX_REGRESSION: &str = "softmax-regression";
const NEURAL_NETWORK: &str = "neural-network";
