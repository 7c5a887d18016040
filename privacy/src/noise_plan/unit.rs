// SPDX-License-Identifier: Apache-2.0
//! Whom the noise hides.

use serde::{Deserialize, Serialize};

use crate::accountant::Adjacency;

/// Whom the noise hides: whose data, as one vector of norm `D` at most, two neighbours differ by.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// One patient of one silo, with all of that patient's rows.
    #[default]
    Patient,
    /// One silo with all of its patients.
    Silo,
}

impl Unit {
    /// The word for it in files and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Silo => "silo",
        }
    }

    /// Which two data sets the promise compares.
    ///
    /// Who took part in a round is public, so a silo is never added or removed: its data are exchanged for any others, and
    /// the two vectors of norm `D` may point in opposite directions. It is the same silo that adds its share of the noise
    /// in both. One patient more or less exchanges the silo's data too, so whatever is promised to silos holds for each of their
    /// patients; with sensitivity `D` it would not.
    #[must_use]
    pub const fn adjacency(self) -> Adjacency {
        match self {
            Self::Patient => Adjacency::AddRemove,
            Self::Silo => Adjacency::Replace,
        }
    }
}
