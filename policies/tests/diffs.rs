// SPDX-License-Identifier: Apache-2.0

//! What a diff says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use consilium_policies::{Policy, diff};
use consilium_privacy::noise_plan::View;

const GOOD: &str = include_str!("../examples/research-hospital.toml");

fn policy(changes: &[(&str, &str)]) -> Policy {
    let mut text = GOOD.split("[[example]]").next().unwrap().to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replacen(old, new, 1);
    }
    Policy::parse(text.as_bytes()).unwrap_or_else(|invalid| panic!("{invalid}"))
}

#[test]
fn the_same_policy_differs_in_nothing() {
    let difference = diff(&policy(&[]), &policy(&[("version = 1 ", "version = 2 ")]));
    assert!(difference.is_empty());
    assert_eq!(difference.to_string(), "nothing differs");
}

#[test]
fn loosening_and_tightening_are_told_apart() {
    let new = policy(&[
        ("epsilon_per_job = \"2.0\"", "epsilon_per_job = \"1.0\""),
        ("rounds_per_job = 60", "rounds_per_job = 90"),
        ("\"k.berg@st-olav.example\"]", "\"m.lund@st-olav.example\"]"),
        ("hours = [6, 20]", "hours = [6, 21]"),
        ("min_patients = 20", "min_patients = 30"),
        ("person_must_approve = true", "person_must_approve = false"),
        ("epsilon = \"4\"", "epsilon = \"3\""),
        (
            "purpose = [\"marketing\", \"insurance\"]",
            "purpose = [\"marketing\"]",
        ),
    ]);
    assert_eq!(
        diff(&policy(&[]), &new).to_string(),
        "newly permitted:
  grant `sepsis-consortium`: researcher `m.lund@st-olav.example`
  grant `sepsis-consortium`: rounds of one study at most 90 now (was 60)
  grant `sepsis-consortium`: studies at 20:00 UTC
  grant `sepsis-trial-reproduction`: studies without a person's approval
  what never `no-commerce` forbade and no longer forbids
newly refused:
  data sets of fewer than 30 patients: at least 30 now (was 20)
  studies on `sepsis-2026` beyond epsilon 3: 3 in all now (was 4)
  grant `sepsis-consortium`: researcher `k.berg@st-olav.example`
  grant `sepsis-consortium`: epsilon of one study at most 1 now (was 2)
  what never `no-commerce` now forbids"
    );
}

#[test]
fn charging_as_if_masks_were_broken_tightens_and_the_way_back_loosens() {
    let strict = policy(&[(
        "epsilon = \"4\"\n",
        "epsilon = \"4\"\ncharge = \"masks-broken\"\n",
    )]);
    let limit = strict.budget("sepsis-2026").unwrap();
    assert_eq!(limit.charge.view(), View::MasksBroken);
    let usual = policy(&[]);
    assert_eq!(
        usual.budget("sepsis-2026").unwrap().charge.view(),
        View::Colluders
    );
    let difference = diff(&usual, &strict);
    assert!(
        difference.tightens() && !difference.loosens(),
        "{difference}"
    );
    let back = diff(&strict, &usual);
    assert!(back.loosens() && !back.tightens(), "{back}");
    let careless = GOOD.replacen(
        "epsilon = \"4\"\n",
        "epsilon = \"4\"\ncharge = \"masks-hold\"\n",
        1,
    );
    let fault = Policy::parse(careless.as_bytes()).unwrap_err().to_string();
    assert!(
        fault.contains("charge") && fault.contains("`colluders`"),
        "{fault}"
    );
}

#[test]
fn a_pure_tightening_does_not_loosen() {
    let new = policy(&[
        ("rounds_per_job = 60", "rounds_per_job = 6"),
        ("min_silos = 4 ", "min_silos = 5 "),
    ]);
    let difference = diff(&policy(&[]), &new);
    assert!(
        difference.tightens() && !difference.loosens(),
        "{difference}"
    );
    let back = diff(&new, &policy(&[]));
    assert!(back.loosens() && !back.tightens(), "{back}");
}

#[test]
fn a_new_grant_is_summed_up_in_one_line() {
    let first = GOOD.find("\n[[grant]]").unwrap();
    let second = GOOD[first + 1..].find("\n[[grant]]").unwrap() + first + 1;
    let old = policy(&[(&GOOD[first..second], "")]);
    assert_eq!(
        diff(&old, &policy(&[])).newly_permitted,
        [
            "statistics, logistic-regression by a.ruiz@uni.example, k.berg@st-olav.example on sepsis-2026 \
          for scientific-research (mode distributed, local) under new grant `sepsis-consortium`"
        ]
    );
    assert_eq!(
        diff(&policy(&[]), &old).newly_refused,
        ["everything under grant `sepsis-consortium`"]
    );
}
