// SPDX-License-Identifier: Apache-2.0

//! What a policy answers to a request, and in which words.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod budgets;
mod each_condition;
mod grants;
mod patients_of_several_silos;

use consilium_policies::{
    BudgetUse, Decision, Isolation, Mode, PatientCount, Permit, Policy, Refusal, Request, Term,
    decide,
};
use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::Unit;

fn hospital() -> Policy {
    Policy::parse(include_bytes!("../../examples/research-hospital.toml")).unwrap()
}

fn strict() -> Policy {
    Policy::parse(include_bytes!("../../examples/small-hospital.toml")).unwrap()
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
        silos_per_patient: 1,
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
