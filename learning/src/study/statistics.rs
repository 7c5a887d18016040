// SPDX-License-Identifier: Apache-2.0
//! `[[analysis.counts]]` and its siblings: the statistics of one release.

use serde::Serialize;

use super::StudyFault;
use super::regression::REGRESSION_KEYS;
use super::schema::{DataSchema, listed};
use super::section::Section;

/// The statistics a study asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StatisticsPlan {
    /// `[[analysis.counts]]`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<CountPlan>,
    /// `[[analysis.tables]]`
    pub tables: Vec<TablePlan>,
    /// `[[analysis.sums]]`, `[[analysis.means]]` and `[[analysis.moments]]`, in this order.
    pub moments: Vec<MomentPlan>,
    /// `[[analysis.histograms]]`
    pub histograms: Vec<HistogramPlan>,
    /// `[[analysis.quantiles]]`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<QuantilePlan>,
    /// `[[analysis.survival]]`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub survival: Vec<SurvivalPlan>,
}

/// Whether a study asks for survival curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curves {
    Only,
    None,
}

/// Counts of rows by one category.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountPlan {
    /// The category.
    pub column: String,
}

/// Counts of rows by two categories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TablePlan {
    /// The category that becomes the rows.
    pub rows: String,
    /// The category that becomes the columns.
    pub columns: String,
}

/// What is summed of a number; with noise each further sum makes all of them less precise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentOrder {
    /// The number alone.
    Sum,
    /// The rows and the number.
    Mean,
    /// The rows, the number and its square.
    #[default]
    Variance,
}

/// Sum, mean or variance of a number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MomentPlan {
    /// The column of numbers.
    pub column: String,
    /// How far the sums go.
    #[serde(skip_serializing_if = "MomentOrder::is_variance")]
    pub order: MomentOrder,
}

/// Counts of a number between public edges.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistogramPlan {
    /// The column of numbers.
    pub column: String,
    /// Rising edges; bin i holds edge i <= value < edge i+1, the last bin its upper edge too.
    pub edges: Vec<f64>,
}

/// Quantiles of a number, out of a histogram between public edges.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantilePlan {
    /// The histogram.
    pub histogram: HistogramPlan,
    /// The shares below, such as 0.5 for the median; rising.
    pub at: Vec<f64>,
}

/// A Kaplan-Meier curve by public time bins.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SurvivalPlan {
    /// The column of times and the edges of the bins.
    pub histogram: HistogramPlan,
    /// The category that says whether the time ended in the event.
    pub event: String,
    /// The label that means that it did; any other means that the observation was cut off.
    pub positive: String,
    /// A category with one curve for each of its labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl StatisticsPlan {
    /// Reads a study of statistics or, with `Curves::Only`, of survival curves: a policy grants these by another word.
    pub(super) fn read(
        mut section: Section,
        data: &DataSchema,
        curves: Curves,
    ) -> Result<Self, StudyFault> {
        section.refuse_all(REGRESSION_KEYS, "a statistics study has no such key")?;
        match curves {
            Curves::Only => {
                let others = STATISTICS_KEYS.get(1..).unwrap_or_default();
                section.refuse_all(others, "a study of kind `kaplan-meier` has no such key")?;
            }
            Curves::None if section.contains("survival") => {
                return Err(section.invalid(
                    "survival",
                    "survival curves are an analysis of their own, which a policy must grant",
                    "write `kind = \"kaplan-meier\"` in a study of its own",
                ));
            }
            Curves::None => {}
        }
        let counts = entries(&mut section, "counts", &["column"], |mut count| {
            let column: String = count.required("column")?;
            data.category(&count.field("column"), &column)?;
            Ok(CountPlan { column })
        })?;
        let tables = entries(&mut section, "tables", &["rows", "columns"], |mut table| {
            let rows: String = table.required("rows")?;
            let columns: String = table.required("columns")?;
            data.category(&table.field("rows"), &rows)?;
            data.category(&table.field("columns"), &columns)?;
            Ok(TablePlan { rows, columns })
        })?;
        let mut moments = Vec::new();
        for (key, order) in [
            ("sums", MomentOrder::Sum),
            ("means", MomentOrder::Mean),
            ("moments", MomentOrder::Variance),
        ] {
            moments.extend(entries(&mut section, key, &["column"], |mut moment| {
                let column: String = moment.required("column")?;
                data.number(&moment.field("column"), &column)?;
                Ok(MomentPlan { column, order })
            })?);
        }
        let plan = Self {
            counts,
            tables,
            moments,
            histograms: entries(
                &mut section,
                "histograms",
                &["column", "edges"],
                |mut entry| HistogramPlan::read(&mut entry, "column", data),
            )?,
            quantiles: entries(
                &mut section,
                "quantiles",
                &["column", "edges", "at"],
                |entry| QuantilePlan::read(entry, data),
            )?,
            survival: entries(
                &mut section,
                "survival",
                &["time", "edges", "event", "by"],
                |entry| SurvivalPlan::read(entry, data),
            )?,
        };
        if plan == Self::default() {
            return Err(section.invalid(
                "kind",
                "the study asks for no statistic",
                match curves {
                    Curves::Only => "add `[[analysis.survival]]`",
                    Curves::None => "add `[[analysis.counts]]`, `tables`, `sums`, `means`, `moments`, `histograms` or `quantiles`",
                },
            ));
        }
        Ok(plan)
    }

    /// The longest vector, by L2 norm, that one row can make: each row falls into one cell of every count, table,
    /// histogram and curve, and every sum of a number counts it in units of half its range about the middle.
    #[expect(
        clippy::cast_precision_loss,
        reason = "as many statistics as a study file has lines"
    )]
    pub(crate) fn row_bound(&self) -> f64 {
        let cells = self.counts.len()
            + self.tables.len()
            + self.histograms.len()
            + self.quantiles.len()
            + self.survival.len();
        let sums: usize = self.moments.iter().map(|plan| plan.order.sums()).sum();
        ((cells + sums) as f64).sqrt()
    }
}

