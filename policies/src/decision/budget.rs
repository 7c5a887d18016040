// SPDX-License-Identifier: Apache-2.0

//! `[budget]`: whether the data set's privacy budget has enough left.

use crate::{BudgetUse, Condition, Policy, Request, Rule, Term};

pub(super) fn failed(policy: &Policy, request: &Request) -> Option<Condition> {
    if !request.mode.is_noised() {
        return None;
    }
    let data = request.budgeted_as();
    let condition = |limit: String, statement: String| {
        Condition::new(
            Rule::Budget(data.to_owned()),
            Term::Budget,
            limit,
            statement,
        )
    };
    if policy.budget(data).is_none() {
        return Some(
            condition("no budget".to_owned(), "this policy sets none".to_owned())
                .nothing(format!("until a budget for `{data}` is set")),
        );
    }
    match request.budget {
        BudgetUse::Assumed => None,
        BudgetUse::Uncharged => Some(
            condition(
                "a charge".to_owned(),
                "the ledger has not priced this noised study".to_owned(),
            )
            .nothing("until the study is priced by the ledger"),
        ),
        BudgetUse::Share { needed, left } if needed <= left => None,
        BudgetUse::Share { needed, left } => {
            let (needed, left_text) = percents(needed, left);
            let refused = condition(
                format!("{left_text} left"),
                format!("needs {needed}, {left_text} left"),
            )
            .actual(needed);
            Some(if left >= SPENDABLE {
                refused.change(format!(
                    "a study that needs at most {left_text} of the budget"
                ))
            } else {
                refused.nothing("while the budget is exhausted")
            })
        }
    }
}

/// Both shares in words, rounded to whole percents unless that would hide which is greater.
fn percents(needed: f64, left: f64) -> (String, String) {
    let (needed, left) = (needed * 100.0, left * 100.0);
    if needed.round() > left.round() {
        (
            format!("{} %", needed.round()),
            format!("{} %", left.round().max(0.0)),
        )
    } else {
        (
            format!("{:.1} %", (needed * 10.0).ceil() / 10.0),
            format!("{:.1} %", (left * 10.0).floor() / 10.0),
        )
    }
}

/// The least share that a study could still use.
const SPENDABLE: f64 = 0.01;
