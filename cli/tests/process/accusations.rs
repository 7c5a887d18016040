// SPDX-License-Identifier: Apache-2.0
//! A hospital that lies over its real session: the coordinator's log accuses it, and whoever has a copy of that log and
//! nothing else can tell which accusations are proven.

mod liar;

use self::liar::{Liar, Lie};
use crate::executable;
use crate::federation::{Federation, copy};
use crate::founding::HOSPITALS;
use crate::studies::STATISTICS;
use serde_json::Value;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const LIAR: &str = "3_UK";

#[test]
fn every_lie_over_a_real_session_is_in_the_log_with_evidence_that_a_third_party_can_judge() {
    let mut federation = Federation::resting();
    federation.deadline("exchange_seconds", 8);
    federation.deadline("upload_seconds", 8);
    federation.start_coordinator();
    for hospital in HOSPITALS {
        if hospital != LIAR {
            federation.start_silo(hospital);
        }
    }
    let liar = Liar::start(&federation, LIAR, Lie::WeakKey);
    for (lie, charge, state) in [
        (Lie::WeakKey, "a weak or copied key", "failed"),
        (Lie::SecondReceipt, "a second answer", "completed"),
        (Lie::BadDeal, "shares of another secret", "failed"),
        (Lie::SecondReveal, "a second answer", "completed"),
        (Lie::OtherChunk, "an upload other than signed", "failed"),
    ] {
        liar.tell(lie);
        let before = accusations(&federation).len();
        // A reveal that comes last of all ends its phase, and a second one is no answer to anything.
        let tries = if lie == Lie::SecondReveal { 6 } else { 1 };
        for _ in 0..tries {
            let id = federation.submit(STATISTICS);
            let last = federation.watch(&id);
            assert_eq!(
                last["state"],
                state,
                "{lie:?}: {last}\n{}",
                federation.logs()
            );
            if comes_to_more_than(&federation, before) {
                break;
            }
        }
        let all = accusations(&federation);
        assert_eq!(all.len(), before + 1, "{lie:?}: {all:?}");
        let accusation = all.last().unwrap();
        assert_eq!(accusation["accused"], LIAR);
        assert_eq!(accusation["charge"], charge, "{lie:?}");
        assert_eq!(accusation["proven"], lie != Lie::OtherChunk, "{accusation}");
    }
    drop(liar);
    federation.stop();
    federation.verify_log();

    // A third party with a copy of the log, and nothing else.
    let third = tempfile::tempdir().unwrap();
    copy(
        &federation.path("coordinator/log"),
        &third.path().join("log"),
    );
    let verified = executable::run(third.path(), &["audit", "verify", "log"]).succeeded();
    let proven = verified.matches("proven by its own signatures").count();
    assert_eq!(proven, 4, "{verified}");
    assert!(
        verified.contains("signs the root of its upload and not what comes"),
        "{verified}"
    );

    // An attempt that ended by a lie names the same evidence as the accusation; every end names its message.
    let shown = ["audit", "show", "log", "--kind", "round", "--json"];
    let shown = executable::run(third.path(), &shown).succeeded();
    let entries: Vec<Value> = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| -> Vec<&Value> {
        let entries = entries.iter();
        entries.filter(|entry| entry["type"] == kind).collect()
    };
    let ends = of("round.abandoned");
    assert_eq!(ends.len(), 3);
    assert!(ends.iter().all(|end| end["refs"]["message"].is_string()));
    let evidence: Vec<&Value> = of("round.misbehaviour")
        .iter()
        .map(|entry| &entry["refs"]["evidence"])
        .collect();
    let ended_by = ends.iter().map(|end| &end["refs"]["evidence"]);
    let ended_by: Vec<&Value> = ended_by.filter(|object| object.is_string()).collect();
    assert_eq!(ended_by, [evidence[2]]);

    // Without an object nobody can judge, and the log says so.
    let object = third
        .path()
        .join("log/objects/sha256")
        .join(evidence[1].as_str().unwrap());
    fs::remove_file(object).unwrap();
    let verified = executable::run(third.path(), &["audit", "verify", "log"]);
    assert_eq!(verified.code, Some(1), "{}", verified.out);
    assert!(verified.out.contains("is missing"), "{}", verified.out);
}

/// An entry is in the files about a second after it happened.
fn comes_to_more_than(federation: &Federation, count: usize) -> bool {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        if accusations(federation).len() > count {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The accusations in the coordinator's log, as an auditor finds them.
fn accusations(federation: &Federation) -> Vec<Value> {
    let verify = [
        "audit",
        "verify",
        "coordinator/log",
        "--roster",
        "coordinator/roster",
        "--json",
    ];
    // While the coordinator writes, its newest entries may be under no signed head yet.
    let report: Value = serde_json::from_str(&federation.run(&verify).out).unwrap();
    report["accusations"].as_array().unwrap().clone()
}
