// SPDX-License-Identifier: Apache-2.0

//! Which grant permits, which one is nearest, and what it must name.

use consilium_policies::{
    Approval, BudgetUse, Decision, Mode, Policy, Request, Term, diff, explain,
};
use consilium_privacy::noise_plan::Unit;

use crate::{good, hospital, permitted, refused, terms};

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
    let text =
        std::str::from_utf8(include_bytes!("../../examples/research-hospital.toml")).unwrap();
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
