// SPDX-License-Identifier: Apache-2.0
//! `[analysis]`: what is computed, from which columns.

use serde::Serialize;

use super::method::{Method, Rounds};
use super::schema::{ColumnKind, DataSchema, listed};
use super::section::Section;
use super::{Mode, StudyFault};

/// What the study computes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Analysis {
    /// Contingency tables, moments and histograms, all in one round.
    Statistics(StatisticsPlan),
    /// A logistic regression of a category on the features.
    LogisticRegression(RegressionPlan),
}

/// The statistics a study asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatisticsPlan {
    /// `[[analysis.tables]]`
    pub tables: Vec<TablePlan>,
    /// `[[analysis.moments]]`
    pub moments: Vec<MomentPlan>,
    /// `[[analysis.histograms]]`
    pub histograms: Vec<HistogramPlan>,
}

/// Counts of rows by two categories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TablePlan {
    /// The category that becomes the rows.
    pub rows: String,
    /// The category that becomes the columns.
    pub columns: String,
}

/// Count, mean and variance of a number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MomentPlan {
    /// The column of numbers.
    pub column: String,
}

/// Counts of a number between public edges.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistogramPlan {
    /// The column of numbers.
    pub column: String,
    /// Rising edges; bin i holds edge i <= value < edge i+1, the last bin its upper edge too.
    pub edges: Vec<f64>,
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

impl StatisticsPlan {
    fn read(mut section: Section, data: &DataSchema) -> Result<Self, StudyFault> {
        section.refuse_all(
            &["outcome", "features", "method"],
            "a statistics study has no such key",
        )?;
        let tables = section
            .list("tables", &["rows", "columns"])?
            .into_iter()
            .map(|mut table| {
                let rows: String = table.required("rows")?;
                let columns: String = table.required("columns")?;
                data.category(&table.field("rows"), &rows)?;
                data.category(&table.field("columns"), &columns)?;
                Ok(TablePlan { rows, columns })
            })
            .collect::<Result<_, StudyFault>>()?;
        let moments = section
            .list("moments", &["column"])?
            .into_iter()
            .map(|mut moment| {
                let column: String = moment.required("column")?;
                data.number(&moment.field("column"), &column)?;
                Ok(MomentPlan { column })
            })
            .collect::<Result<_, StudyFault>>()?;
        let histograms = section
            .list("histograms", &["column", "edges"])?
            .into_iter()
            .map(|histogram| HistogramPlan::read(histogram, data))
            .collect::<Result<_, StudyFault>>()?;
        let plan = Self {
            tables,
            moments,
            histograms,
        };
        if plan.tables.is_empty() && plan.moments.is_empty() && plan.histograms.is_empty() {
            return Err(section.invalid(
                "kind",
                "the study asks for no statistic",
                "add `[[analysis.tables]]`, `[[analysis.moments]]` or `[[analysis.histograms]]`",
            ));
        }
        Ok(plan)
    }
}

impl HistogramPlan {
    fn read(mut section: Section, data: &DataSchema) -> Result<Self, StudyFault> {
        let column: String = section.required("column")?;
        let [low, high] = data.number(&section.field("column"), &column)?.range;
        let edges: Vec<f64> = section.required("edges")?;
        let rising =
            edges.len() >= 2 && edges.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if !rising {
            return Err(section.invalid(
                "edges",
                "not in rising order",
                "write two or more rising numbers",
            ));
        }
        let covers = edges.first().is_some_and(|edge| *edge <= low)
            && edges.last().is_some_and(|edge| *edge >= high);
        if !covers {
            return Err(section.invalid(
                "edges",
                format!("do not cover the range of `{column}`"),
                format!("begin at {low} or below and end at {high} or above"),
            ));
        }
        Ok(Self { column, edges })
    }
}

impl RegressionPlan {
    fn read(
        mut section: Section,
        rounds: &mut Section,
        data: &DataSchema,
        mode: Mode,
    ) -> Result<Self, StudyFault> {
        section.refuse_all(
            &["tables", "moments", "histograms"],
            "a regression has no such key",
        )?;
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
    "tables",
    "moments",
    "histograms",
];

const STATISTICS: &str = "statistics";
const LOGISTIC_REGRESSION: &str = "logistic-regression";
