// SPDX-License-Identifier: Apache-2.0

//! The closed vocabularies that a policy and a request share.

use std::fmt;

use consilium_privacy::noise_plan::Unit;
use serde::{Deserialize, Serialize};

/// A closed vocabulary: every value has one spelling.
pub trait Word: Copy + Eq + 'static {
    /// Every value, weakest first where they have an order.
    const ALL: &'static [Self];

    /// The spelling in policies, requests and logs.
    fn as_str(self) -> &'static str;

    /// The value with this spelling.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|value| value.as_str() == word)
    }
}

/// How a study protects single patients in what it releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// No noise: only the sum over the silos hides a patient.
    None,
    /// The silos share the noise of one sum.
    Distributed,
    /// Every silo's own message is private by itself.
    Local,
}

impl Mode {
    /// Whether the study spends a privacy budget.
    pub fn is_noised(self) -> bool {
        match self {
            Self::None => false,
            Self::Distributed | Self::Local => true,
        }
    }
}

impl Word for Mode {
    const ALL: &'static [Self] = &[Self::None, Self::Distributed, Self::Local];

    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Distributed => "distributed",
            Self::Local => "local",
        }
    }
}

/// Whom a study's noise hides; the words of the study file.
impl Word for Unit {
    const ALL: &'static [Self] = &[Self::Patient, Self::Silo];

    fn as_str(self) -> &'static str {
        self.name()
    }
}

/// How far the process that reads patient data is cut off, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// A process of its own, without keys, with nothing but a pipe to the agent.
    Process,
    /// And system calls are filtered, so that it can open no socket (seccomp).
    NoNetwork,
    /// And it can reach no file but its data set (Landlock).
    Sandbox,
    /// And it runs in empty namespaces of its own (bubblewrap).
    Namespaces,
}

impl Word for Isolation {
    const ALL: &'static [Self] = &[
        Self::Process,
        Self::NoNetwork,
        Self::Sandbox,
        Self::Namespaces,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::NoNetwork => "no-network",
            Self::Sandbox => "sandbox",
            Self::Namespaces => "namespaces",
        }
    }
}

/// Whether a person at the hospital must say yes to each permitted study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// The policy alone decides.
    Automatic,
    /// A person approves, or the study is refused at its deadline.
    Person,
}

/// How contributions are combined. There is one word, so that a policy states it and a later one is a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// Masked: nobody sees a single silo's contribution.
    Secure,
}

impl Word for Aggregation {
    const ALL: &'static [Self] = &[Self::Secure];

    fn as_str(self) -> &'static str {
        match self {
            Self::Secure => "secure",
        }
    }
}

/// What may leave the masks. One word, as for [`Aggregation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// Sums over the surviving silos, and what follows from them.
    Aggregate,
}

impl Word for Release {
    const ALL: &'static [Self] = &[Self::Aggregate];

    fn as_str(self) -> &'static str {
        match self {
            Self::Aggregate => "aggregate",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The kinds of analysis that a grant may name.
// A misspelt kind would silently grant nothing, so the reader knows the list; a study with any other kind
// is refused by every grant.
pub(crate) const ANALYSES: &[&str] = &[
    "statistics",
    "logistic-regression",
    "linear-regression",
    "softmax-regression",
    "poisson-regression",
    "cox-regression",
    "kaplan-meier",
    "neural-network",
];
