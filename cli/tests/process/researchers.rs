// SPDX-License-Identifier: Apache-2.0
//! What a researcher gets: progress, lists, results in both formats, and an end when she asks for it.

use crate::federation::Federation;
use crate::studies::{STATISTICS, assert_exact, private};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::fs;

#[test]
fn a_result_is_shown_watched_listed_and_written_in_both_formats() {
    let mut federation = Federation::running();
    let id = federation.submit(STATISTICS);
    assert_eq!(
        (id.len(), id.bytes().all(|byte| byte.is_ascii_hexdigit())),
        (64, true),
        "{id}"
    );

    // Watching a running study and an ended one: one JSON document per line, and the last says how it ended.
    for _ in 0..2 {
        let watched = federation.run(&["study", "watch", &id, "--dir", "researcher", "--json"]);
        let shown: Vec<Value> = watched
            .succeeded()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for progress in &shown {
            assert_eq!(progress["study_id"], id.as_str());
            assert_eq!(progress["name"], "ercp-indomethacin-statistics");
            assert_eq!(progress["rounds_at_most"], 1);
            for number in ["round", "attempt", "bytes_received", "attempts_charged"] {
                assert!(progress[number].is_u64(), "{number} in {progress}");
            }
            for list in ["refusals", "dropouts"] {
                assert_eq!(
                    progress[list],
                    Value::Array(Vec::new()),
                    "{list} in {progress}"
                );
            }
        }
        let last = shown.last().unwrap();
        assert_eq!(last["state"], "completed", "{last}");
        let silos = last["silos"].as_array().unwrap();
        assert_eq!(silos.len(), 4, "{last}");
        assert!(
            silos
                .iter()
                .all(|silo| silo["name"].is_string() && silo["connected"].is_boolean())
        );
    }

    let refused = federation.submit(include_str!("../../../examples/studies/forbidden.toml"));
    let last = federation.watch(&refused);
    assert_eq!(last["state"], "refused", "{last}");
    assert!(
        last["refusals"][0]["conditions"].as_array().unwrap().len() > 3,
        "{last}"
    );
    let listed = federation.json(&["study", "list", "--dir", "researcher"]);
    let newest_first: Vec<&Value> = listed.as_array().unwrap().iter().collect();
    assert_eq!(newest_first.len(), 2, "{listed}");
    assert_eq!(newest_first[0]["study_id"], refused.as_str());
    assert_eq!(newest_first[0]["state"], "refused");
    assert_eq!(newest_first[1]["study_id"], id.as_str());
    assert_eq!(newest_first[1]["state"], "completed");
    for row in newest_first {
        assert_eq!(row["researcher"], "a.ruiz@uni.example");
        assert!(
            row["submitted"].as_u64().unwrap() <= row["ended"].as_u64().unwrap(),
            "{row}"
        );
    }

    // The beginning of the id is enough.
    let result = [
        "study",
        "result",
        &id[..8],
        "--out",
        "results",
        "--dir",
        "researcher",
    ];
    let said = federation.run(&result).succeeded();
    assert!(said.contains("results"), "{said}");
    let written: Value =
        serde_json::from_slice(&fs::read(federation.path("results/result.json")).unwrap()).unwrap();
    assert_exact(&written);
    assert_eq!(
        written,
        federation.json(&["study", "result", &id, "--dir", "researcher"])
    );
    let bytes = fs::read(federation.path("results/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert!(!tensors.is_empty());
    let numbers: Vec<f64> = tensors
        .iter()
        .flat_map(|(_, tensor)| {
            assert_eq!(tensor.dtype(), Dtype::F64);
            tensor
                .data()
                .chunks_exact(8)
                .map(|word| f64::from_le_bytes(word.try_into().unwrap()))
                .collect::<Vec<_>>()
        })
        .collect();
    // The cells of the table among them.
    for cell in [27.0, 52.0, 268.0, 255.0] {
        assert!(numbers.contains(&cell), "{cell} in {numbers:?}");
    }

    for (wrong, named) in [("ffffffffffff", "ffffffffffff"), (&refused, "refused")] {
        federation
            .run(&["study", "result", wrong, "--dir", "researcher"])
            .failed(2, &[named]);
    }
    federation.stop();
    federation.verify_log();
}

#[test]
fn a_study_is_cancelled_while_it_waits_and_while_it_runs() {
    let mut federation = Federation::resting();
    // Nobody answers: the first study is being offered, the second waits.
    federation.start_coordinator();
    let offered = federation.submit(STATISTICS);
    let waiting = federation.submit(STATISTICS);
    let reason = "wrong data set";
    for id in [&waiting, &offered] {
        let cancelled = federation.json(&[
            "study",
            "cancel",
            id,
            "--reason",
            reason,
            "--dir",
            "researcher",
        ]);
        assert_eq!(cancelled["state"], "cancelled");
        is_cancelled(&federation, id, reason);
    }

    for hospital in crate::founding::HOSPITALS {
        federation.start_silo(hospital);
    }
    let running = federation.submit(&private(20, 2));
    crate::crashes::await_rounds(&federation, &running, 2);
    federation.json(&["study", "cancel", &running, "--dir", "researcher"]);
    is_cancelled(&federation, &running, "cancelled by its researcher");
    let again = federation.run(&["study", "cancel", &running, "--dir", "researcher"]);
    again.failed(2, &["already ended", "cancelled"]);
    let result = federation.run(&["study", "result", &running, "--dir", "researcher"]);
    result.failed(2, &["no result", "cancelled"]);

    // What it did not spend is free again, and the next study runs.
    let next = federation.submit(STATISTICS);
    assert_exact(&federation.complete(&next));
    federation.stop();
    federation.verify_log();
    for (id, reason) in [
        (&waiting, reason),
        (&offered, reason),
        (&running, "by its researcher"),
    ] {
        is_logged(&federation, id, reason);
    }
    for hospital in crate::founding::HOSPITALS {
        let ledger = federation.json(&["silo", "ledger", "show", "--dir", hospital]);
        assert_eq!(
            ledger["accounts"][0]["reserved"]
                .to_string()
                .trim_matches('"'),
            "0.0 %",
            "{ledger}"
        );
        let charged = crate::crashes::charged_attempts(&federation, hospital, &running);
        assert!((2..=5).contains(&charged.len()), "{charged:?}");
    }
}

#[track_caller]
fn is_cancelled(federation: &Federation, id: &str, reason: &str) {
    let last = federation.watch(id);
    assert_eq!(last["state"], "cancelled", "{last}");
    assert!(last["reason"].as_str().unwrap().contains(reason), "{last}");
}

/// Asserts that the log tells why a study ended.
#[track_caller]
fn is_logged(federation: &Federation, id: &str, reason: &str) {
    let logged = federation
        .run(&[
            "audit",
            "show",
            "coordinator/log",
            "--kind",
            "study.cancelled",
            "--study",
            id,
            "--json",
        ])
        .succeeded();
    assert!(logged.contains(reason), "{logged}");
}