impl MomentOrder {
    /// How many sums it takes.
    pub(crate) fn sums(self) -> usize {
        match self {
            Self::Sum => 1,
            Self::Mean => 2,
            Self::Variance => 3,
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that the serialiser calls"
    )]
    fn is_variance(&self) -> bool {
        *self == Self::Variance
    }
}

impl HistogramPlan {
    fn read(section: &mut Section, key: &str, data: &DataSchema) -> Result<Self, StudyFault> {
        let column: String = section.required(key)?;
        let [low, high] = data.number(&section.field(key), &column)?.range;
        let edges: Vec<f64> = section.required("edges")?;
        if edges.len() < 2 || !is_rising(&edges) {
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

impl QuantilePlan {
    fn read(mut section: Section, data: &DataSchema) -> Result<Self, StudyFault> {
        let histogram = HistogramPlan::read(&mut section, "column", data)?;
        let at: Vec<f64> = section.required("at")?;
        let within = at.iter().all(|share| *share > 0.0 && *share < 1.0);
        if at.is_empty() || !within || !is_rising(&at) {
            return Err(section.invalid(
                "at",
                "not shares in rising order",
                "write numbers between 0 and 1, such as [0.25, 0.5, 0.75]",
            ));
        }
        Ok(Self { histogram, at })
    }
}

impl SurvivalPlan {
    fn read(mut section: Section, data: &DataSchema) -> Result<Self, StudyFault> {
        let histogram = HistogramPlan::read(&mut section, "time", data)?;
        let mut event = section.section("event", &["column", "positive"])?;
        let column: String = event.required("column")?;
        let labels = data.category(&event.field("column"), &column)?.labels();
        let positive: String = event.required("positive")?;
        if !labels.contains(&positive.as_str()) {
            return Err(event.invalid(
                "positive",
                format!("`{positive}` is no label of `{column}`"),
                format!("write one of {}", listed(&labels)),
            ));
        }
        let by: Option<String> = section.optional("by")?;
        if let Some(by) = &by {
            data.category(&section.field("by"), by)?;
        }
        Ok(Self {
            histogram,
            event: column,
            positive,
            by,
        })
    }
}

fn entries<T>(
    section: &mut Section,
    key: &str,
    known: &[&str],
    read: impl FnMut(Section) -> Result<T, StudyFault>,
) -> Result<Vec<T>, StudyFault> {
    section.list(key, known)?.into_iter().map(read).collect()
}

fn is_rising(numbers: &[f64]) -> bool {
    numbers
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a < b))
}

/// The keys of `[analysis]` that only statistics have; `survival` first.
pub(super) const STATISTICS_KEYS: &[&str] = &[
    "survival",
    "counts",
    "tables",
    "sums",
    "means",
    "moments",
    "histograms",
    "quantiles",
];
