// SPDX-License-Identifier: Apache-2.0
//! Which silos a round may name: from the invitation to the release, sets only shrink, and never below the threshold.

use crate::entry::{AggregationStatement, EventKind};

/// The fewest silos in a sum, whatever the threshold: one silo's sum would be its contribution.
const FEWEST: usize = 2;

/// What an attempt has said of its silos so far.
#[derive(Default)]
pub(super) struct Sets {
    invited: Vec<String>,
    threshold: usize,
    included: Option<Vec<String>>,
}

impl Sets {
    /// The sets of an attempt that is opened.
    pub(super) fn opened(aggregation: &AggregationStatement) -> Self {
        Self {
            invited: aggregation.invited.clone(),
            threshold: usize::try_from(aggregation.threshold).unwrap_or(usize::MAX),
            included: None,
        }
    }

    /// The fewest silos that a sum may hold, and that must have verified it.
    pub(super) fn fewest(&self) -> usize {
        self.threshold.max(self.invited.len() / 2 + 1).max(FEWEST)
    }

    /// Whether the silo was asked to take part.
    pub(super) fn invites(&self, silo: &str) -> bool {
        self.invited.iter().any(|invited| invited == silo)
    }

    /// Judges the statement of a later step and remembers it.
    pub(super) fn step(
        &mut self,
        kind: EventKind,
        aggregation: Option<&AggregationStatement>,
    ) -> Vec<String> {
        if !NAMES_SILOS.contains(&kind) {
            return Vec::new();
        }
        let Some(aggregation) = aggregation else {
            return vec![format!("`{kind}` names no silos")];
        };
        let mut wrong = Vec::new();
        if aggregation.invited != self.invited {
            wrong.push("other silos are invited than when the attempt was opened".to_owned());
        }
        let included = &aggregation.included;
        let before = self.included.as_ref().unwrap_or(&self.invited);
        if let Some(stranger) = included.iter().find(|silo| !before.contains(silo)) {
            wrong.push(format!(
                "`{stranger}` was not among the silos of the step before"
            ));
        }
        let fewest = self.fewest();
        if included.len() < fewest {
            wrong.push(format!("{} silos are fewer than {fewest}", included.len()));
        }
        self.included = Some(included.clone());
        wrong
    }
}

const NAMES_SILOS: [EventKind; 4] = [
    EventKind::RoundFrozen,
    EventKind::RoundProposed,
    EventKind::RoundCertified,
    EventKind::RoundReleased,
];
