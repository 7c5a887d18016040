// SPDX-License-Identifier: Apache-2.0
//! `kill -9` at every persistence point of a round, and at any other moment: the work is taken up again, once.

use crate::federation::Federation;
use crate::founding::HOSPITALS;
use crate::studies::{
    LOGISTIC, STATISTICS, assert_completes_exactly, assert_equals_pooled, private,
};
use consilium_coordinator::CrashPlace as CoordinatorPlace;
use consilium_silo_agent::CrashPlace as SiloPlace;
use serde_json::Value;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// The smallest hospital but one dies and comes back.
const VICTIM: &str = "3_UK";

/// One test per place at which an agent can die.
macro_rules! silo_places {
    ($($test:ident: $place:ident,)*) => {
        $(#[test]
        fn $test() {
            silo_dies(SiloPlace::$place);
        })*

        #[test]
        fn every_place_at_which_a_silo_can_die_has_its_test() {
            assert_eq!(SiloPlace::ALL.to_vec(), [$(SiloPlace::$place),*]);
        }
    };
}

silo_places! {
    a_silo_dies_once_its_budget_is_set_aside: LedgerReserved,
    a_silo_dies_once_the_round_is_opened: Opened,
    a_silo_dies_once_its_keys_are_made: Advertised,
    a_silo_dies_once_its_shares_are_dealt: Dealt,
    a_silo_dies_once_the_shares_of_others_are_received: Receipted,
    a_silo_dies_once_its_vector_is_prepared: Prepared,
    a_silo_dies_once_the_cohort_is_frozen: Frozen,
    a_silo_dies_once_its_attempt_is_charged: LedgerCommitted,
    a_silo_dies_once_its_masks_are_burned: Burned,
    a_silo_dies_once_half_of_its_vector_is_sent: HalfUploaded,
    a_silo_dies_once_its_vector_is_uploaded: Uploaded,
    a_silo_dies_once_it_has_voted: Voted,
    a_silo_dies_once_its_shares_are_revealed: Revealed,
    a_silo_dies_once_the_sum_is_committed: SumCommitted,
    a_silo_dies_once_its_tag_is_made: Tagged,
    a_silo_dies_once_the_sum_is_released: Released,
}

fn silo_dies(place: SiloPlace) {
    if matches!(
        place,
        SiloPlace::LedgerReserved | SiloPlace::LedgerCommitted
    ) {
        return silo_dies_at_its_ledger(place);
    }
    let mut federation = Federation::resting();
    federation.start_with_armed_silo(VICTIM, &format!("{}:1", place.as_str()));
    let id = federation.submit(STATISTICS);
    federation.await_silos_death(VICTIM);
    federation.start_silo(VICTIM);
    assert_completes_exactly(&mut federation, &id);
}

/// Only a study with noise is charged: once for each attempt, whatever died in between.
fn silo_dies_at_its_ledger(place: SiloPlace) {
    let mut federation = Federation::resting();
    federation.start_coordinator();
    for hospital in HOSPITALS {
        match hospital {
            VICTIM => federation.arm_silo(VICTIM, &format!("{}:1", place.as_str())),
            other => federation.start_silo(other),
        }
    }
    let id = federation.submit(&private(2, 2));
    federation.await_silos_death(VICTIM);
    federation.start_silo(VICTIM);
    federation.complete(&id);
    federation.stop();
    federation.verify_log();
    let charged = charged_attempts(&federation, VICTIM, &id);
    assert!(
        uploaded_attempts(&federation, VICTIM).is_subset(&charged),
        "{charged:?}"
    );
    assert!((1..=4).contains(&charged.len()), "{charged:?}");
}

/// One test per place at which the coordinator can die.
macro_rules! coordinator_places {
    ($($test:ident: $place:ident,)*) => {
        $(#[test]
        fn $test() {
            coordinator_dies(CoordinatorPlace::$place);
        })*

        #[test]
        fn every_place_at_which_the_coordinator_can_die_has_its_test() {
            assert_eq!(CoordinatorPlace::ALL.to_vec(), [$(CoordinatorPlace::$place),*]);
        }
    };
}

coordinator_places! {
    the_coordinator_dies_once_the_round_is_opened: Opened,
    the_coordinator_dies_once_the_keys_are_booked: KeyBook,
    the_coordinator_dies_once_the_shares_are_booked: DealBook,
    the_coordinator_dies_once_the_cohort_is_frozen: Frozen,
    the_coordinator_dies_once_a_part_of_an_upload_is_on_its_disk: Spooled,
    the_coordinator_dies_once_the_survivors_are_proposed: Proposed,
    the_coordinator_dies_once_the_votes_are_certified: Certified,
    the_coordinator_dies_once_the_sum_is_unmasked: Unmasked,
    the_coordinator_dies_once_the_sum_is_logged: SumLogged,
    the_coordinator_dies_once_the_sum_is_released: Released,
}

