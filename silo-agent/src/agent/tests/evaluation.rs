// SPDX-License-Identifier: Apache-2.0
//! A coordinator that wants more of an evaluation than was consented to: another moment, another model, another release.

use std::fs;

use consilium_learning::contribution::Contribution;
use consilium_learning::model::{Model, Stage};

use super::hospital::{DATA, Hospital, POLICY};
use super::{declined, silo_frame};
use crate::ledger::job_name;

pub(super) const TRIED: &str = r#"
[study]
name = "tried"
researcher = "a.ruiz@uni.example"
purpose = "scientific-research"
ethics = "IRB-2012-0117"
data = "ercp-trial"
deadline_hours = 24
[data]
patient = "id"
missing = "complete-case"
[data.columns.age]
type = "number"
range = [18, 100]
centre = 45
scale = 10
[data.columns.outcome]
type = "category"
levels = { "0" = "no", "1" = "yes" }
[analysis]
kind = "logistic-regression"
outcome = { column = "outcome", positive = "yes" }
features = ["age"]
method = "fedsgd"
[rounds]
most = 2
learning_rate = 1
spare_attempts = 1
[privacy]
mode = "distributed"
epsilon = "3"
delta = "1e-5"
clip = 1.0
expected_patients = 200
most_patients_per_silo = 1000
[evaluation]
hold_out = 0.3
bins = 2
loss_share = 0.3
spare_attempts = 1
"#;

pub(super) fn policy(budget: &str) -> String {
    let permits = POLICY
        .replace(
            "[\"statistics\"]",
            "[\"statistics\", \"logistic-regression\"]\nmodes = [\"distributed\"]\nepsilon_per_job = \"3\"\ndelta_per_job = \"1e-5\"",
        )
        .replace("rounds_per_job = 2", "rounds_per_job = 10");
    format!("{permits}\n[budget.\"ercp-trial\"]\nepsilon = \"{budget}\"\ndelta = \"2e-5\"\n")
}

/// A hospital that has consented to the study.
fn hospital() -> (Hospital, String) {
    let mut hospital = Hospital::new();
    fs::write(hospital.silo().policy(), policy("4")).unwrap();
    let id = offer(&mut hospital);
    let record = hospital.agent.journal.study(&id).unwrap().unwrap();
    assert_eq!(record.state.word(), "granted", "{record:?}");
    (hospital, id)
}

fn offer(hospital: &mut Hospital) -> String {
    hospital.announce();
    let key = hospital.federation.researcher_key();
    let id = hospital.begin_offer_of(TRIED.as_bytes().to_vec(), &key);
    if hospital.agent.checking.contains(&id) {
        hospital.results(1);
    }
    id
}

/// Fifty patients whose vectors have so many coordinates.
pub(super) fn patients(dimension: usize) -> Contribution {
    let mut vector = vec![0.0; dimension];
    vector[0] = 1.0;
    Contribution::PatientVectors {
        dimension,
        vectors: vec![vector; 50],
    }
}

/// Attempts charged at training and at the evaluation.
pub(super) fn charged(hospital: &Hospital, study: &str) -> [usize; 2] {
    [Stage::Training, Stage::Evaluation].map(|stage| {
        let job = job_name(study, stage);
        let entries = hospital.agent.ledger.entries().iter();
        entries
            .filter(|(_, entry)| {
                matches!(entry, consilium_privacy::budget::LedgerEntry::Committed { job: own, .. } if *own == job)
            })
            .count()
    })
}

/// The training, with proofs of its releases.
fn train(hospital: &mut Hospital, study: &str) -> Vec<u8> {
    hospital.answer_with(&patients(2));
    hospital.open(study, 1, &[]);
    hospital.finish(study);
    let first = hospital.release_proof();
    hospital.open(study, 2, &[first]);
    hospital.finish(study);
    hospital.release_proof()
}

