// SPDX-License-Identifier: Apache-2.0
//! `[analysis]` of a regression: the outcome, the features, the model between them.

use consilium_privacy::noise_plan::Unit;
use serde::Serialize;

use super::method::Method;
use super::privacy::RowBound;
use super::schema::{ColumnKind, DataSchema, listed};
use super::section::Section;
use super::{Mode, StudyFault};

/// A regression on standardised numbers and on category indicators, with an intercept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegressionPlan {
    /// The column that is predicted.
    pub outcome: String,
    /// The label of `outcome` that counts as positive, in a logistic regression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// The columns that predict, in the order of the coefficients.
    pub features: Vec<String>,
    /// How the coefficients are found.
    pub method: Method,
    /// What stands between features and outcome.
    #[serde(skip_serializing_if = "ModelPlan::is_logistic")]
    pub model: ModelPlan,
    /// Half of this times the sum of squared parameters is added to the mean loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ridge: Option<f64>,
    /// A row of features, the intercept among them, with a longer L2 norm is scaled down to this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_row: Option<f64>,
}

/// What stands between features and outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelPlan {
    /// The logarithm of the odds of one label is linear.
    Logistic,
    /// The number is linear.
    Linear,
    /// The logarithms of the probabilities of all labels are linear.
    Softmax,
    /// The same of the hidden units, each the hyperbolic tangent of a linear function.
    Perceptron {
        /// Hidden units.
        hidden_units: u32,
        /// Which of the many first models; public, for everybody must start from the same one.
        initial_seed: u32,
    },
}

/// The word after `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModelKind {
    Logistic,
    Linear,
    Softmax,
    Perceptron,
}

impl RegressionPlan {
    pub(super) fn read(
        kind: ModelKind,
        mut section: Section,
        rounds: &mut Section,
        data: &DataSchema,
        mode: Mode,
        unit: Unit,
    ) -> Result<Self, StudyFault> {
        section.refuse_all(
            super::statistics::STATISTICS_KEYS,
            "a regression has no such key",
        )?;
        let (outcome, positive) = read_outcome(kind, &mut section, data)?;
        let features: Vec<String> = section.required("features")?;
        check_features(&section, &features, &outcome, data)?;
        let method = Method::read(&mut section, rounds, mode, unit)?;
        if matches!(kind, ModelKind::Softmax | ModelKind::Perceptron)
            && matches!(method, Method::Newton { .. } | Method::PrivateNewton)
        {
            return Err(section.invalid(
                "method",
                "`newton` finds logistic and linear regressions only",
                if mode == Mode::None {
                    "write `fedsgd` or `fedavg`"
                } else {
                    "write `fedsgd`"
                },
            ));
        }
        let ridge = positive_number(&mut section, "ridge")?;
        let longest_row = positive_number(&mut section, "longest_row")?;
        if matches!(method, Method::Newton { .. })
            && let Some(key) = [("ridge", ridge), ("longest_row", longest_row)]
                .into_iter()
                .find_map(|(key, value)| value.map(|_| key))
        {
            return Err(section.invalid(
                key,
                format!("the method `{}` has no such key", method.name()),
                "remove it",
            ));
        }
        Ok(Self {
            outcome,
            positive,
            features,
            method,
            model: ModelPlan::read(kind, &mut section)?,
            ridge,
            longest_row,
        })
    }

    /// A gradient is a residual times the row, and both lie within public bounds; but for a perceptron, whose gradient
    /// grows with its parameters.
    ///
    /// A silo's mean gradient is no longer than the longest of its rows'; how far it moves in several steps has no such bound.
    pub(super) fn row_bound(&self, data: &DataSchema, unit: Unit) -> RowBound {
        match (self.longest_feature_row(data), self.method) {
            (None, _) => RowBound::Unknown,
            (Some(_), Method::FedAvg { .. }) if unit == Unit::Silo => RowBound::Unknown,
            // Gradient and information are scaled by their bounds, so that together they have norm 1 at most.
            (Some(_), Method::PrivateNewton) => RowBound::Gradient(1.0),
            (Some(row), Method::Newton { .. } | Method::FedSgd { .. } | Method::FedAvg { .. }) => {
                self.gradient_bound(row, data)
            }
        }
    }

