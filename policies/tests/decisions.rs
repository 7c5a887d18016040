// SPDX-License-Identifier: Apache-2.0

//! Each condition of a policy, failed alone and together.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use consilium_policies::{
    Approval, BudgetUse, Decision, Isolation, Mode, PatientCount, Permit, Policy, Refusal, Request,
    Rule, Term, decide, diff, explain,
};
use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::Unit;

fn hospital() -> Policy {
    Policy::parse(include_bytes!("../examples/research-hospital.toml")).unwrap()
}

fn strict() -> Policy {
    Policy::parse(include_bytes!("../examples/small-hospital.toml")).unwrap()
}

/// A request that `hospital` permits under its first grant.
fn good() -> Request {
    Request {
        who: "a.ruiz@uni.example".to_owned(),
        data: "sepsis-2026".to_owned(),
        lineage: None,
        purpose: "scientific-research".to_owned(),
        basis: None,
        ethics: Some("REK-2026-0117".to_owned()),
        analysis: "logistic-regression".to_owned(),
        plan: None,
        mode: Mode::Distributed,
        unit: Unit::Patient,
        epsilon: Some(Epsilon::parse("2.0").unwrap()),
        delta: Some(Delta::parse("1e-5").unwrap()),
        expected_patients: Some(800),
        rounds: 60,
        silos: 4,
        min_survivors: 3,
        isolation: Isolation::Sandbox,
        date: "2027-11-30".parse().unwrap(),
        hour: 19,
        budget: BudgetUse::Share {
            needed: 0.6,
            left: 0.6,
        },
        patients: PatientCount::Registered(20),
    }
}

fn permitted(policy: &Policy, request: &Request) -> Permit {
    match decide(policy, request) {
        Decision::Permit(permit) => permit,
        Decision::Refuse(refusal) => panic!("{refusal}"),
    }
}

fn refused(policy: &Policy, request: &Request) -> Refusal {
    match decide(policy, request) {
        Decision::Refuse(refusal) => refusal,
        Decision::Permit(permit) => panic!("{permit}"),
    }
}

fn terms(refusal: &Refusal) -> Vec<Term> {
    refusal
        .conditions
        .iter()
        .map(|condition| condition.term)
        .collect()
}

#[test]
fn a_request_at_every_limit_is_permitted() {
    let permit = permitted(&hospital(), &good());
    assert_eq!(permit.grant, "sepsis-consortium");
    assert_eq!(permit.approval, Approval::Automatic);
    assert_eq!(permit.basis.as_deref(), Some("consent"));
    assert_eq!(permit.agreement, None);
    assert_eq!(
        permit.to_string(),
        "permitted by `st-olav.example` policy v1: grant `sepsis-consortium`"
    );
}

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
fn a_study_without_noise_needs_the_agreement_and_says_it() {
    let mut request = good();
    request.who = "k.berg@st-olav.example".to_owned();
    request.mode = Mode::None;
    (request.epsilon, request.delta, request.expected_patients) = (None, None, None);
    request.rounds = 15;
    request.budget = BudgetUse::Uncharged;
    let permit = permitted(&hospital(), &request);
    assert_eq!(permit.grant, "sepsis-trial-reproduction");
    assert_eq!(permit.agreement.as_deref(), Some("DUA-2026-7"));
    assert_eq!(permit.approval, Approval::Person);
    assert!(
        permit
            .to_string()
            .ends_with("without noise by agreement DUA-2026-7, once a person approves")
    );
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
}

#[test]
fn of_two_grants_the_nearest_is_named_and_all_are_explained() {
    let mut request = good();
    request.who = "k.berg@st-olav.example".to_owned();
    request.mode = Mode::None;
    request.rounds = 30;
    request.budget = BudgetUse::Uncharged;
    let explanation = explain(&hospital(), &request);
    let Decision::Refuse(refusal) = &explanation.decision else {
        panic!("{explanation:?}")
    };
    assert_eq!(
        refusal.conditions_for_others(),
        ["grant `sepsis-consortium`: mode `none` without an agreement that permits it"]
    );
    let failed: Vec<(&str, usize)> = explanation
        .grants
        .iter()
        .map(|finding| (finding.grant.as_str(), finding.failed.len()))
        .collect();
    assert_eq!(
        failed,
        [("sepsis-consortium", 1), ("sepsis-trial-reproduction", 1)]
    );
}