/// Opens a round at some model; the agent answers nothing.
#[track_caller]
fn refused(hospital: &mut Hospital, study: &str, model: &Model, round: u64, proofs: &[Vec<u8>]) {
    hospital.open_from(study, model, (round, 1), proofs);
    hospital.keep_from_peers();
    let opened = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(study, &opened);
    hospital.settle();
    assert_eq!(hospital.agent.machine.attempt(), None, "round {round}");
}

#[test]
fn a_study_is_trained_and_tried_once_and_asked_again_it_charges_nothing() {
    let (mut hospital, study) = hospital();
    let proof = train(&mut hospital, &study);
    let trained = hospital.model_of(&study);
    assert_eq!((trained.rounds, trained.stage), (2, Stage::Evaluation));
    assert_eq!(charged(&hospital, &study), [2, 0]);
    let record = hospital.agent.journal.study(&study).unwrap().unwrap();
    assert!(!record.complete);

    hospital.answer_with(&patients(4));
    hospital.open(&study, 3, &[proof]);
    hospital.finish(&study);
    let record = hospital.agent.journal.study(&study).unwrap().unwrap();
    assert!(record.complete);
    assert_eq!(
        (record.rounds_done, charged(&hospital, &study)),
        (3, [2, 1])
    );
    assert_eq!(hospital.model_of(&study).parameters, trained.parameters);

    let proof = hospital.release_proof();
    let asked = hospital.asked();
    for model in [trained, hospital.model_of(&study)] {
        for round in [4, 5] {
            refused(
                &mut hospital,
                &study,
                &model,
                round,
                std::slice::from_ref(&proof),
            );
        }
    }
    assert_eq!(
        declined(&hospital).last(),
        Some(&(study.as_str(), "complete"))
    );
    assert_eq!(
        (charged(&hospital, &study), hospital.asked()),
        ([2, 1], asked)
    );
}

#[test]
fn attempts_at_the_evaluation_end_with_those_set_aside_and_training_does_not_pay_for_more() {
    let (mut hospital, study) = hospital();
    let proof = train(&mut hospital, &study);
    hospital.answer_with(&patients(4));
    // One attempt at training is left over, and two are set aside for the evaluation.
    for attempt in 1..=2 {
        hospital.open_attempt(&study, 3, attempt, std::slice::from_ref(&proof));
        hospital.advance_to(&study, "SurvivorProposal");
        let spent = usize::try_from(attempt).unwrap();
        assert_eq!(charged(&hospital, &study), [2, spent]);
    }
    let asked = hospital.asked();
    hospital.open_attempt(&study, 3, 3, &[proof]);
    hospital.keep_from_peers();
    let opened = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &opened);
    // While an attempt is in flight, answers wait for the grid.
    hospital.send_answers();
    assert_eq!(declined(&hospital), [(study.as_str(), "budget")]);
    assert_eq!(
        (charged(&hospital, &study), hospital.asked()),
        ([2, 2], asked)
    );
}

#[test]
fn nobody_but_the_released_sums_says_when_the_evaluation_comes_and_at_which_model() {
    let (mut hospital, study) = hospital();
    hospital.answer_with(&patients(4));
    let first = hospital.model_of(&study);
    let early = Model {
        stage: Stage::Evaluation,
        ..first.clone()
    };
    // Before any training, at a model of the coordinator's own making.
    let chosen = Model {
        parameters: vec![50.0, -50.0],
        ..early.clone()
    };
    for (round, model) in [(1, &early), (2, &chosen)] {
        refused(&mut hospital, &study, model, round, &[]);
    }
    assert!(!hospital.asked().contains('3'));
    // And after it, at any other than the last one, or once more as a round of training.
    let proof = {
        hospital.answer_with(&patients(2));
        hospital.open(&study, 3, &[]);
        hospital.finish(&study);
        let first = hospital.release_proof();
        hospital.open(&study, 4, &[first]);
        hospital.finish(&study);
        hospital.release_proof()
    };
    let asked = hospital.asked();
    let trained = hospital.model_of(&study);
    let moved = Model {
        parameters: trained
            .parameters
            .iter()
            .map(|value| value + 1e-9)
            .collect(),
        ..trained.clone()
    };
    let training = Model {
        stage: Stage::Training,
        ..trained.clone()
    };
    for (round, model) in [(5, &moved), (6, &training), (7, &early), (8, &first)] {
        refused(
            &mut hospital,
            &study,
            model,
            round,
            std::slice::from_ref(&proof),
        );
    }
    assert_eq!(
        (charged(&hospital, &study), hospital.asked()),
        ([2, 0], asked)
    );
    hospital.answer_with(&patients(4));
    hospital.open(&study, 9, &[proof]);
    hospital.finish(&study);
    assert_eq!(charged(&hospital, &study), [2, 1]);
}

