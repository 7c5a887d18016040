// SPDX-License-Identifier: Apache-2.0

//! One failed condition: what was asked, what is allowed, and the nearest thing that would be.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::Word;

/// One condition that a request does not meet.
///
/// `Display` and serialisation are safe for others: a count of patients is in neither. The hospital's own
/// log has it by [`Condition::text_for_own_log`].
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Where in the policy the condition stands.
    pub rule: Rule,
    /// What it is about.
    pub term: Term,
    /// What the policy allows.
    pub limit: String,
    /// What the request asks; `None` when it is a count of patients, or nothing was asked.
    pub actual: Option<String>,
    /// What would be permitted instead.
    pub nearest: Nearest,
    /// The statement, without the rule.
    statement: String,
    /// SECURITY: never shown but in [`Condition::text_for_own_log`].
    #[serde(skip)]
    patients: Option<u64>,
}

impl Condition {
    pub(crate) fn new(
        rule: Rule,
        term: Term,
        limit: impl Into<String>,
        statement: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            term,
            limit: limit.into(),
            actual: None,
            nearest: Nearest::Nothing("under this policy".to_owned()),
            statement: statement.into(),
            patients: None,
        }
    }

    pub(crate) fn actual(mut self, actual: impl Into<String>) -> Self {
        self.actual = Some(actual.into());
        self
    }

    pub(crate) fn change(mut self, change: impl Into<String>) -> Self {
        self.nearest = Nearest::Change(change.into());
        self
    }

    pub(crate) fn nothing(mut self, because: impl Into<String>) -> Self {
        self.nearest = Nearest::Nothing(because.into());
        self
    }

    pub(crate) fn patients(mut self, patients: u64) -> Self {
        self.patients = Some(patients);
        self
    }

    /// The statement with the count of patients, for the hospital's own log and officers only.
    pub fn text_for_own_log(&self) -> String {
        match self.patients {
            Some(patients) => format!("{self} (registered with at least {patients})"),
            None => self.to_string(),
        }
    }

    /// The statement without the rule it stands in, safe for others.
    pub fn statement(&self) -> &str {
        &self.statement
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.rule, self.statement)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Condition({self})")
    }
}

/// The part of a policy in which a condition stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The policy as a whole: what no grant permits is refused.
    Default,
    /// `[floor]`.
    Floor,
    /// `[budget."data set"]`.
    Budget(String),
    /// `[[grant]]`, by name.
    Grant(String),
    /// `[[never]]`, by name.
    Never(String),
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("policy"),
            Self::Floor => formatter.write_str("floor"),
            Self::Budget(data) => write!(formatter, "budget `{data}`"),
            Self::Grant(name) => write!(formatter, "grant `{name}`"),
            Self::Never(name) => write!(formatter, "never `{name}`"),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// There is a policy, and it has a grant.
    Grant,
    /// Silos invited.
    MinSilos,
    /// Silos that a released sum spans.
    MinSurvivors,
    /// Noise.
    DifferentialPrivacy,
    /// Patients in the registered data set.
    MinPatients,
    /// Silos that the study counts as knowing one patient.
    MinSilosPerPatient,
    /// Isolation of the process that reads the data.
    Isolation,
    /// Delta of the study.
    Delta,
    /// Epsilon of the study.
    Epsilon,
    /// The privacy budget of the data set.
    Budget,
    /// The researcher.
    Who,
    /// The data set.
    Data,
    /// The purpose.
    Purpose,
    /// The legal basis.
    Basis,
    /// The ethics approval.
    Ethics,
    /// The kind of analysis.
    Analysis,
    /// The training plan.
    Plan,
    /// How single patients are protected.
    Mode,
    /// Whom the noise hides.
    Unit,
    /// Rounds.
    Rounds,
    /// The hour of the day.
    Hours,
    /// A prohibition.
    Never,
}

impl Word for Term {
    const ALL: &'static [Self] = &[
        Self::Grant,
        Self::MinSilos,
        Self::MinSurvivors,
        Self::DifferentialPrivacy,
        Self::MinPatients,
        Self::MinSilosPerPatient,
        Self::Isolation,
        Self::Delta,
        Self::Epsilon,
        Self::Budget,
        Self::Who,
        Self::Data,
        Self::Purpose,
        Self::Basis,
        Self::Ethics,
        Self::Analysis,
        Self::Plan,
        Self::Mode,
        Self::Unit,
        Self::Rounds,
        Self::Hours,
        Self::Never,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::MinSilos => "min_silos",
            Self::MinSurvivors => "min_survivors",
            Self::DifferentialPrivacy => "differential_privacy",
            Self::MinPatients => "min_patients",
            Self::MinSilosPerPatient => "min_silos_per_patient",
            Self::Isolation => "isolation",
            Self::Delta => "delta",
            Self::Epsilon => "epsilon",
            Self::Budget => "budget",
            Self::Who => "who",
            Self::Data => "data",
            Self::Purpose => "purpose",
            Self::Basis => "basis",
            Self::Ethics => "ethics",
            Self::Analysis => "analysis",
            Self::Plan => "plan",
            Self::Mode => "mode",
            Self::Unit => "unit",
            Self::Rounds => "rounds",
            Self::Hours => "hours",
            Self::Never => "never",
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The nearest thing that this condition would permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nearest {
    /// The study with this change.
    Change(String),
    /// No change of the study helps; the reason, to be read after `none`.
    Nothing(String),
}

impl fmt::Display for Nearest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(change) => formatter.write_str(change),
            Self::Nothing(because) => write!(formatter, "none {because}"),
        }
    }
}

impl Serialize for Nearest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
