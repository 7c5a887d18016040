// SPDX-License-Identifier: Apache-2.0
//! The parts an event is made of.

use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

/// In which role somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorRole {
    /// The service that runs rounds.
    Coordinator,
    /// A hospital's agent.
    Silo,
    /// Somebody who submits studies.
    Researcher,
    /// Somebody who answers for a hospital's data.
    Officer,
    /// Somebody who runs the machines.
    Operator,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The name in the roster.
    pub name: String,
    /// The role in which it was done.
    pub role: ActorRole,
}

impl Actor {
    /// The coordinator of this name.
    pub fn coordinator(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            role: ActorRole::Coordinator,
        }
    }

    /// The silo of this name.
    pub fn silo(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            role: ActorRole::Silo,
        }
    }

    /// The researcher of this name.
    pub fn researcher(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            role: ActorRole::Researcher,
        }
    }

    /// The officer of this name.
    pub fn officer(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            role: ActorRole::Officer,
        }
    }

    /// The operator of this name.
    pub fn operator(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            role: ActorRole::Operator,
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Success,
    /// Somebody who may say no said no.
    Refused,
    /// It could not be done.
    Failed,
}

/// The study an event belongs to, and why that study is lawful.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyReference {
    /// The study's identifier.
    pub id: String,
    /// The name its researcher gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The ethics approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethics: Option<String>,
    /// The legal basis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// The data use agreement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<String>,
    /// The purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

impl StudyReference {
    /// The study of this identifier, nothing else said.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }
}

/// One attempt at one round. Written as the top-level fields `epoch`, `round`, `attempt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptReference {
    /// The roster's version.
    pub epoch: u64,
    /// The federation's round.
    pub round: u64,
    /// The attempt at that round.
    pub attempt: u32,
}

/// The policy that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyReference {
    /// The policy's version.
    pub version: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// A privacy amount, as decimal strings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacyStatement {
    /// What one unit of protection is, such as `patient`.
    pub unit: String,
    /// The accountant that computed it.
    pub accountant: String,
    /// Epsilon of what this event is about.
    pub epsilon: String,
    /// Delta of what this event is about.
    pub delta: String,
    /// The share of the budget spent so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<String>,
    /// The limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

/// Who is in a secure aggregation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AggregationStatement {
    /// The silos invited.
    pub invited: Vec<String>,
    /// Those whose values are in the sum, once that is known.
    #[serde(default, rename = "in", skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<String>,
    /// Those that dropped out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// The Shamir threshold.
    pub threshold: u32,
}
