// SPDX-License-Identifier: Apache-2.0

//! Grants and prohibitions, matched by name.

use super::Diff;
use crate::{Approval, Grant, Hours, Never, Word};

pub(super) fn compare(diff: &mut Diff, old: &[Grant], new: &[Grant]) {
    for before in old {
        match new.iter().find(|grant| grant.name == before.name) {
            Some(after) => compare_one(diff, before, after),
            None => diff
                .newly_refused
                .push(format!("everything under grant `{}`", before.name)),
        }
    }
    for after in new
        .iter()
        .filter(|grant| !old.iter().any(|before| before.name == grant.name))
    {
        diff.newly_permitted.push(format!(
            "{} under new grant `{}`",
            summary(after),
            after.name
        ));
    }
    compare_order(diff, old, new);
}

pub(super) fn compare_nevers(diff: &mut Diff, old: &[Never], new: &[Never]) {
    for before in old {
        match new.iter().find(|never| never.name == before.name) {
            None => diff.newly_permitted.push(format!(
                "what never `{}` forbade: {}",
                before.name, before.reason
            )),
            Some(after) if same_scope(before, after) => {
                if before.reason != after.reason {
                    diff.otherwise
                        .push(format!("the reason of never `{}` differs", before.name));
                }
            }
            Some(_) => diff.replaced(
                format!("what never `{}` forbade and no longer forbids", before.name),
                format!("what never `{}` now forbids", before.name),
            ),
        }
    }
    for after in new
        .iter()
        .filter(|never| !old.iter().any(|before| before.name == never.name))
    {
        diff.newly_refused.push(format!(
            "what never `{}` forbids: {}",
            after.name, after.reason
        ));
    }
}

fn compare_one(diff: &mut Diff, old: &Grant, new: &Grant) {
    let grant = format!("grant `{}`", new.name);
    diff.permitted_list(&old.who, &new.who, |who| {
        format!("{grant}: researcher `{who}`")
    });
    diff.permitted_list(&old.data, &new.data, |data| {
        format!("{grant}: data `{data}`")
    });
    diff.permitted_list(&old.purpose, &new.purpose, |purpose| {
        format!("{grant}: purpose `{purpose}`")
    });
    diff.permitted_list(&old.analyses, &new.analyses, |analysis| {
        format!("{grant}: analysis `{analysis}`")
    });
    diff.permitted_list(&old.plans, &new.plans, |plan| {
        format!("{grant}: plan {plan}")
    });
    diff.permitted_list(&old.modes, &new.modes, |mode| {
        format!("{grant}: mode `{mode}`")
    });
    diff.permitted_list(&old.units, &new.units, |unit| {
        format!("{grant}: studies whose unit is the `{}`", unit.as_str())
    });
    let stated = |basis: &String| format!("{grant}: studies that state the basis `{basis}`");
    diff.permitted_list(old.basis.as_slice(), new.basis.as_slice(), stated);
    if old.ethics.reference != new.ethics.reference {
        diff.replaced(
            format!("{grant}: ethics {}", new.ethics.reference),
            format!("{grant}: ethics {}", old.ethics.reference),
        );
    }
    diff.limit(
        &old.ethics.until,
        &new.ethics.until,
        |old, new| new > old,
        |old, new| {
            format!(
                "{grant}: studies after {}: until {new} now (was {old})",
                old.min(new)
            )
        },
    );
    match (&old.agreement, &new.agreement) {
        (None, Some(agreement)) => diff.newly_permitted.push(format!(
            "{grant}: studies without noise, by agreement {agreement}"
        )),
        (Some(agreement), None) => diff.newly_refused.push(format!(
            "{grant}: studies without noise, by agreement {agreement}"
        )),
        (Some(before), Some(after)) if before != after => {
            diff.otherwise.push(format!(
                "{grant}: studies without noise by agreement {after} (was {before})"
            ));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    diff.limit(
        &old.epsilon_per_job,
        &new.epsilon_per_job,
        |old, new| more(*old, *new),
        |old, new| {
            format!(
                "{grant}: epsilon of one study at most {} now (was {})",
                or_any(new),
                or_any(old)
            )
        },
    );
    diff.limit(
        &old.delta_per_job,
        &new.delta_per_job,
        |old, new| more(*old, *new),
        |old, new| {
            format!(
                "{grant}: delta of one study at most {} now (was {})",
                or_any(new),
                or_any(old)
            )
        },
    );
    diff.limit(
        &old.rounds_per_job,
        &new.rounds_per_job,
        |old, new| new > old,
        |old, new| format!("{grant}: rounds of one study at most {new} now (was {old})"),
    );
    diff.permitted_list(&open_hours(old.hours), &open_hours(new.hours), |hour| {
        format!("{grant}: studies at {hour:02}:00 UTC")
    });
    match (old.approval, new.approval) {
        (Approval::Person, Approval::Automatic) => diff
            .newly_permitted
            .push(format!("{grant}: studies without a person's approval")),
        (Approval::Automatic, Approval::Person) => diff
            .newly_refused
            .push(format!("{grant}: studies that no person approves")),
        (Approval::Person, Approval::Person) | (Approval::Automatic, Approval::Automatic) => {}
    }
}

// The order decides only which of several grants is cited.
fn compare_order(diff: &mut Diff, old: &[Grant], new: &[Grant]) {
    let order = |of: &[Grant], other: &[Grant]| -> Vec<String> {
        of.iter()
            .filter(|grant| other.iter().any(|known| known.name == grant.name))
            .map(|grant| grant.name.clone())
            .collect()
    };
    if order(old, new) != order(new, old) {
        diff.otherwise
            .push("the order of the grants differs".to_owned());
    }
}

fn same_scope(old: &Never, new: &Never) -> bool {
    let scope = |never: &Never| Never {
        reason: String::new(),
        ..never.clone()
    };
    scope(old) == scope(new)
}

/// Whether a limit was raised; no limit is the highest.
fn more<T: PartialOrd>(old: Option<T>, new: Option<T>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => new > old,
        (Some(_), None) => true,
        (None, Some(_) | None) => false,
    }
}

fn or_any<T: ToString>(limit: &Option<T>) -> String {
    limit
        .as_ref()
        .map_or_else(|| "any".to_owned(), T::to_string)
}

fn open_hours(hours: Option<Hours>) -> Vec<u8> {
    (0..24)
        .filter(|hour| hours.is_none_or(|hours| hours.contains(*hour)))
        .collect()
}

fn summary(grant: &Grant) -> String {
    let mut modes: Vec<&str> = grant.modes.iter().map(|mode| mode.as_str()).collect();
    if grant.agreement.is_some() {
        modes.insert(0, "none");
    }
    format!(
        "{} by {} on {} for {} (mode {})",
        grant.analyses.join(", "),
        grant.who.join(", "),
        grant.data.join(", "),
        grant.purpose.join(", "),
        modes.join(", ")
    )
}
