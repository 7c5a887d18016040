// SPDX-License-Identifier: Apache-2.0
//! `kill -9` while a line is added to the ledger: what was set aside stays so, and no upload leaves that is not charged.

use crate::crashes::{charged_attempts, uploaded_attempts};
use crate::federation::Federation;
use crate::founding::HOSPITALS;
use crate::studies::{private, replaced};
use consilium_silo_agent::CrashPlace;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// The hospital whose agent dies.
const VICTIM: &str = "3_UK";

/// One test per place: while a study reserves, while it is charged, and while the rest is freed.
macro_rules! line_places {
    ($($test:ident: $place:ident,)*) => {
        $(#[test]
        fn $test() {
            silo_dies_at_each_kind_of_line(CrashPlace::$place);
        })*

        #[test]
        fn every_place_in_a_line_of_the_ledger_has_its_test() {
            assert_eq!(CrashPlace::LEDGER_LINES.to_vec(), [$(CrashPlace::$place),*]);
        }
    };
}

line_places! {
    a_silo_dies_with_half_of_a_line_in_its_ledger: LineHalfWritten,
    a_silo_dies_with_a_line_in_its_ledger_that_its_journal_does_not_know: LineWritten,
    a_silo_dies_with_a_line_in_ledger_and_journal_on_which_nobody_acted: LineKnown,
}

fn silo_dies_at_each_kind_of_line(place: CrashPlace) {
    let mut federation = Federation::resting();
    federation.deadline("drop_seconds", 1);
    for hospital in HOSPITALS {
        federation.edit(&format!("{hospital}/policy.toml"), |text| {
            let text = replaced(&text, "epsilon = \"4\"", "epsilon = \"20\"");
            replaced(&text, "delta = \"2e-5\"", "delta = \"1e-3\"")
        });
    }
    federation.start();
    // The data set's account is there afterwards, and the next line is the next study's reservation.
    let first = federation.submit(&private(4, 4));
    federation.complete(&first);
    await_kind(&federation, "released");

    federation.stop_silo(VICTIM);
    let reserved = lines(&federation, VICTIM).len() + 1;
    arm(&mut federation, place, reserved);
    let uploaded = uploaded_attempts(&federation, VICTIM);
    let second = federation.submit(&private(4, 4));
    dies(&mut federation, place, reserved, "reserved");
    arm(&mut federation, place, reserved + 1);
    dies(&mut federation, place, reserved + 1, "committed");
    assert_eq!(kind(&lines(&federation, VICTIM)[reserved - 1]), "reserved");
    // Whether or not the line counts, the vector was not sent before it did.
    assert_eq!(uploaded_attempts(&federation, VICTIM), uploaded);
    federation.start_silo(VICTIM);
    federation.complete(&second);
    await_kind(&federation, "released");
    assert_charged(&federation, &[&first, &second]);

    let third = federation.submit(&private(4, 4));
    await_kind(&federation, "committed");
    federation.kill_silo(VICTIM);
    federation.complete(&third);
    let released = lines(&federation, VICTIM).len() + 1;
    let charged = charged_attempts(&federation, VICTIM, &third);
    arm(&mut federation, place, released);
    dies(&mut federation, place, released, "released");
    federation.start_silo(VICTIM);
    await_kind(&federation, "released");
    // Nothing that was charged is freed.
    assert_eq!(charged_attempts(&federation, VICTIM, &third), charged);
    assert_charged(&federation, &[&first, &second, &third]);

    federation.stop();
    federation.verify_log();
    let log = [
        "silo",
        "ledger",
        "compare",
        "coordinator/log",
        "--dir",
        VICTIM,
    ];
    let compared = federation.json(&log);
    assert!(compared["attempts"].as_u64().unwrap() >= 4, "{compared}");
    assert_eq!(compared["differences"], serde_json::json!([]));
}

fn arm(federation: &mut Federation, place: CrashPlace, line: usize) {
    federation.arm_silo(VICTIM, &format!("{}:{line}", place.as_str()));
}

/// Waits until the agent has died at a line, which is whole or not there, and of this kind.
#[track_caller]
fn dies(federation: &mut Federation, place: CrashPlace, line: usize, of: &str) {
    federation.await_silos_death(VICTIM);
    let left = lines(federation, VICTIM);
    let file = fs::read_to_string(federation.path(&format!("{VICTIM}/ledger.jsonl"))).unwrap();
    if place == CrashPlace::LineHalfWritten {
        assert_eq!(left.len(), line - 1);
        assert!(!file.ends_with('\n'), "no part of the line was written");
    } else {
        assert_eq!(left.len(), line);
        assert!(file.ends_with('\n'));
        assert_eq!(left.last().map(kind), Some(of));
    }
}

/// Every upload that the coordinator has of the hospital was charged to one of the studies.
#[track_caller]
fn assert_charged(federation: &Federation, studies: &[&str]) {
    let charged: BTreeSet<String> = studies
        .iter()
        .flat_map(|study| charged_attempts(federation, VICTIM, study))
        .collect();
    let uploaded = uploaded_attempts(federation, VICTIM);
    assert!(!uploaded.is_empty());
    assert!(uploaded.is_subset(&charged), "{uploaded:?} {charged:?}");
}

/// Waits until the last line of the hospital's ledger is of this kind.
#[track_caller]
fn await_kind(federation: &Federation, wanted: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    while kind(lines(federation, VICTIM).last().unwrap()) != wanted {
        assert!(Instant::now() < until, "{}", federation.logs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn kind(entry: &Value) -> &str {
    entry["entry"].as_object().unwrap().keys().next().unwrap()
}

/// The whole lines of a hospital's ledger.
pub(crate) fn lines(federation: &Federation, silo: &str) -> Vec<Value> {
    let ledger = federation.json(&["silo", "ledger", "show", "--dir", silo]);
    ledger["entries"].as_array().unwrap().clone()
}
