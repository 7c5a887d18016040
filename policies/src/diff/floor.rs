// SPDX-License-Identifier: Apache-2.0

//! Floors and budgets.

use super::Diff;
use crate::{ChargedView, Floor, NoiseRule, Policy};

pub(super) fn compare(diff: &mut Diff, old: &Floor, new: &Floor) {
    // A floor in one word that has only one spelling cannot differ: `aggregation` and `release`.
    diff.limit(
        &old.min_silos,
        &new.min_silos,
        |old, new| new < old,
        |old, new| {
            format!(
                "studies with fewer than {} silos: at least {new} now (was {old})",
                old.max(new)
            )
        },
    );
    diff.limit(
        &old.min_survivors,
        &new.min_survivors,
        |old, new| new < old,
        |old, new| {
            format!(
                "sums over fewer than {} silos: at least {new} now (was {old})",
                old.max(new)
            )
        },
    );
    diff.limit(
        &old.differential_privacy,
        &new.differential_privacy,
        |_, new| *new == NoiseRule::UnlessAgreed,
        |_, _| "studies without noise where a grant names an agreement".to_owned(),
    );
    diff.limit(
        &old.min_patients,
        &new.min_patients,
        |old, new| new < old,
        |old, new| {
            format!(
                "data sets of fewer than {} patients: at least {new} now (was {old})",
                old.max(new)
            )
        },
    );
    diff.limit(
        &old.min_silos_per_patient,
        &new.min_silos_per_patient,
        |old, new| new < old,
        |old, new| {
            format!(
                "studies whose noise hides a patient of fewer than {} silos: at least {new} now (was {old})",
                old.max(new)
            )
        },
    );
    diff.limit(
        &old.isolation,
        &new.isolation,
        |old, new| new < old,
        |old, new| {
            format!(
                "isolation below `{}`: at least `{new}` now (was `{old}`)",
                old.max(new)
            )
        },
    );
    if old.min_patients_reason != new.min_patients_reason {
        diff.otherwise
            .push("the reason for the least number of patients differs".to_owned());
    }
}

pub(super) fn compare_budgets(diff: &mut Diff, old: &Policy, new: &Policy) {
    for (data, before) in &old.budgets {
        match new.budgets.get(data) {
            None => diff
                .newly_refused
                .push(format!("noised studies on `{data}`: its budget is gone")),
            Some(after) => {
                diff.limit(
                    &before.epsilon,
                    &after.epsilon,
                    |old, new| new > old,
                    |old, new| {
                        format!(
                            "studies on `{data}` beyond epsilon {}: {new} in all now (was {old})",
                            old.min(new)
                        )
                    },
                );
                diff.limit(
                    &before.delta,
                    &after.delta,
                    |old, new| new > old,
                    |old, new| {
                        format!(
                            "studies on `{data}` beyond delta {}: {new} in all now (was {old})",
                            old.min(new)
                        )
                    },
                );
                diff.limit(
                    &before.charge,
                    &after.charge,
                    |_, new| *new == ChargedView::Colluders,
                    |_, new| match new {
                        ChargedView::Colluders => format!(
                            "studies on `{data}` whose price holds while the masks hold: charged against colluders now"
                        ),
                        ChargedView::MasksBroken => format!(
                            "studies on `{data}` whose price holds only while the masks hold: charged as if they were broken now"
                        ),
                    },
                );
            }
        }
    }
    for (data, budget) in new
        .budgets
        .iter()
        .filter(|(data, _)| !old.budgets.contains_key(*data))
    {
        diff.newly_permitted.push(format!(
            "noised studies on `{data}`: epsilon {}, delta {} in all",
            budget.epsilon, budget.delta
        ));
    }
}
