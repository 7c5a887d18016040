// SPDX-License-Identifier: Apache-2.0
//! `[analysis]`: what is computed, from which columns.

use serde::Serialize;

use super::method::{Method, Rounds};
use super::privacy::RowBound;
use super::schema::{ColumnKind, DataSchema, listed};
use super::section::Section;
use super::statistics::{STATISTICS_KEYS, StatisticsPlan};
use super::{Mode, StudyFault};

/// What the study computes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Analysis {
    /// Counts, tables, moments, histograms, quantiles and survival curves, all in one round.
    Statistics(StatisticsPlan),
    /// A logistic regression of a category on the features.
    LogisticRegression(RegressionPlan),
}

/// A regression on standardised numbers and on category indicators, with an intercept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegressionPlan {
    /// The column that is predicted.
    pub outcome: String,
    /// The label of `outcome` that counts as positive.
    pub positive: String,
    /// The columns that predict, in the order of the coefficients.
    pub features: Vec<String>,
    /// How the coefficients are found.
    pub method: Method,
}

impl Analysis {
    /// The word for it in a study file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Statistics(_) => STATISTICS,
            Self::LogisticRegression(_) => LOGISTIC_REGRESSION,
        }
    }

    /// What the public ranges say about the vector of one row.
    pub(crate) fn row_bound(&self, data: &DataSchema) -> RowBound {
        match self {
            Self::Statistics(plan) => RowBound::Counts(plan.row_bound()),
            Self::LogisticRegression(plan) => plan.row_bound(data),
        }
    }

    /// Reads `[analysis]` and `[rounds]`, which together say what is computed and how.
    pub(crate) fn read(
        analysis: Section,
        rounds: Option<Section>,
        data: &DataSchema,
        mode: Mode,
    ) -> Result<(Self, Rounds), StudyFault> {
        match analysis.peek("kind") {
            Some(STATISTICS) => {
                let plan = StatisticsPlan::read(analysis, data)?;
                Ok((Self::Statistics(plan), Rounds::single(rounds, mode)?))
            }
            Some(LOGISTIC_REGRESSION) => {
                let mut rounds = rounds.ok_or(StudyFault::Missing {
                    field: "rounds".to_owned(),
                    expected: "a section `[rounds]`",
                })?;
                let plan = RegressionPlan::read(analysis, &mut rounds, data, mode)?;
                let rounds = Rounds::read(rounds, None, mode)?;
                rounds.check_average(plan.method)?;
                Ok((Self::LogisticRegression(plan), rounds))
            }
            Some(other) => Err(analysis.invalid(
                "kind",
                format!("`{other}` is not available"),
                format!("write `{STATISTICS}` or `{LOGISTIC_REGRESSION}`"),
            )),
            None => Err(StudyFault::Missing {
                field: "analysis.kind".to_owned(),
                expected: "`statistics` or `logistic-regression`",
            }),
        }
    }
}

impl RegressionPlan {
    fn read(
        mut section: Section,
        rounds: &mut Section,
        data: &DataSchema,
        mode: Mode,
    ) -> Result<Self, StudyFault> {
        section.refuse_all(STATISTICS_KEYS, "a regression has no such key")?;
        let (outcome, positive) = read_outcome(&mut section, data)?;
        let features: Vec<String> = section.required("features")?;
        if features.is_empty() {
            return Err(section.invalid("features", "no feature", "name at least one column"));
        }
        for (index, feature) in features.iter().enumerate() {
            let column = data.column(&section.field("features"), feature)?;
            if *feature == outcome {
                return Err(section.invalid("features", "the outcome is among them", "remove it"));
            }
            if features
                .iter()
                .take(index)
                .any(|earlier| earlier == feature)
            {
                return Err(section.invalid(
                    "features",
                    format!("`{feature}` is named twice"),
                    "name it once",
                ));
            }
            if let ColumnKind::Category(category) = &column.kind
                && category.reference.is_none()
            {
                return Err(StudyFault::Missing {
                    field: format!("data.columns.{feature}.reference"),
                    expected: "the label that the others are compared with",
                });
            }
        }
        Ok(Self {
            outcome,
            positive,
            features,
            method: Method::read(&mut section, rounds, mode)?,
        })
    }

    /// A score is a residual of at most 1 times the row, which lies within the public ranges.
    fn row_bound(&self, data: &DataSchema) -> RowBound {
        let mut squares = 1.0;
        for feature in &self.features {
            squares += match data.columns.get(feature).map(|column| &column.kind) {
                Some(ColumnKind::Number(number)) => number.largest_square(),
                // At most one indicator is 1.
                Some(ColumnKind::Category(_)) => 1.0,
                None => return RowBound::Unknown,
            };
        }
        RowBound::Gradient(squares.sqrt())
    }
}

fn read_outcome(section: &mut Section, data: &DataSchema) -> Result<(String, String), StudyFault> {
    let mut outcome = section.section("outcome", &["column", "positive"])?;
    let column: String = outcome.required("column")?;
    let labels = data.category(&outcome.field("column"), &column)?.labels();
    let positive: String = outcome.required("positive")?;
    if labels.contains(&positive.as_str()) {
        Ok((column, positive))
    } else {
        Err(outcome.invalid(
            "positive",
            format!("`{positive}` is no label of `{column}`"),
            format!("write one of {}", listed(&labels)),
        ))
    }
}

/// The keys of `[analysis]`.
pub(crate) const ANALYSIS_KEYS: &[&str] = &[
    "kind",
    "outcome",
    "features",
    "method",
    "counts",
    "tables",
    "sums",
    "means",
    "moments",
    "histograms",
    "quantiles",
    "survival",
];

const STATISTICS: &str = "statistics";
const LOGISTIC_REGRESSION: &str = "logistic-regression";
