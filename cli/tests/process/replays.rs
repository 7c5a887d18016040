// SPDX-License-Identifier: Apache-2.0
//! A silo that is lost for good between its upload and its tag: the others compute the sum again, and the round stands.
//!
//! The study is without noise: it would fail if its only round did not stand, and its result is exact.

use crate::federation::Federation;
use crate::founding::HOSPITALS;
use crate::studies::{STATISTICS, assert_completes_exactly, assert_exact, wide};
use consilium_coordinator::CrashPlace as CoordinatorPlace;
use consilium_silo_agent::CrashPlace as SiloPlace;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The hospital that never comes back.
const LOST: &str = "3_UK";

/// Two that die while they compute the sum again, so that without them too few vouch for it.
const SHAKEN: [&str; 2] = ["1_UM", "2_IU"];

#[test]
fn a_silo_lost_between_upload_and_vote_leaves_a_round_that_stands() {
    silo_is_lost(SiloPlace::Uploaded);
}

#[test]
fn a_silo_lost_before_its_vote_is_sent_leaves_a_round_that_stands() {
    silo_is_lost(SiloPlace::Voted);
}

#[test]
fn a_silo_lost_between_vote_and_reveal_leaves_a_round_that_stands() {
    silo_is_lost(SiloPlace::Revealed);
}

#[test]
fn a_silo_lost_between_reveal_and_nonce_leaves_a_round_that_stands() {
    silo_is_lost(SiloPlace::SumCommitted);
}

#[test]
fn a_silo_lost_between_nonce_and_tag_leaves_a_round_that_stands() {
    silo_is_lost(SiloPlace::Tagged);
}

fn silo_is_lost(place: SiloPlace) {
    let mut federation = hurried();
    federation.start_with_armed_silo(LOST, &format!("{}:1", place.as_str()));
    let id = federation.submit(STATISTICS);
    federation.await_silos_death(LOST);
    assert_exact(&federation.complete(&id));
    federation.stop();
    assert_stands_by_replay(&federation);
}

#[test]
fn silos_that_die_before_they_have_fetched_anything_begin_again() {
    silos_die_while_they_compute_again(SiloPlace::Replaying);
}

#[test]
fn silos_that_die_in_the_middle_of_computing_again_begin_again() {
    silos_die_while_they_compute_again(SiloPlace::HalfReplayed);
}

#[test]
fn silos_that_die_with_their_answer_on_disk_send_it_when_they_return() {
    silos_die_while_they_compute_again(SiloPlace::Replayed);
}

/// The sum has eleven chunks, so that there is a middle.
fn silos_die_while_they_compute_again(place: SiloPlace) {
    let mut federation = hurried();
    federation.start_coordinator();
    for hospital in HOSPITALS {
        if hospital == LOST {
            federation.arm_silo(LOST, "sum-committed:1");
        } else if SHAKEN.contains(&hospital) {
            federation.arm_silo(hospital, &format!("{}:1", place.as_str()));
        } else {
            federation.start_silo(hospital);
        }
    }
    let id = federation.submit(&wide(600));
    federation.await_silos_death(LOST);
    for hospital in SHAKEN {
        federation.await_silos_death(hospital);
    }
    for hospital in SHAKEN {
        federation.start_silo(hospital);
    }
    assert_exact(&federation.complete(&id));
    federation.stop();
    assert_stands_by_replay(&federation);
}

#[test]
fn a_coordinator_that_dies_before_it_has_asked_for_a_replay_asks_for_it() {
    coordinator_dies(CoordinatorPlace::Replaying);
}

#[test]
fn a_coordinator_that_dies_with_one_answer_of_a_replay_waits_for_the_next() {
    coordinator_dies(CoordinatorPlace::Replayed);
}

