// SPDX-License-Identifier: Apache-2.0
//! `[analysis]` and the parts of `[rounds]` that belong to its method.

use serde::Serialize;

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

/// How the coefficients are found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Newton steps on the summed gradient and Hessian, until the largest step is small.
    Newton {
        /// Stop when no coefficient moved further than this.
        stop_when_step_below: f64,
    },
    /// One gradient step per round.
    FedSgd {
        /// The step along the mean gradient.
        learning_rate: f64,
        /// The result is the mean of the parameters after this many last rounds; 1 takes the last.
        average_last: u32,
    },
    /// Several local gradient steps per round, then the mean over patients.
    FedAvg {
        /// The local step along the silo's mean gradient.
        learning_rate: f64,
        /// Full-batch local steps in one round.
        local_steps: u32,
    },
}

/// `[rounds]`: how many rounds the study may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rounds {
    /// Training rounds at most.
    pub most: u32,
    /// Attempts beyond `most` that are reserved for repetitions of failed rounds.
    pub spare_attempts: u32,
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

impl Method {
    /// The word for it in a study file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Newton { .. } => NEWTON,
            Self::FedSgd { .. } => FEDSGD,
            Self::FedAvg { .. } => FEDAVG,
        }
    }

    fn read(analysis: &mut Section, rounds: &mut Section, mode: Mode) -> Result<Self, StudyFault> {
        let method: String = analysis.required("method")?;
        let foreign = format!("the method `{method}` has no such key");
        let private = mode == Mode::Distributed;
        match method.as_str() {
            NEWTON | FEDAVG if private => Err(analysis.invalid(
                "method",
                format!("`{method}` is not available with noise"),
                "write `fedsgd`, or `[privacy] mode = \"none\"` where every hospital permits it",
            )),
            NEWTON => {
                rounds.refuse_all(&["learning_rate", "local_steps", "average_last"], &foreign)?;
                Ok(Self::Newton {
                    stop_when_step_below: positive(rounds, "stop_when_step_below")?,
                })
            }
            FEDSGD => {
                rounds.refuse_all(&["stop_when_step_below", "local_steps"], &foreign)?;
                Ok(Self::FedSgd {
                    learning_rate: positive(rounds, "learning_rate")?,
                    average_last: at_least_one(rounds, "average_last", Some(1))?,
                })
            }
            FEDAVG => {
                rounds.refuse_all(&["stop_when_step_below", "average_last"], &foreign)?;
                Ok(Self::FedAvg {
                    learning_rate: positive(rounds, "learning_rate")?,
                    local_steps: at_least_one(rounds, "local_steps", None)?,
                })
            }
            other => Err(analysis.invalid(
                "method",
                format!("`{other}` is not available"),
                format!("write `{NEWTON}`, `{FEDSGD}` or `{FEDAVG}`"),
            )),
        }
    }
}

impl Rounds {
    /// Statistics take one round, whether the study says so or not.
    fn single(section: Option<Section>, mode: Mode) -> Result<Self, StudyFault> {
        let Some(section) = section else {
            return Ok(Self {
                most: 1,
                spare_attempts: default_spare(1, mode),
            });
        };
        section.refuse_all(
            &[
                "stop_when_step_below",
                "learning_rate",
                "local_steps",
                "average_last",
            ],
            "a statistics study has no such key",
        )?;
        let rounds = Self::read(section, Some(1), mode)?;
        if rounds.most == 1 {
            Ok(rounds)
        } else {
            Err(StudyFault::Invalid {
                field: "rounds.most".to_owned(),
                problem: "statistics take exactly one round".to_owned(),
                fix: "write 1".to_owned(),
            })
        }
    }

    fn read(mut section: Section, default: Option<u32>, mode: Mode) -> Result<Self, StudyFault> {
        let most = at_least_one(&mut section, "most", default)?;
        if most > MOST_ROUNDS {
            return Err(section.invalid(
                "most",
                "too many rounds",
                format!("write at most {MOST_ROUNDS}"),
            ));
        }
        if mode == Mode::None && section.contains("spare_attempts") {
            return Err(section.invalid(
                "spare_attempts",
                "an unnoised study has no such key",
                "remove it",
            ));
        }
        let spare_attempts = section
            .optional("spare_attempts")?
            .unwrap_or_else(|| default_spare(most, mode));
        if spare_attempts > most {
            return Err(section.invalid(
                "spare_attempts",
                "more than `rounds.most`",
                "write a smaller number",
            ));
        }
        Ok(Self {
            most,
            spare_attempts,
        })
    }

    fn check_average(&self, method: Method) -> Result<(), StudyFault> {
        match method {
            Method::FedSgd { average_last, .. } if average_last > self.most => {
                Err(StudyFault::Invalid {
                    field: "rounds.average_last".to_owned(),
                    problem: "more than `rounds.most`".to_owned(),
                    fix: "write a smaller number".to_owned(),
                })
            }
            Method::FedSgd { .. } | Method::Newton { .. } | Method::FedAvg { .. } => Ok(()),
        }
    }
}

/// A tenth of the rounds, at least one; nothing is reserved without noise.
fn default_spare(most: u32, mode: Mode) -> u32 {
    match mode {
        Mode::None => 0,
        Mode::Distributed => most.div_ceil(10),
    }
}

fn positive(section: &mut Section, key: &str) -> Result<f64, StudyFault> {
    let value: f64 = section.required(key)?;
    if value > 0.0 {
        Ok(value)
    } else {
        Err(section.invalid(key, "not above zero", "write a positive number"))
    }
}

fn at_least_one(section: &mut Section, key: &str, default: Option<u32>) -> Result<u32, StudyFault> {
    let value = match default {
        Some(default) => section.optional(key)?.unwrap_or(default),
        None => section.required(key)?,
    };
    if value > 0 {
        Ok(value)
    } else {
        Err(section.invalid(key, "zero", "write 1 or more"))
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
/// The keys of `[rounds]`.
pub(crate) const ROUNDS_KEYS: &[&str] = &[
    "most",
    "spare_attempts",
    "stop_when_step_below",
    "learning_rate",
    "local_steps",
    "average_last",
];

const STATISTICS: &str = "statistics";
const LOGISTIC_REGRESSION: &str = "logistic-regression";
const NEWTON: &str = "newton";
const FEDSGD: &str = "fedsgd";
const FEDAVG: &str = "fedavg";
/// Far beyond any use; keeps the accounting of attempts in small integers.
const MOST_ROUNDS: u32 = 100_000;
