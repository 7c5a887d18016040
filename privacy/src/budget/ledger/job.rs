// SPDX-License-Identifier: Apache-2.0
//! A study in the ledger: what each of its attempts costs, and which of them are spent.

use std::collections::{BTreeMap, BTreeSet};

use crate::budget::{DeltaAmount, RdpAmount};
use crate::noise_plan::View;

/// What a study has set aside and used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub(super) data_set: String,
    pub(super) attempts: u32,
    pub(super) cost: RdpAmount,
    pub(super) delta: DeltaAmount,
    pub(super) view: View,
    pub(super) curve: BTreeMap<u32, RdpAmount>,
    pub(super) committed: BTreeSet<String>,
    pub(super) released: bool,
}

impl Job {
    /// The data set the study draws on.
    #[must_use]
    pub fn data_set(&self) -> &str {
        &self.data_set
    }

    /// What one attempt costs at the order of the budget.
    #[must_use]
    pub fn cost(&self) -> RdpAmount {
        self.cost
    }

    /// What one attempt costs of delta, at the epsilon that the budget has now.
    #[must_use]
    pub fn delta(&self) -> DeltaAmount {
        self.delta
    }

    /// Against whom that price holds.
    #[must_use]
    pub fn view(&self) -> View {
        self.view
    }

    /// What one attempt costs at each order, as it was recorded.
    #[must_use]
    pub fn curve(&self) -> &BTreeMap<u32, RdpAmount> {
        &self.curve
    }

    /// Attempts reserved.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Attempts that may still be committed.
    #[must_use]
    pub fn attempts_left(&self) -> u32 {
        if self.released {
            0
        } else {
            self.attempts.saturating_sub(self.attempts_committed())
        }
    }

    pub(super) fn attempts_committed(&self) -> u32 {
        u32::try_from(self.committed.len()).unwrap_or(u32::MAX)
    }

    /// Committed ones and those still set aside.
    pub(super) fn attempts_charged(&self) -> u32 {
        self.attempts_committed()
            .saturating_add(self.attempts_left())
    }

    /// The attempts committed.
    pub fn committed(&self) -> impl Iterator<Item = &str> {
        self.committed.iter().map(String::as_str)
    }

    /// Whether the study has ended.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.released
    }

    pub(super) fn has_committed(&self, attempt: &str) -> bool {
        self.committed.contains(attempt)
    }
}
