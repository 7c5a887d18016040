// SPDX-License-Identifier: Apache-2.0
//! How an attempt may end without a next round: a sum that was true costs no more than it was worth.

use std::fs;

use consilium_crypto::signing::SigningKey;

use super::declined;
use super::evaluation::{TRIED, charged, patients, policy};
use super::hospital::Hospital;
use super::silo_frame;

/// Whether anything of the first attempt at the first round is on the disk.
fn is_on_disk(hospital: &Hospital) -> bool {
    hospital.silo().attempts().join("1-1-1").exists()
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
