// SPDX-License-Identifier: Apache-2.0
//! The shared log under an operator who changes it, and who holds its true key.

use crate::executable::{Ran, run};
use crate::federation::{Federation, copy};
use crate::founding::HOSPITALS;
use crate::studies::{STATISTICS, assert_completes_exactly, replaced};
use consilium_audit::verify::read_entries;
use consilium_audit::{Event, EventKind, Log, WitnessSet};
use consilium_coordinator::folder::{CoordinatorFolder, log_origin};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn a_changed_log_is_found_out_offline() {
    let federation = finished();
    let honest = federation.path("coordinator/log");
    let verify = |log: &str| -> (Option<i32>, Value) {
        let arguments = ["audit", "verify", log, "--roster", "1_UM/roster", "--json"];
        let Ran { code, out, .. } = federation.run(&arguments);
        (code, serde_json::from_str(&out).unwrap())
    };
    let (code, report) = verify("coordinator/log");
    assert_eq!(
        (code, report["verified"].as_bool()),
        (Some(0), Some(true)),
        "{report}"
    );

    // One byte, wherever it lies.
    let entries = fs::read(honest.join("entries.jsonl")).unwrap();
    for place in [2, entries.len() / 3, entries.len() / 2, entries.len() - 5] {
        copy(&honest, &federation.path("one-byte"));
        let mut changed = entries.clone();
        changed[place] ^= 1;
        fs::write(federation.path("one-byte/entries.jsonl"), changed).unwrap();
        found(verify("one-byte"));
    }

    // The last entries: those under a head that the silos cosigned, and one more.
    copy(&honest, &federation.path("cut"));
    let text = String::from_utf8(entries).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let kept = usize::try_from(report["cosigned_entries"].as_u64().unwrap() - 1).unwrap();
    let cut: String = lines[..kept]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(federation.path("cut/entries.jsonl"), cut).unwrap();
    found(verify("cut"));

    // The coordinator rewrites a consent and signs all of it anew with its true key.
    let forged = federation.path("forged");
    forge(&federation.path("coordinator"), &forged);
    let (code, report) = verify("forged");
    assert!(
        report["obstacles"].to_string().contains("quorum"),
        "{report}"
    );
    found((code, report));
    // The old heads with the silos' true cosignatures do not fit the new tree.
    for note in fs::read_dir(honest.join("checkpoints")).unwrap() {
        let note = note.unwrap();
        fs::copy(
            note.path(),
            forged.join("checkpoints").join(note.file_name()),
        )
        .unwrap();
    }
    found(verify("forged"));
}

#[test]
fn a_coordinator_that_rewrote_its_log_gets_no_cosignature_and_completes_nothing() {
    let mut federation = finished();
    let honest = federation.path("honest");
    copy(&federation.path("coordinator"), &honest);
    let log = federation.path("coordinator/log");
    fs::remove_dir_all(&log).unwrap();
    forge(&honest, &log);
    federation.start();
    let id = federation.submit(STATISTICS);
    await_refused_cosignatures(&federation);
    completes_nothing(&mut federation, &id);

    // With its true log it is believed again.
    fs::remove_dir_all(federation.path("coordinator")).unwrap();
    copy(&honest, &federation.path("coordinator"));
    federation.start();
    let id = federation.submit(&renamed());
    assert_completes_exactly(&mut federation, &id);
}

#[test]
fn a_coordinator_put_back_from_a_backup_gets_no_cosignature_and_completes_nothing() {
    let mut federation = finished();
    copy(&federation.path("coordinator"), &federation.path("backup"));
    federation.start();
    let id = federation.submit(STATISTICS);
    federation.complete(&id);
    federation.stop();
    fs::remove_dir_all(federation.path("coordinator")).unwrap();
    copy(&federation.path("backup"), &federation.path("coordinator"));

    // The silos have cosigned a longer log than this one, and say so when they connect.
    federation.start();
    let id = federation.submit(&renamed());
    let until = Instant::now() + Duration::from_secs(30);
    while !federation
        .logs()
        .contains("older than what a silo has cosigned")
    {
        assert!(Instant::now() < until, "{}", federation.logs());
        std::thread::sleep(Duration::from_millis(50));
    }
    // Whatever follows the backup is another history: nobody signs it.
    completes_nothing(&mut federation, &id);
}

/// The statistics study under another name: another study to everybody.
fn renamed() -> String {
    replaced(
        STATISTICS,
        "ercp-indomethacin-statistics",
        "ercp-indomethacin-again",
    )
}

/// Asserts that a study has no result when all have had the time to give one, and kills everything.
#[track_caller]
fn completes_nothing(federation: &mut Federation, id: &str) {
    std::thread::sleep(Duration::from_secs(2));
    let listed = federation.json(&["study", "list", "--dir", "researcher"]);
    let state = listed[0]["state"].as_str().unwrap();
    assert!(
        ["queued", "consenting", "running"].contains(&state),
        "{listed}"
    );
    federation
        .run(&["study", "result", id, "--dir", "researcher"])
        .failed(2, &["not ended"]);
    federation.kill();
}

/// A federation that has completed a study and rests.
fn finished() -> Federation {
    let mut federation = Federation::running();
    let id = federation.submit(STATISTICS);
    federation.complete(&id);
    federation.stop();
    federation
}

/// A log of the same events but one, signed with the coordinator's true key.
fn forge(coordinator: &Path, forged: &Path) {
    let mut events: Vec<Event> = read_entries(&coordinator.join("log"))
        .unwrap()
        .into_iter()
        .map(|entry| entry.event)
        .collect();
    let consent = events
        .iter_mut()
        .find(|event| event.kind == EventKind::StudyConsented)
        .unwrap();
    consent.actor.name = "somebody.else".to_owned();
    let signer = CoordinatorFolder::new(coordinator).log_signer(&log_origin("hub.example"));
    fs::create_dir_all(forged).unwrap();
    let mut log = Log::create(forged, signer.unwrap(), WitnessSet::none()).unwrap();
    log.append_batch(&events).unwrap();
    log.checkpoint().unwrap();
}

#[track_caller]
fn found((code, report): (Option<i32>, Value)) {
    assert_eq!(
        (code, report["verified"].as_bool()),
        (Some(1), Some(false)),
        "{report}"
    );
    assert!(
        !report["findings"].as_array().unwrap().is_empty(),
        "{report}"
    );
}

/// Waits until every hospital has written down that it refused to cosign.
fn await_refused_cosignatures(federation: &Federation) {
    let until = Instant::now() + Duration::from_secs(30);
    for hospital in HOSPITALS {
        let log = format!("{hospital}/log");
        let show = [
            "audit",
            "show",
            &log,
            "--kind",
            "audit.cosignature_refused",
            "--json",
        ];
        while run(federation.at(), &show).succeeded().trim().is_empty() {
            assert!(Instant::now() < until, "{}", federation.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