fn coordinator_dies(place: CoordinatorPlace) {
    let mut federation = Federation::resting();
    federation.arm_coordinator(&format!("{}:1", place.as_str()));
    for hospital in HOSPITALS {
        federation.start_silo(hospital);
    }
    let id = federation.submit(STATISTICS);
    federation.await_coordinators_death();
    federation.start_coordinator();
    assert_completes_exactly(&mut federation, &id);
}

#[test]
fn newtons_rounds_are_taken_up_in_their_middle_and_lead_to_the_same_coefficients() {
    let mut federation = Federation::resting();
    federation.arm_coordinator("released:4");
    for hospital in HOSPITALS {
        match hospital {
            VICTIM => federation.arm_silo(VICTIM, "burned:2"),
            other => federation.start_silo(other),
        }
    }
    let id = federation.submit(LOGISTIC);
    federation.await_silos_death(VICTIM);
    federation.arm_silo(VICTIM, "released:3");
    federation.await_silos_death(VICTIM);
    federation.start_silo(VICTIM);
    federation.await_coordinators_death();
    federation.arm_coordinator("frozen:6");
    federation.await_coordinators_death();
    federation.start_coordinator();
    assert_equals_pooled(&federation.complete(&id));
    federation.stop();
    federation.verify_log();
}

#[test]
fn a_private_study_outlives_kills_at_random_moments_and_every_upload_is_charged() {
    let mut moments = Moments::new();
    let mut federation = Federation::resting();
    // Short, so that a dead silo counts as dropped before it comes back, now and then.
    federation.deadline("drop_seconds", 1);
    federation.start();
    let id = federation.submit(&private(8, 6));

    for (rounds, coordinator) in [(1, false), (2, true), (4, false), (5, true)] {
        await_rounds(&federation, &id, rounds);
        moments.pause(300);
        if coordinator {
            federation.kill_coordinator();
            moments.pause(300);
            federation.start_coordinator();
        } else {
            federation.kill_silo(VICTIM);
            moments.pause(2000);
            federation.start_silo(VICTIM);
        }
    }
    let last = federation.watch(&id);
    assert_eq!(
        last["state"],
        "completed",
        "{moments:?} {last}\n{}",
        federation.logs()
    );
    federation.stop();
    federation.verify_log();
    for hospital in HOSPITALS {
        let uploaded = uploaded_attempts(&federation, hospital);
        let charged = charged_attempts(&federation, hospital, &id);
        assert!(!charged.is_empty());
        assert!(
            uploaded.is_subset(&charged),
            "{moments:?} `{hospital}` uploaded {uploaded:?} and was charged {charged:?}"
        );
        // The same from the shared log alone.
        let log = [
            "silo",
            "ledger",
            "compare",
            "coordinator/log",
            "--dir",
            hospital,
        ];
        let compared = federation.json(&log);
        assert!(compared["attempts"].as_u64().unwrap() >= 1, "{compared}");
        assert_eq!(compared["differences"], serde_json::json!([]));
    }
}

/// Waits until a study has released that many sums, or has ended.
pub(crate) fn await_rounds(federation: &Federation, id: &str, rounds: u64) {
    let until = Instant::now() + Duration::from_secs(90);
    loop {
        let status = federation.json(&["coordinator", "status", "--dir", "coordinator"]);
        let studies = status["studies"].as_array().unwrap();
        let study = studies
            .iter()
            .find(|study| study["study_id"] == id)
            .unwrap();
        let running = ["queued", "consenting", "running"]
            .map(Value::from)
            .contains(&study["state"]);
        if !running || study["rounds_done"].as_u64().unwrap() >= rounds {
            return;
        }
        assert!(Instant::now() < until, "{study}\n{}", federation.logs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The attempts of which the coordinator has anything from a silo.
pub(crate) fn uploaded_attempts(federation: &Federation, silo: &str) -> BTreeSet<String> {
    let attempts = std::fs::read_dir(federation.path("coordinator/blobs/uploads")).unwrap();
    attempts
        .map(Result::unwrap)
        .filter(|attempt| attempt.path().join(silo).exists())
        .map(|attempt| attempt.file_name().into_string().unwrap())
        .collect()
}

/// The attempts that a silo's ledger was charged for.
pub(crate) fn charged_attempts(
    federation: &Federation,
    silo: &str,
    study: &str,
) -> BTreeSet<String> {
    let ledger = federation.json(&["silo", "ledger", "show", "--dir", silo]);
    let entries = ledger["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| &entry["entry"]["committed"])
        .filter(|committed| committed["job"] == study)
        .map(|committed| committed["attempt"].as_str().unwrap().to_owned())
        .collect()
}

/// Random moments that can be had again: set `CONSILIUM_SEED` to the seed of a failed test.
#[derive(Debug)]
#[expect(dead_code, reason = "the seed is printed with a failure")]
struct Moments {
    seed: u64,
    state: u64,
}

impl Moments {
    fn new() -> Self {
        let given = std::env::var("CONSILIUM_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one("moments"));
        Self { seed, state: seed }
    }

    /// Waits for less than so many milliseconds.
    fn pause(&mut self, most: u64) {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        std::thread::sleep(Duration::from_millis((word ^ (word >> 31)) % most));
    }
}
