// SPDX-License-Identifier: Apache-2.0

//! Each condition of a policy, failed alone and together.

use consilium_policies::{
    BudgetUse, Isolation, Mode, PatientCount, Policy, Request, Rule, Term, decide, explain,
};
use consilium_privacy::loss::{Delta, Epsilon};

use crate::{good, hospital, permitted, refused, strict, terms};

#[test]
fn each_condition_failed_alone_is_the_only_one_named() {
    type Change = fn(&mut Request);
    let cases: [(Change, Term, &str); 21] = [
        (
            |r| r.who = "eve@uni.example".into(),
            Term::Who,
            "grant `sepsis-consortium`: researcher `eve@uni.example` is not named",
        ),
        (
            |r| r.purpose = "teaching".into(),
            Term::Purpose,
            "grant `sepsis-consortium`: purpose `teaching` is not `scientific-research`",
        ),
        (
            |r| r.basis = Some("contract".into()),
            Term::Basis,
            "grant `sepsis-consortium`: basis `contract` is not `consent`",
        ),
        (
            |r| r.ethics = None,
            Term::Ethics,
            "grant `sepsis-consortium`: the study names no ethics approval",
        ),
        (
            |r| r.ethics = Some("IRB-1".into()),
            Term::Ethics,
            "grant `sepsis-consortium`: ethics IRB-1 is not the approval of this grant",
        ),
        (
            |r| r.date = "2027-12-01".parse().unwrap(),
            Term::Ethics,
            "grant `sepsis-consortium`: ethics REK-2026-0117 ended 2027-11-30",
        ),
        (
            |r| r.analysis = "cox-regression".into(),
            Term::Analysis,
            "grant `sepsis-consortium`: analysis `cox-regression` is not `statistics` or `logistic-regression`",
        ),
        (
            |r| r.plan = Some("ab".repeat(32)),
            Term::Plan,
            "grant `sepsis-consortium`: plan abababababababababababababababababababababababababababababababab is not approved",
        ),
        (
            |r| r.mode = Mode::None,
            Term::Mode,
            "grant `sepsis-consortium`: mode `none` without an agreement that permits it",
        ),
        (
            |r| r.epsilon = Some(Epsilon::parse("2.5").unwrap()),
            Term::Epsilon,
            "grant `sepsis-consortium`: epsilon 2.5 > 2",
        ),
        (
            |r| r.epsilon = None,
            Term::Epsilon,
            "grant `sepsis-consortium`: the study names no epsilon",
        ),
        (
            |r| r.delta = Some(Delta::parse("2e-5").unwrap()),
            Term::Delta,
            "grant `sepsis-consortium`: delta 2e-5 > 1e-5",
        ),
        (
            |r| r.delta = None,
            Term::Delta,
            "floor: the study names no delta",
        ),
        (
            |r| r.expected_patients = None,
            Term::Delta,
            "floor: the study names no expected_patients, which limits delta",
        ),
        (
            |r| r.rounds = 61,
            Term::Rounds,
            "grant `sepsis-consortium`: rounds 61 > 60",
        ),
        (
            |r| r.hour = 20,
            Term::Hours,
            "grant `sepsis-consortium`: asked at 20:00 UTC, outside 06:00-20:00 UTC",
        ),
        (
            |r| r.silos = 3,
            Term::MinSilos,
            "floor: silos invited 3 < 4",
        ),
        (
            |r| r.min_survivors = 2,
            Term::MinSurvivors,
            "floor: silos in a released sum 2 < 3",
        ),
        (
            |r| r.isolation = Isolation::NoNetwork,
            Term::Isolation,
            "floor: isolation reached `no-network` < `sandbox`",
        ),
        (
            |r| r.patients = PatientCount::NotRegistered,
            Term::MinPatients,
            "floor: no data set is registered as `sepsis-2026`",
        ),
        (
            |r| {
                r.budget = BudgetUse::Share {
                    needed: 0.41,
                    left: 0.22,
                }
            },
            Term::Budget,
            "budget `sepsis-2026`: needs 41 %, 22 % left",
        ),
    ];
    for (change, term, text) in cases {
        let mut request = good();
        change(&mut request);
        let refusal = refused(&hospital(), &request);
        assert_eq!(terms(&refusal), [term], "{refusal}");
        assert_eq!(refusal.conditions_for_others(), [text]);
    }
}

#[test]
fn every_failed_condition_is_named_at_once_with_the_nearest_change() {
    let mut request = good();
    request.epsilon = Some(Epsilon::parse("3.5").unwrap());
    request.rounds = 500;
    request.silos = 3;
    let refusal = refused(&hospital(), &request);
    assert_eq!(
        refusal.to_string(),
        "refused by `st-olav.example` policy v1: floor: silos invited 3 < 4; \
         grant `sepsis-consortium`: epsilon 3.5 > 2, rounds 500 > 60; \
         nearest permitted: at least 4 silos invited, epsilon at most 2, at most 60 rounds"
    );
}