#[test]
fn every_place_at_which_a_replay_can_die_has_its_test() {
    assert_eq!(
        SiloPlace::REPLAYS,
        [
            SiloPlace::Replaying,
            SiloPlace::HalfReplayed,
            SiloPlace::Replayed
        ]
    );
    assert_eq!(
        CoordinatorPlace::REPLAYS,
        [CoordinatorPlace::Replaying, CoordinatorPlace::Replayed]
    );
}

fn coordinator_dies(place: CoordinatorPlace) {
    let mut federation = hurried();
    federation.arm_coordinator(&format!("{}:1", place.as_str()));
    for hospital in HOSPITALS {
        match hospital {
            LOST => federation.arm_silo(LOST, "sum-committed:1"),
            other => federation.start_silo(other),
        }
    }
    let id = federation.submit(&wide(600));
    federation.await_silos_death(LOST);
    federation.await_coordinators_death();
    federation.start_coordinator();
    assert_exact(&federation.complete(&id));
    federation.stop();
    assert_stands_by_replay(&federation);
}

#[test]
fn a_lost_silo_that_returns_after_the_replay_is_told_its_sum() {
    let mut federation = hurried();
    federation.start_with_armed_silo(LOST, "sum-committed:1");
    let id = federation.submit(STATISTICS);
    federation.await_silos_death(LOST);
    assert_exact(&federation.complete(&id));
    federation.start_silo(LOST);
    let next = federation.submit(STATISTICS);
    assert_completes_exactly(&mut federation, &next);
    let log = fs::read_to_string(federation.path(LOST).join("log/entries.jsonl")).unwrap();
    let replayed = entries(&log, "round.replayed");
    assert_eq!(replayed.len(), 1, "{log}");
    assert_eq!(entries(&log, "round.released").len(), 2, "{log}");
}

/// A silo counts as dropped after a second.
fn hurried() -> Federation {
    let federation = Federation::resting();
    federation.deadline("drop_seconds", 1);
    federation
}

/// One round, released with all four inputs, computed again by at least two of those who are left.
#[track_caller]
fn assert_stands_by_replay(federation: &Federation) {
    federation.verify_log();
    let shared = log_in(&federation.path("coordinator"));
    assert_eq!(entries(&shared, "round.opened").len(), 1);
    let replayed = one(&shared, "round.replayed");
    let released = one(&shared, "round.released");
    let sum = |entry: &Value| entry["detail"]["sum"].clone();
    assert!(sum(&released).is_string(), "{released}");
    assert_eq!(sum(&replayed), sum(&released));
    for entry in [&replayed, &released] {
        let included = entry["aggregation"]["in"].as_array().unwrap();
        assert_eq!(included.len(), HOSPITALS.len(), "{entry}");
    }
    let vouchers = released["detail"]["computed_again_by"].as_str();
    let vouchers: Vec<&str> = vouchers.unwrap().split(", ").collect();
    assert!(vouchers.len() >= 2, "{released}");
    let shown = [
        "audit",
        "show",
        "coordinator/log",
        "--kind",
        "round.released",
    ];
    let shown = federation.run(&shown).succeeded();
    assert!(shown.contains("computed_again_by"), "{shown}");
    for voucher in vouchers {
        assert!(
            HOSPITALS.contains(&voucher) && voucher != LOST,
            "{released}"
        );
        let own = log_in(&federation.path(voucher));
        assert_eq!(sum(&one(&own, "round.replayed")), sum(&released));
    }
}

fn log_in(folder: &Path) -> String {
    fs::read_to_string(folder.join("log/entries.jsonl")).unwrap()
}

/// The entries of a kind.
fn entries(log: &str, kind: &str) -> Vec<Value> {
    let entries = log.lines().map(|line| serde_json::from_str(line).unwrap());
    entries
        .filter(|entry: &Value| entry["type"] == kind)
        .collect()
}

/// The only entry of a kind.
#[track_caller]
fn one(log: &str, kind: &str) -> Value {
    let mut entries = entries(log, kind);
    assert_eq!(entries.len(), 1, "{kind} in {log}");
    entries.remove(0)
}
