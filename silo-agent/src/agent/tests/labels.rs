// SPDX-License-Identifier: Apache-2.0
//! A release that is true and told under the name of a study that it is not of: nothing is spent, and nothing goes on.

use std::fs;

use super::declined;
use super::evaluation::{TRIED, charged, patients, policy};
use super::hospital::Hospital;

/// A hospital whose budget has room for two private studies.
fn hospital() -> Hospital {
    let hospital = Hospital::new();
    fs::write(hospital.silo().policy(), policy("9")).unwrap();
    hospital.announce();
    hospital
}

/// Offers a private study that is consented to.
fn private(hospital: &mut Hospital, name: &str) -> String {
    let key = hospital.federation.researcher_key();
    let text = TRIED.replace("\"tried\"", &format!("\"{name}\""));
    let id = hospital.begin_offer_of(text.into_bytes(), &key);
    if hospital.agent.checking.contains(&id) {
        hospital.results(1);
    }
    let record = hospital.agent.journal.study(&id).unwrap().unwrap();
    assert_eq!(record.state.word(), "granted", "{record:?}");
    id
}

#[test]
fn a_release_under_another_studys_name_spends_nothing_of_that_study() {
    let mut hospital = hospital();
    let released = hospital.consented("ages");
    hospital.open(&released, 1, &[]);
    hospital.advance_to(&released, "Release");
    let release = hospital.to_agent.front().unwrap().clone();
    hospital.advance(&released);
    let proof = hospital.release_proof();

    let waiting = private(&mut hospital, "tried");
    hospital.deliver(&waiting, &release);
    hospital.settle();
    assert_eq!(charged(&hospital, &waiting), [0, 0]);
    assert_eq!(declined(&hospital), []);

    // And it runs.
    hospital.answer_with(&patients(2));
    hospital.open(&waiting, 2, &[proof]);
    hospital.finish(&waiting);
    assert_eq!(charged(&hospital, &waiting), [1, 0]);
}

#[test]
fn a_release_under_the_name_of_a_study_of_the_same_task_is_not_taken_for_its_next_sum() {
    let mut hospital = hospital();
    hospital.answer_with(&patients(2));
    let released = private(&mut hospital, "tried");
    let waiting = private(&mut hospital, "tried again");
    let mut proofs = Vec::new();
    for round in 1..=2 {
        hospital.open(&released, round, &proofs);
        hospital.advance_to(&released, "Release");
        let release = hospital.to_agent.front().unwrap().clone();
        hospital.advance(&released);
        proofs = vec![hospital.release_proof()];
        hospital.deliver(&waiting, &release);
        hospital.settle();
        let record = hospital.agent.journal.study(&waiting).unwrap().unwrap();
        assert_eq!((record.rounds_done, record.last_release), (0, None));
        assert_eq!(charged(&hospital, &waiting), [0, 0]);
    }
    assert_eq!(declined(&hospital), []);
    assert_eq!(charged(&hospital, &released), [2, 0]);
}
