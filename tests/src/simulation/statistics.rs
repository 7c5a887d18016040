// SPDX-License-Identifier: Apache-2.0
//! How often what happened, so that a reader sees that the faults are real.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    counts: BTreeMap<String, u64>,
}

impl Statistics {
    /// What every simulation must have plenty of: at least one for so many rounds.
    pub const LEAST: [(&'static str, u64); 32] = [
        ("under faults: released with all", 10),
        ("under faults: released without some", 50),
        ("under faults: abandoned", 10),
        ("sums verified by a silo: by tags", 1),
        ("sums verified by a silo: by replay", 5),
        ("calm attempts released", 20),
        ("messages lost", 20),
        ("messages repeated", 20),
        ("messages delayed", 20),
        ("jitter", 10),
        ("partitions", 20),
        ("silos stopped", 40),
        ("coordinators stopped", 100),
        ("crashes of a silo: before-persist", 100),
        ("crashes of a silo: write-fails", 100),
        ("crashes of a silo: torn-secrets", 200),
        ("crashes of a silo: torn-journal", 200),
        ("crashes of a silo: reached-only", 100),
        ("crashes of a silo: persisted", 100),
        ("crashes of a silo: sent", 50),
        ("crashes of a coordinator: torn-kept", 200),
        ("crashes of a coordinator: kept-only", 200),
        ("crashes of a coordinator: persisted", 100),
        ("crashes of a coordinator: recorded", 100),
        ("crashes of a coordinator: sent", 50),
        ("journals put back from a backup", 100),
        ("old journals refused", 100),
        ("secrets files lost", 100),
        ("attempts sat out", 50),
        ("silos said to be gone", 50),
        ("silos said to be back", 50),
        ("uploads lost from the spool", 200),
    ];

    pub(crate) fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    /// How often something happened.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// How often anything happened whose name begins so.
    #[must_use]
    pub fn all(&self, prefix: &str) -> u64 {
        let counts = self.counts.iter();
        counts
            .filter(|(what, _)| what.starts_with(prefix))
            .map(|(_, count)| count)
            .sum()
    }

    /// Adds the counts of another world.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.counts {
            writeln!(formatter, "{count:>9}  {what}")?;
        }
        Ok(())
    }
}