#[test]
fn a_grant_for_other_data_is_never_the_nearest_one_while_there_is_one_for_this() {
    let mut policy = hospital();
    let mut other = policy.grants.first().unwrap().clone();
    other.name = "other".to_owned();
    other.data = vec!["icu-2019".to_owned()];
    policy.grants.insert(0, other);
    let mut request = good();
    request.purpose = "teaching".to_owned();
    request.rounds = 1000;
    request.analysis = "kaplan-meier".to_owned();
    assert_eq!(
        terms(&refused(&policy, &request)),
        [Term::Purpose, Term::Analysis, Term::Rounds]
    );
}

#[test]
fn a_refusal_names_no_other_researcher_data_set_or_approval() {
    let mut request = good();
    request.who = "eve@ads.example".to_owned();
    request.data = "cardiology".to_owned();
    request.ethics = Some("IRB-1".to_owned());
    let text = refused(&hospital(), &request).to_string();
    for secret in ["ruiz", "berg", "sepsis-2026", "REK-2026-0117"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn without_a_policy_everything_is_refused() {
    let refusal = Refusal::without_policy("st-olav.example");
    assert_eq!(
        refusal.to_string(),
        "refused by `st-olav.example`: policy: this silo has no policy, so everything is refused; \
         nearest permitted: none until a policy is installed"
    );
}

#[test]
fn of_two_permitting_grants_the_one_that_needs_no_person_is_cited() {
    let mut policy = hospital();
    let mut by_person = policy.grants.first().unwrap().clone();
    by_person.name = "by-person".to_owned();
    by_person.approval = Approval::Person;
    policy.grants.insert(0, by_person);
    assert_eq!(permitted(&policy, &good()).grant, "sepsis-consortium");
    policy.grants.remove(1);
    assert_eq!(permitted(&policy, &good()).grant, "by-person");
}

#[test]
fn a_request_survives_the_journal_unchanged() {
    let request = good();
    let line = serde_json::to_string(&request).unwrap();
    assert!(
        line.contains("\"epsilon\":\"2\"") && line.contains("\"date\":\"2027-11-30\""),
        "{line}"
    );
    assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
}

#[test]
fn a_decision_is_machine_readable() {
    let mut request = good();
    request.rounds = 61;
    let json: serde_json::Value = serde_json::to_value(decide(&hospital(), &request)).unwrap();
    assert_eq!(json["decision"], "refuse");
    assert_eq!(json["conditions"][0]["rule"], "grant `sepsis-consortium`");
    assert_eq!(json["conditions"][0]["term"], "rounds");
    assert_eq!(json["conditions"][0]["limit"], "60");
    assert_eq!(json["conditions"][0]["actual"], "61");
    assert_eq!(json["conditions"][0]["nearest"], "at most 60 rounds");
}

#[test]
fn a_whole_silo_is_the_unit_only_where_a_grant_names_it() {
    let request = Request {
        unit: Unit::Silo,
        ..good()
    };
    let refusal = refused(&hospital(), &request);
    let [condition] = refusal.conditions.as_slice() else {
        panic!("{refusal}")
    };
    assert_eq!(condition.term, Term::Unit);
    assert_eq!(condition.statement(), "unit `silo` is not `patient`");
    let text = std::str::from_utf8(include_bytes!("../examples/research-hospital.toml")).unwrap();
    let modes = "modes = [\"distributed\", \"local\"]\n";
    assert_eq!(text.matches(modes).count(), 1);
    let naming = |units: &str| {
        let named = text.replace(modes, &format!("{modes}units = [{units}]\n"));
        Policy::parse(named.as_bytes()).unwrap()
    };
    permitted(&naming("\"patient\", \"silo\""), &request);
    // A grant that names silos alone permits no study of patients, and without noise there is no unit.
    let mut silos = hospital();
    silos.grants[0].units = vec![Unit::Silo];
    permitted(&silos, &request);
    assert_eq!(refused(&silos, &good()).conditions[0].term, Term::Unit);
    let changes = diff(&hospital(), &silos).to_string();
    assert!(
        changes.contains("studies whose unit is the `silo`"),
        "{changes}"
    );
    let alone = text.replace("without_noise = ", "units = [\"silo\"]\nwithout_noise = ");
    let fault = Policy::parse(alone.as_bytes()).unwrap_err().to_string();
    assert!(
        fault.contains("`grant.units` is for studies with noise"),
        "{fault}"
    );
}

#[test]
fn the_demonstrations_forbidden_study_fails_eight_conditions() {
    let policy = Policy::parse(include_bytes!("../../examples/policies/3_UK.toml")).unwrap();
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