    /// The public bound on the L2 norm of a row of features, the intercept among them.
    pub(crate) fn longest_feature_row(&self, data: &DataSchema) -> Option<f64> {
        let mut squares = 1.0;
        for feature in &self.features {
            squares += match data.columns.get(feature).map(|column| &column.kind) {
                Some(ColumnKind::Number(number)) => number.largest_square(),
                // At most one indicator is 1.
                Some(ColumnKind::Category(_)) => 1.0,
                None => return None,
            };
        }
        Some(f64::sqrt(squares).min(self.longest_row.unwrap_or(f64::INFINITY)))
    }

    fn gradient_bound(&self, row: f64, data: &DataSchema) -> RowBound {
        match self.model {
            ModelPlan::Logistic => RowBound::Gradient(row),
            ModelPlan::Softmax => RowBound::Gradient(std::f64::consts::SQRT_2 * row),
            ModelPlan::Linear => match data.number("analysis.outcome.column", &self.outcome) {
                Ok(number) => RowBound::Gradient(row * number.standard_width()),
                Err(_) => RowBound::Unknown,
            },
            ModelPlan::Perceptron { .. } => RowBound::Unknown,
        }
    }
}

impl ModelPlan {
    fn is_logistic(&self) -> bool {
        *self == Self::Logistic
    }

    fn read(kind: ModelKind, section: &mut Section) -> Result<Self, StudyFault> {
        let own = &["hidden_units", "initial_seed"];
        Ok(match kind {
            ModelKind::Logistic => {
                section.refuse_all(own, "a logistic regression has no such key")?;
                Self::Logistic
            }
            ModelKind::Linear => {
                section.refuse_all(own, "a linear regression has no such key")?;
                Self::Linear
            }
            ModelKind::Softmax => {
                section.refuse_all(own, "a softmax regression has no such key")?;
                Self::Softmax
            }
            ModelKind::Perceptron => {
                let hidden_units = section.required("hidden_units")?;
                if !(1..=MOST_HIDDEN_UNITS).contains(&hidden_units) {
                    return Err(section.invalid(
                        "hidden_units",
                        "out of bounds",
                        format!("write 1 to {MOST_HIDDEN_UNITS}"),
                    ));
                }
                Self::Perceptron {
                    hidden_units,
                    initial_seed: section.optional("initial_seed")?.unwrap_or(0),
                }
            }
        })
    }
}

fn check_features(
    section: &Section,
    features: &[String],
    outcome: &str,
    data: &DataSchema,
) -> Result<(), StudyFault> {
    if features.is_empty() {
        return Err(section.invalid("features", "no feature", "name at least one column"));
    }
    for (index, feature) in features.iter().enumerate() {
        let column = data.column(&section.field("features"), feature)?;
        if feature == outcome {
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
    Ok(())
}

fn read_outcome(
    kind: ModelKind,
    section: &mut Section,
    data: &DataSchema,
) -> Result<(String, Option<String>), StudyFault> {
    let mut outcome = section.section("outcome", &["column", "positive"])?;
    let column: String = outcome.required("column")?;
    if kind != ModelKind::Logistic {
        outcome.refuse_all(&["positive"], "only a logistic regression has such a key")?;
    }
    match kind {
        ModelKind::Linear => {
            data.number(&outcome.field("column"), &column)?;
            Ok((column, None))
        }
        ModelKind::Softmax | ModelKind::Perceptron => {
            data.category(&outcome.field("column"), &column)?;
            Ok((column, None))
        }
        ModelKind::Logistic => {
            let labels = data.category(&outcome.field("column"), &column)?.labels();
            let positive: String = outcome.required("positive")?;
            if labels.contains(&positive.as_str()) {
                Ok((column, Some(positive)))
            } else {
                Err(outcome.invalid(
                    "positive",
                    format!("`{positive}` is no label of `{column}`"),
                    format!("write one of {}", listed(&labels)),
                ))
            }
        }
    }
}

fn positive_number(section: &mut Section, key: &str) -> Result<Option<f64>, StudyFault> {
    match section.optional(key)? {
        Some(value) if value <= 0.0 => {
            Err(section.invalid(key, "not above zero", "write a positive number"))
        }
        value => Ok(value),
    }
}

/// The keys of `[analysis]` that only regressions have.
pub(super) const REGRESSION_KEYS: &[&str] = &[
    "outcome",
    "features",
    "method",
    "ridge",
    "longest_row",
    "hidden_units",
    "initial_seed",
];

/// A vector of a million coordinates has other limits than this one; more is no small perceptron.
const MOST_HIDDEN_UNITS: u32 = 256;
