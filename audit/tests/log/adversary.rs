// SPDX-License-Identifier: Apache-2.0
//! A coordinator that holds the log's true key and lies.

use std::{fs, path::Path};

use consilium_audit::{
    CosignRefusal, Event, EventKind, Log, VerifyReport, WitnessSet,
    verify::{Knowledge, Rule, Verdict, read_entries, verify_directory, verify_directory_with},
};
use tempfile::TempDir;

use crate::support::{Consortium, copy, signer, trust, witness_set};

fn consortium() -> Consortium {
    let mut consortium = Consortium::new();
    consortium.study("s", 0..2);
    consortium
}

/// The same events with one of them changed, in a new tree that the true key signs.
fn rewritten(
    honest: &Path,
    witnesses: WitnessSet,
    change: impl Fn(&mut [Event]),
) -> (TempDir, Log) {
    let mut events: Vec<Event> = read_entries(honest)
        .unwrap()
        .into_iter()
        .map(|entry| entry.event)
        .collect();
    change(&mut events);
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::create(folder.path(), signer(), witnesses).unwrap();
    log.append_batch(&events).unwrap();
    log.checkpoint().unwrap();
    (folder, log)
}

fn change_a_consent(events: &mut [Event]) {
    let consent = events
        .iter_mut()
        .find(|event| event.kind == EventKind::StudyConsented)
        .unwrap();
    consent.actor.name = "somebody.else".to_owned();
}

fn broken_rules(report: &VerifyReport) -> Vec<Rule> {
    let mut rules: Vec<Rule> = report.findings.iter().map(|finding| finding.rule).collect();
    rules.dedup();
    rules
}

#[test]
fn a_rewritten_event_signed_with_the_true_key_passes_the_signature_and_fails_the_quorum() {
    let consortium = consortium();
    let (forged, log) = rewritten(consortium.path(), witness_set(), change_a_consent);
    // The signature is good ...
    let head = log.head().to_string();
    assert!(consilium_audit::CheckpointNote::open(&head, &signer().verifier()).is_ok());
    // ... the quorum is not there, nor can it be had.
    let report = verify_directory(forged.path());
    assert!(!report.verified);
    assert!(
        report
            .obstacles
            .iter()
            .any(|obstacle| obstacle.contains("quorum")),
        "{report}"
    );
    for mut witness in consortium.witnesses {
        let old = witness.head().size;
        let proof = log.consistency_proof(old, log.size()).unwrap();
        let refusal = witness.cosign(&head, old, &proof, 1).unwrap_err();
        assert!(matches!(refusal, CosignRefusal::Fork { .. }), "{refusal}");
    }
}

#[test]
fn a_rewritten_event_under_the_old_cosigned_heads_is_found() {
    let consortium = consortium();
    let (forged, _log) = rewritten(consortium.path(), witness_set(), change_a_consent);
    for note in fs::read_dir(consortium.path().join("checkpoints")).unwrap() {
        let note = note.unwrap();
        fs::copy(
            note.path(),
            forged.path().join("checkpoints").join(note.file_name()),
        )
        .unwrap();
    }
    let report = verify_directory(forged.path());
    assert_eq!(report.verdict, Verdict::Findings, "{report}");
    assert!(broken_rules(&report).contains(&Rule::Tree), "{report}");
}

#[test]
fn a_coordinator_that_names_its_own_witnesses_fools_nobody_who_knows_the_roster() {
    let consortium = consortium();
    let (forged, log) = rewritten(consortium.path(), WitnessSet::none(), change_a_consent);
    drop(log);
    // By its own policy, which asks for no witnesses, only the rules of the history can object.
    assert_eq!(verify_directory(forged.path()).quorum, 0);
    let knowledge = Knowledge {
        trust: Some(trust()),
        ..Knowledge::default()
    };
    let report = verify_directory_with(forged.path(), &knowledge);
    assert!(
        !report.verified
            && report
                .obstacles
                .iter()
                .any(|obstacle| obstacle.contains("quorum")),
        "{report}"
    );
    // A witness that remembers its head needs no more than that.
    let knowledge = Knowledge {
        trust: None,
        heads: vec![consortium.witnesses[0].head().clone()],
        ..Knowledge::default()
    };
    let report = verify_directory_with(forged.path(), &knowledge);
    assert!(
        broken_rules(&report).contains(&Rule::AppendOnly),
        "{report}"
    );
}

#[test]
fn a_log_cut_back_to_an_older_cosigned_head_is_found_by_any_witness() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.round("s", 0);
    let older = copy(consortium.path());
    consortium.round("s", 1);
    let knowledge = Knowledge {
        trust: Some(trust()),
        heads: vec![consortium.witnesses[2].head().clone()],
        ..Knowledge::default()
    };
    let report = verify_directory_with(older.path(), &knowledge);
    assert_eq!(broken_rules(&report), [Rule::AppendOnly], "{report}");
    assert_eq!(
        verify_directory_with(consortium.path(), &knowledge).exit_code(),
        0
    );
}