#[test]
fn a_count_of_patients_reaches_the_own_log_and_nobody_else() {
    let mut request = good();
    request.patients = PatientCount::Registered(13);
    let decision = decide(&hospital(), &request);
    let refusal = refused(&hospital(), &request);
    let [condition] = refusal.conditions.as_slice() else {
        panic!("{refusal}")
    };
    assert_eq!(condition.rule, Rule::Floor);
    assert_eq!((condition.limit.as_str(), &condition.actual), ("20", &None));
    assert_eq!(
        refusal.conditions_for_others(),
        ["floor: `sepsis-2026` is not registered as holding 20 patients"]
    );
    assert_eq!(
        refusal.conditions_for_own_log(),
        [
            "floor: `sepsis-2026` is not registered as holding 20 patients (registered with at least 13)"
        ]
    );
    let shown = [
        refusal.to_string(),
        format!("{refusal:?}"),
        format!("{decision:?}"),
        format!("{request:?}"),
        serde_json::to_string(&decision).unwrap(),
        serde_json::to_string(&explain(&hospital(), &request)).unwrap(),
    ];
    for text in shown {
        assert!(!text.contains("13"), "{text}");
    }
}

#[test]
fn a_floor_that_requires_noise_is_not_opened_by_any_grant() {
    let mut policy = strict();
    let mut request = policy.examples.first().unwrap().request.clone();
    request.mode = Mode::None;
    policy.grants.first_mut().unwrap().agreement = Some("DUA-1".to_owned());
    assert_eq!(
        terms(&refused(&policy, &request)),
        [Term::DifferentialPrivacy]
    );
}

#[test]
fn never_wins_over_a_grant() {
    let mut policy = hospital();
    policy
        .grants
        .first_mut()
        .unwrap()
        .purpose
        .push("marketing".to_owned());
    let mut request = good();
    request.purpose = "marketing".to_owned();
    let refusal = refused(&policy, &request);
    assert_eq!(
        refusal.conditions_for_others(),
        ["never `no-commerce`: data of this hospital is not used for advertising or insurance"]
    );
}

#[test]
fn delta_beyond_a_tenth_of_one_patients_share_is_refused_whatever_the_grant_says() {
    let mut policy = hospital();
    policy.grants.first_mut().unwrap().delta_per_job = None;
    let mut request = good();
    request.expected_patients = Some(602);
    request.delta = Some(Delta::parse("1e-3").unwrap());
    let refusal = refused(&policy, &request);
    assert_eq!(
        refusal.conditions_for_others(),
        ["floor: delta 0.001 > 1/(10 x 602 patients) = 1.66e-4"]
    );
    request.delta = Some(Delta::parse("1.6e-4").unwrap());
    permitted(&policy, &request);
    request.expected_patients = Some(0);
    assert_eq!(terms(&refused(&policy, &request)), [Term::Delta]);

    // Four silos of at least twenty patients each are not one patient, whatever the study says.
    request.expected_patients = Some(1);
    request.delta = Some(Delta::parse("0.1").unwrap());
    let refusal = refused(&policy, &request);
    assert_eq!(
        refusal.conditions_for_others(),
        ["floor: delta 0.1 > 1/(10 x 80 patients) = 1.25e-3"]
    );
    request.delta = Some(Delta::parse("1.2e-3").unwrap());
    permitted(&policy, &request);
}

#[test]
fn the_demonstrations_forbidden_study_fails_eight_conditions() {
    let policy = Policy::parse(include_bytes!("../../../examples/policies/3_UK.toml")).unwrap();
    let request = Request {
        purpose: "marketing".to_owned(),
        data: "ercp-trial".to_owned(),
        lineage: None,
        ethics: Some("IRB-1999-0001".to_owned()),
        epsilon: Some(Epsilon::parse("20").unwrap()),
        delta: Some(Delta::parse("1e-3").unwrap()),
        expected_patients: Some(602),
        rounds: 550,
        budget: BudgetUse::Share {
            needed: 31.4,
            left: 0.4,
        },
        ..good()
    };
    assert_eq!(
        refused(&policy, &request).to_string(),
        "refused by `3_UK` policy v1: never `no-commerce`: trial data is not used for advertising or insurance; \
         floor: delta 0.001 > 1/(10 x 602 patients) = 1.66e-4; budget `ercp-trial`: needs 3140 %, 40 % left; \
         grant `ercp-reanalysis`: purpose `marketing` is not `scientific-research`, \
         ethics IRB-1999-0001 is not the approval of this grant, epsilon 20 > 3, delta 0.001 > 1e-5, \
         rounds 550 > 40; nearest permitted: none that `no-commerce` does not forbid"
    );
}
