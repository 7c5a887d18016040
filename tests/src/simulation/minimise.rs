// SPDX-License-Identifier: Apache-2.0
//! From a list that breaks an invariant to a short one that breaks the same (delta debugging, Zeller and Hildebrandt 2002).

use super::faults::Mutation;
use super::invariants::Invariant;
use super::operation::Operation;
use super::world::{Settings, run};

/// Leaves out as much as possible. A list that breaks nothing comes back as it is.
#[must_use]
pub fn minimise(operations: &[Operation], mutation: Mutation) -> Vec<Operation> {
    let Some(broken) = broken(operations, mutation) else {
        return operations.to_vec();
    };
    let mut kept = operations.to_vec();
    let mut size = kept.len() / 2;
    while size > 0 {
        let mut from = 1;
        let before = kept.len();
        while from < kept.len() {
            let until = (from + size).min(kept.len());
            let shorter: Vec<Operation> =
                kept[..from].iter().chain(&kept[until..]).copied().collect();
            if self::broken(&shorter, mutation) == Some(broken) {
                kept = shorter;
            } else {
                from = until;
            }
        }
        // At the finest size: again as long as anything can be left out.
        if size > 1 || kept.len() == before {
            size /= 2;
        }
    }
    kept
}

fn broken(operations: &[Operation], mutation: Mutation) -> Option<Invariant> {
    let settings = Settings {
        mutation,
        ..Settings::default()
    };
    run(operations, settings)
        .violation
        .map(|violation| violation.invariant)
}