#[test]
fn a_log_that_lost_its_last_entries_is_found() {
    let consortium = consortium();
    let cut = copy(consortium.path());
    let path = cut.path().join("entries.jsonl");
    let lines = fs::read_to_string(&path).unwrap();
    let kept = lines.trim_end().rsplit_once('\n').unwrap().0;
    fs::write(&path, format!("{kept}\n")).unwrap();
    let report = verify_directory(cut.path());
    assert_eq!(report.exit_code(), 1);
    assert!(broken_rules(&report).contains(&Rule::Tree), "{report}");
}

#[test]
fn two_histories_for_two_halves_of_the_silos_reach_no_two_quorums() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.cosign();
    let base = copy(consortium.path());
    let mut other = Log::open(base.path(), signer()).unwrap();

    consortium.round("s", 0);
    let event = consortium.step(EventKind::RoundOpened, "s", 7, 0);
    other.append(&event).unwrap();
    let fork = other.checkpoint().unwrap();
    // All four have moved on with the first history; none signs the second.
    for witness in &mut consortium.witnesses {
        let old = witness.head().size;
        let refusal = witness.cosign(&fork.to_string(), old, &[], 1).unwrap_err();
        assert!(matches!(refusal, CosignRefusal::Shrunk { .. }), "{refusal}");
    }
}

#[test]
fn a_witness_signs_only_what_extends_what_it_signed() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    let head = consortium.cosign();
    consortium.consent("t");
    let next = consortium.log.checkpoint().unwrap();
    let proof = consortium
        .log
        .consistency_proof(head.size(), next.size())
        .unwrap();
    let witness = &mut consortium.witnesses[0];
    let before = witness.head().clone();

    let refusals = [
        witness.cosign("nothing", head.size(), &proof, 1),
        witness.cosign(&next.to_string(), 0, &[], 1),
        witness.cosign(&next.to_string(), head.size() + 1, &proof, 1),
        witness.cosign(&next.to_string(), head.size(), &[], 1),
        witness.cosign(&next.to_string(), head.size(), &proof[1..], 1),
    ];
    assert!(refusals.iter().all(Result::is_err));
    assert_eq!(*witness.head(), before, "a refusal changes nothing");
    assert!(
        matches!(refusals[1], Err(CosignRefusal::OtherSize { cosigned, .. }) if cosigned == head.size())
    );

    let first = witness
        .cosign(&next.to_string(), head.size(), &proof, 1)
        .unwrap();
    assert_eq!(witness.head().size, next.size());
    // The same again is harmless; going back is refused.
    let again = witness
        .cosign(&next.to_string(), next.size(), &[], 1)
        .unwrap();
    assert_eq!(first, again);
    assert!(matches!(
        witness.cosign(&head.to_string(), next.size(), &[], 1),
        Err(CosignRefusal::Shrunk { .. })
    ));
}

#[test]
fn every_changed_byte_of_every_file_is_found() {
    let mut consortium = consortium();
    consortium.log.put_object(b"a result").unwrap();
    let names = [
        "entries.jsonl",
        "checkpoint",
        "trust.policy",
        "tile/0/000.p/",
        "tile/entries/000.p/",
        "checkpoints/",
        "objects/",
    ];
    let mut checked = 0;
    for file in files(consortium.path()) {
        let relative = file
            .strip_prefix(consortium.path())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let partial_of_now = format!(".p/{}", consortium.log.size());
        let outgrown = relative.starts_with("tile/") && !relative.ends_with(&partial_of_now);
        if outgrown || !names.iter().any(|name| relative.starts_with(name)) {
            continue;
        }
        checked += 1;
        let bytes = fs::read(&file).unwrap();
        // A cosignature whose name or key identifier changed is a stranger's line, which C2SP says to ignore.
        let end = if relative.starts_with("checkpoint") {
            String::from_utf8(bytes.clone())
                .unwrap()
                .split_inclusive('\n')
                .take(5)
                .map(str::len)
                .sum()
        } else {
            bytes.len()
        };
        for at in (0..end).step_by(end.div_ceil(23)) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x04;
            fs::write(&file, damaged).unwrap();
            let report = verify_directory(consortium.path());
            assert!(!report.verified, "byte {at} of {relative}\n{report}");
        }
        fs::write(&file, bytes).unwrap();
    }
    assert!(checked > 10, "{checked}");
    assert!(verify_directory(consortium.path()).verified);
}

#[test]
fn what_is_not_there_cannot_be_verified() {
    for name in ["entries.jsonl", "checkpoint", "trust.policy", "checkpoints"] {
        let consortium = consortium();
        let path = consortium.path().join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        let report = verify_directory(consortium.path());
        assert_eq!(report.exit_code(), 2, "{name}\n{report}");
        assert!(report.obstacles[0].contains(name), "{report}");
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path))
        } else {
            all.push(path)
        }
    }
    all
}
