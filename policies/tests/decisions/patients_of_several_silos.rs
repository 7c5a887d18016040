// SPDX-License-Identifier: Apache-2.0

//! A patient whom several hospitals know, and a floor that says of how many.

use consilium_policies::{BudgetUse, Mode, Policy, Request, Term, diff};

use crate::{good, hospital, permitted, refused, terms};

#[test]
fn a_study_that_counts_on_fewer_silos_per_patient_than_the_officer_knows_of_is_refused() {
    let mut policy = hospital();
    policy.floor.min_silos_per_patient = 2;
    let refusal = refused(&policy, &good());
    assert_eq!(
        refusal.to_string(),
        "refused by `st-olav.example` policy v1: floor: the noise hides a patient of 1 silo and not of 2; \
         nearest permitted: `most_silos_per_patient` at least 2, in mode `distributed`"
    );
    let [condition] = refusal.conditions.as_slice() else {
        panic!("{refusal}")
    };
    assert_eq!(condition.term, Term::MinSilosPerPatient);
    for silos_per_patient in [2, 3] {
        let counted = Request {
            silos_per_patient,
            ..good()
        };
        permitted(&policy, &counted);
    }
    // Without noise nothing is counted; the agreement decides.
    let exact = Request {
        mode: Mode::None,
        budget: BudgetUse::Uncharged,
        ..good()
    };
    assert!(!terms(&refused(&policy, &exact)).contains(&Term::MinSilosPerPatient));
}

#[test]
fn a_floor_that_says_nothing_counts_on_one_silo_and_a_larger_one_is_a_tightening() {
    assert_eq!(hospital().floor.min_silos_per_patient, 1);
    let text = include_str!("../../examples/research-hospital.toml");
    let with = |number: &str| {
        let line = format!("min_patients = 20\nmin_silos_per_patient = {number}\n");
        Policy::parse(text.replace("min_patients = 20\n", &line).as_bytes())
    };
    let two = with("2").unwrap();
    assert_eq!(two.floor.min_silos_per_patient, 2);
    let changes = diff(&hospital(), &two);
    assert!(changes.tightens() && !changes.loosens(), "{changes}");
    assert_eq!(
        changes.newly_refused,
        ["studies whose noise hides a patient of fewer than 2 silos: at least 2 now (was 1)"]
    );
    assert!(diff(&two, &hospital()).loosens());
    let fault = with("0").unwrap_err().to_string();
    assert!(
        fault.contains("how many of the hospitals may know one patient"),
        "{fault}"
    );
}

#[test]
fn a_request_of_before_reads_as_counting_one_silo() {
    let line = serde_json::to_string(&good()).unwrap();
    let before = line.replace("\"silos_per_patient\":1,", "");
    assert_ne!(before, line);
    assert_eq!(serde_json::from_str::<Request>(&before).unwrap(), good());
}
