// SPDX-License-Identifier: Apache-2.0
//! How an attempt may end without a next round: its vector does not outlive it, and a sum that was true costs no more than
//! it was worth.

use std::fs;

use consilium_crypto::signing::SigningKey;

use super::declined;
use super::evaluation::{TRIED, charged, patients, policy};
use super::hospital::Hospital;
use super::silo_frame;
use crate::journal::StudyState;

/// Whether anything of the first attempt at the first round is on the disk.
fn is_on_disk(hospital: &Hospital) -> bool {
    hospital.silo().attempts().join("1-1-1").exists()
}

/// A higher attempt at the first round is opened, and the agent goes over to it.
fn open_higher(hospital: &mut Hospital, study: &str) {
    hospital.open_attempt(study, 1, 2, &[]);
    hospital.keep_from_peers();
    let opened = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(study, &opened);
    assert_eq!(hospital.agent.machine.attempt().unwrap().attempt, 2);
}

#[test]
fn a_vector_that_left_under_its_masks_does_not_outlive_a_higher_open() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.advance_to(&study, "CohortFreeze");
    hospital.advance(&study);
    for file in ["input", "masked"] {
        assert!(hospital.silo().attempts().join("1-1-1").join(file).exists());
    }
    open_higher(&mut hospital, &study);
    assert!(!is_on_disk(&hospital));
}

#[test]
fn a_training_that_ends_after_its_attempt_leaves_nothing() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.advance_to(&study, "DealBook");
    let deals = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &deals);
    open_higher(&mut hospital, &study);
    hospital.results(1);
    assert!(!is_on_disk(&hospital));
    assert_eq!(hospital.agent.machine.attempt().unwrap().attempt, 2);
}

#[test]
fn a_vector_does_not_outlive_a_sum_that_a_study_has_no_more_use_for() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.advance_to(&study, "Release");
    assert!(is_on_disk(&hospital));
    let ended = StudyState::Ended {
        outcome: "cancelled".to_owned(),
    };
    hospital.agent.journal.record_state(&study, &ended).unwrap();
    hospital.advance(&study);
    assert_eq!(hospital.agent.machine.attempt(), None);
    assert!(!is_on_disk(&hospital));
}

#[test]
fn a_verified_sum_that_leads_to_no_model_ends_the_study_and_spends_nothing_beyond_it() {
    let mut hospital = Hospital::new();
    fs::write(hospital.silo().policy(), policy("4")).unwrap();
    hospital.announce();
    hospital.answer_with(&patients(2));
    let steep = [
        ("learning_rate = 1\n", "learning_rate = 1.7e308\n"),
        ("expected_patients = 200", "expected_patients = 20"),
    ];
    let steep = steep
        .into_iter()
        .fold(TRIED.to_owned(), |text, (part, by)| {
            assert!(text.contains(part), "{part}");
            text.replace(part, by)
        });
    let key: SigningKey = hospital.federation.researcher_key();
    let study = hospital.begin_offer_of(steep.into_bytes(), &key);
    hospital.results(1);
    hospital.open(&study, 1, &[]);
    hospital.finish(&study);

    assert_eq!(declined(&hospital), []);
    assert_eq!(charged(&hospital, &study), [1, 0]);
    assert!(!hospital.own_log().contains("forfeited"));
    assert!(!is_on_disk(&hospital));
    let is_accepted =
        |frame: &silo_frame::Frame| matches!(frame, silo_frame::Frame::ReleaseAccepted(_));
    assert_eq!(
        hospital
            .said
            .iter()
            .filter(|frame| is_accepted(frame))
            .count(),
        1
    );
    let record = hospital.agent.journal.study(&study).unwrap().unwrap();
    assert_eq!((record.rounds_done, record.complete), (0, true));

    let proof = hospital.release_proof();
    hospital.open(&study, 2, &[proof]);
    let opened = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &opened);
    hospital.settle();
    assert_eq!(declined(&hospital), [(study.as_str(), "complete")]);
}
