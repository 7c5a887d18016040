// SPDX-License-Identifier: Apache-2.0

//! What a study takes of a budget, and what is left.

use consilium_policies::{BudgetUse, Term};
use consilium_privacy::loss::Epsilon;

use crate::{good, hospital, permitted, refused, terms};

#[test]
fn nothing_is_nearest_while_the_budget_is_exhausted_and_the_approval_has_ended() {
    let mut request = good();
    request.epsilon = Some(Epsilon::parse("3.5").unwrap());
    request.date = "2028-01-01".parse().unwrap();
    request.budget = BudgetUse::Share {
        needed: 0.6,
        left: 0.0,
    };
    assert_eq!(
        refused(&hospital(), &request).to_string(),
        "refused by `st-olav.example` policy v1: budget `sepsis-2026`: needs 60 %, 0 % left; \
         grant `sepsis-consortium`: ethics REK-2026-0117 ended 2027-11-30, epsilon 3.5 > 2; \
         nearest permitted: none while the budget is exhausted and until ethics REK-2026-0117 is renewed"
    );
}

#[test]
fn a_second_study_that_would_overspend_is_told_what_is_left() {
    let mut request = good();
    request.budget = BudgetUse::Share {
        needed: 0.600_000_1,
        left: 0.399_999_9,
    };
    let refusal = refused(&hospital(), &request);
    assert_eq!(
        refusal.conditions_for_others(),
        ["budget `sepsis-2026`: needs 60 %, 40 % left"]
    );
    assert_eq!(
        refusal.nearest_permitted(),
        "a study that needs at most 40 % of the budget"
    );
}

#[test]
fn shares_that_round_alike_are_told_apart_and_no_number_is_no_share() {
    let mut request = good();
    request.budget = BudgetUse::Share {
        needed: 0.4004,
        left: 0.4001,
    };
    assert_eq!(
        refused(&hospital(), &request).conditions_for_others(),
        ["budget `sepsis-2026`: needs 40.1 %, 40.0 % left"]
    );
    for (needed, left) in [(f64::NAN, 1.0), (0.1, f64::NAN), (f64::INFINITY, 1.0)] {
        request.budget = BudgetUse::Share { needed, left };
        assert_eq!(terms(&refused(&hospital(), &request)), [Term::Budget]);
    }
    request.budget = BudgetUse::Uncharged;
    assert_eq!(terms(&refused(&hospital(), &request)), [Term::Budget]);
}

#[test]
fn a_noised_study_on_data_without_a_budget_is_refused() {
    let mut policy = hospital();
    policy.budgets.clear();
    let refusal = refused(&policy, &good());
    assert_eq!(
        refusal.conditions_for_others(),
        ["budget `sepsis-2026`: this policy sets none"]
    );
}

#[test]
fn a_data_set_that_continues_another_is_paid_for_by_the_others_budget() {
    let mut policy = hospital();
    let mut request = good();
    request.lineage = Some("sepsis-2025".to_owned());
    assert_eq!(
        refused(&policy, &request).conditions_for_others(),
        ["budget `sepsis-2025`: this policy sets none"]
    );
    let budget = policy.budgets.remove("sepsis-2026").unwrap();
    policy.budgets.insert("sepsis-2025".to_owned(), budget);
    permitted(&policy, &request);
}