#[test]
fn a_budget_for_the_training_alone_is_refused_and_nothing_of_it_is_set_aside() {
    let mut hospital = Hospital::new();
    // The whole study needs about six tenths of a budget of epsilon 4: this one has room for its training alone.
    fs::write(hospital.silo().policy(), policy("2.9")).unwrap();
    let id = offer(&mut hospital);
    let record = hospital.agent.journal.study(&id).unwrap().unwrap();
    assert_eq!(record.state.word(), "refused", "{record:?}");
    let terms = hospital.terms_of(&id);
    let agent = &mut hospital.agent;
    let limit = crate::ledger::tests::limit();
    let limit = consilium_policies::BudgetLimit {
        epsilon: consilium_privacy::loss::Epsilon::new(2.9).unwrap(),
        ..limit
    };
    let share = |vectors| agent.ledger.share(DATA, &limit, "other", vectors).unwrap();
    let training = terms.vectors.training.into();
    assert!(share(&training).needed <= 1.0);
    assert!(share(&terms.vectors).needed > 1.0);
    // Neither by asking the ledger itself.
    let before = agent.ledger.entries().len();
    let refused = agent
        .ledger
        .reserve(&mut agent.journal, DATA, &limit, "other", &terms.vectors);
    assert!(refused.is_err());
    let after = agent.ledger.entries();
    let reserved = |(_, entry): &&(u64, consilium_privacy::budget::LedgerEntry)| {
        matches!(
            entry,
            consilium_privacy::budget::LedgerEntry::Reserved { .. }
        )
    };
    assert_eq!(after.iter().filter(reserved).count(), 0);
    assert!(after.len() <= before + 1);
    let account = agent.ledger.account(DATA);
    assert!(account.is_none_or(|account| account.reserved_share().fraction() == 0.0));
    let granted = hospital.said.iter().any(|frame| {
        matches!(frame, silo_frame::Frame::Consent(consent) if matches!(consent.decision, Some(consilium_wire::v1::consent::Decision::Granted(_))))
    });
    assert!(!granted);
}

/// Training and evaluation need not differ in anything but the model at which they run.
#[test]
fn an_attempt_with_equal_vectors_at_both_stages_is_charged_at_the_stage_of_its_model() {
    let (mut hospital, study) = hospital();
    let id = |round| consilium_protocol::AttemptId {
        epoch: hospital.membership.epoch,
        round,
        attempt: 1,
    };
    let (first, second) = (id(1), id(3));
    let mut terms = hospital.terms_of(&study);
    terms.vectors.evaluation = Some(terms.vectors.training);
    let untrained = hospital.model_of(&study);
    let plan = terms.plan(first, &hospital.membership, &untrained).unwrap();
    assert_eq!(terms.stage_of(&plan, &untrained), Some(Stage::Training));
    train(&mut hospital, &study);
    let trained = hospital.model_of(&study);
    let plan = terms.plan(second, &hospital.membership, &trained).unwrap();
    assert_eq!(terms.stage_of(&plan, &trained), Some(Stage::Evaluation));
}
