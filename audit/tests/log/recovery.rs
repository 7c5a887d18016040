// SPDX-License-Identifier: Apache-2.0
//! Power cuts: what was acknowledged comes back, what was not is cut off, and anything else stops the log.

use std::fs;

use consilium_audit::{EventKind, Log, LogFault, NoteSigner, verify::verify_directory};

use crate::support::{Consortium, ORIGIN, copy, key, signer};

#[test]
fn what_was_acknowledged_comes_back_without_a_checkpoint() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.cosign();
    let opened = consortium.step(EventKind::RoundOpened, "s", 0, 0);
    let place = consortium.append(&opened);
    let consortium = consortium.reopened();
    assert_eq!(
        (
            consortium.log.recovery().replayed,
            consortium.log.recovery().torn_bytes
        ),
        (1, 0)
    );
    assert_eq!(consortium.log.entry(place).unwrap().event, opened);
    assert_eq!(consortium.log.place_of(&opened).unwrap(), Some(place));
}

#[test]
fn the_same_event_again_is_the_same_entry_also_after_a_restart() {
    let mut consortium = Consortium::new();
    let event = consortium.event(EventKind::SystemStarted);
    let other = consortium.event(EventKind::SystemStopped);
    let places = consortium
        .log
        .append_batch(&[event.clone(), other.clone(), event.clone()])
        .unwrap();
    assert_eq!(places, [0, 1, 0]);
    let mut consortium = consortium.reopened();
    assert_eq!(consortium.append(&event), 0);
    consortium.cosign();
    let mut consortium = consortium.reopened();
    assert_eq!(
        consortium.log.append_batch(&[other, event]).unwrap(),
        [1, 0]
    );
    assert_eq!(consortium.log.size(), 2);
}

#[test]
fn a_write_cut_off_at_any_byte_loses_only_what_was_not_acknowledged() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.cosign();
    let acknowledged = consortium.event(EventKind::SystemStarted);
    consortium.append(&acknowledged);
    let whole = fs::metadata(consortium.path().join("wal")).unwrap().len();
    let cut = consortium.event(EventKind::SystemStopped);
    consortium.append(&cut);
    let end = fs::metadata(consortium.path().join("wal")).unwrap().len();
    for length in (whole..end).step_by(7) {
        let folder = copy(consortium.path());
        fs::OpenOptions::new()
            .write(true)
            .open(folder.path().join("wal"))
            .unwrap()
            .set_len(length)
            .unwrap();
        let mut log = Log::open(folder.path(), signer()).unwrap();
        assert_eq!((log.size(), log.recovery().torn_bytes), (6, length - whole));
        // The place is free again, and the log goes on.
        assert_eq!(log.append(&cut).unwrap(), 6);
        log.checkpoint().unwrap();
        drop(log);
        assert_eq!(Log::open(folder.path(), signer()).unwrap().size(), 7);
    }
}

#[test]
fn a_power_cut_at_any_step_of_a_checkpoint_is_repaired() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.cosign();
    consortium.steps(
        &[EventKind::RoundOpened, EventKind::RoundKeyBook],
        "s",
        0,
        0,
    );
    let before = copy(consortium.path());
    let head = consortium.log.checkpoint().unwrap();
    let after = consortium.path();

    // In the order of writing: entries (whole or torn), tiles, the note, the checkpoint, the emptied write-ahead log.
    let entries = fs::read(after.join("entries.jsonl")).unwrap();
    for done in 0..5 {
        let folder = copy(before.path());
        let written = if done == 0 {
            entries.len() - 30
        } else {
            entries.len()
        };
        fs::write(folder.path().join("entries.jsonl"), &entries[..written]).unwrap();
        if done >= 2 {
            for tile in ["tile/0/000.p/7", "tile/entries/000.p/7"] {
                fs::copy(after.join(tile), folder.path().join(tile)).unwrap();
            }
        }
        if done >= 3 {
            fs::copy(
                after.join("checkpoints/7.note"),
                folder.path().join("checkpoints/7.note"),
            )
            .unwrap();
        }
        if done >= 4 {
            fs::copy(after.join("checkpoint"), folder.path().join("checkpoint")).unwrap();
        }
        let mut log = Log::open(folder.path(), signer()).unwrap();
        let again = log.checkpoint().unwrap();
        assert_eq!(
            (again.size(), again.root()),
            (head.size(), head.root()),
            "step {done}"
        );
        drop(log);
        let report = verify_directory(folder.path());
        assert!(report.findings.is_empty(), "step {done}\n{report}");
    }
}

#[test]
fn tiles_that_a_power_cut_took_are_made_again() {
    let mut consortium = Consortium::new();
    let events: Vec<_> = (0..600)
        .map(|_| consortium.event(EventKind::SystemStarted))
        .collect();
    consortium.log.append_batch(&events).unwrap();
    consortium.cosign();
    fs::remove_dir_all(consortium.path().join("tile/0")).unwrap();
    fs::write(consortium.path().join("tile/entries/002.p/88"), b"torn").unwrap();
    assert!(!verify_directory(consortium.path()).verified);
    let consortium = consortium.reopened();
    assert!(verify_directory(consortium.path()).verified);
    let proof = consortium.log.proof(300).unwrap();
    assert!(
        proof
            .verify(
                &signer().verifier(),
                &consortium.log.trust().witnesses,
                Some("3_UK")
            )
            .is_ok()
    );
}

#[test]
fn the_log_refuses_to_start_when_signed_or_acknowledged_entries_are_gone() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.cosign();
    consortium.steps(&[EventKind::RoundOpened], "s", 0, 0);
    let before = copy(consortium.path());
    consortium.cosign();

    let damaged = |change: &dyn Fn(&std::path::Path)| {
        let folder = copy(consortium.path());
        change(folder.path());
        let fault = Log::open(folder.path(), signer())
            .err()
            .expect("the log must not start");
        assert!(
            matches!(fault, LogFault::Damaged { .. } | LogFault::Entry(_)),
            "{fault}"
        );
    };
    let entries = fs::read(consortium.path().join("entries.jsonl")).unwrap();
    // Entries under the signed head cut off, or changed.
    damaged(&|path| fs::write(path.join("entries.jsonl"), &entries[..entries.len() - 1]).unwrap());
    damaged(&|path| fs::write(path.join("entries.jsonl"), b"").unwrap());
    damaged(&|path| {
        let text = String::from_utf8(entries.clone())
            .unwrap()
            .replacen("1_UM", "9_XX", 1);
        fs::write(path.join("entries.jsonl"), text).unwrap();
    });
    // The head put back, while a note says that more was signed.
    damaged(&|path| {
        fs::copy(before.path().join("checkpoint"), path.join("checkpoint")).unwrap();
        fs::copy(
            before.path().join("entries.jsonl"),
            path.join("entries.jsonl"),
        )
        .unwrap();
    });
    // Entries behind the head that the write-ahead log does not have.
    damaged(&|path| {
        fs::copy(before.path().join("checkpoint"), path.join("checkpoint")).unwrap();
        fs::remove_file(path.join("checkpoints/5.note")).unwrap();
    });
}

#[test]
fn a_log_is_created_once_and_opened_by_its_own_key_and_one_process() {
    let consortium = Consortium::new();
    let path = consortium.path();
    let create = || {
        Log::create(path, signer(), consortium.log.trust().witnesses.clone())
            .err()
            .unwrap()
    };
    assert!(matches!(create(), LogFault::AlreadyThere { .. }));
    let other = NoteSigner::new(ORIGIN, key(2)).unwrap();
    assert!(matches!(
        Log::open(path, other).err().unwrap(),
        LogFault::OtherKey { .. }
    ));
    assert!(matches!(
        Log::open(path, signer()).err().unwrap(),
        LogFault::InUse { .. }
    ));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        Log::open(empty.path(), signer()).err().unwrap(),
        LogFault::NoLog { .. }
    ));
}

#[test]
fn a_log_that_cannot_write_accepts_nothing_more() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    // The folder of the notes becomes a file, as good as a full disk.
    fs::remove_dir_all(consortium.path().join("checkpoints")).unwrap();
    fs::write(consortium.path().join("checkpoints"), b"").unwrap();
    assert!(matches!(
        consortium.log.checkpoint(),
        Err(LogFault::Io { .. })
    ));
    let event = consortium.event(EventKind::SystemStopped);
    assert!(matches!(
        consortium.log.append(&event),
        Err(LogFault::Failed)
    ));
    assert!(matches!(consortium.log.checkpoint(), Err(LogFault::Failed)));
}

#[test]
fn a_log_goes_on_across_many_restarts_and_stays_verifiable() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    for round in 0..6 {
        consortium.round("s", round);
        consortium = consortium.reopened();
    }
    let report = verify_directory(consortium.path());
    assert!(report.verified, "{report}");
    assert_eq!(
        consortium.log.quorate_head().unwrap().size(),
        consortium.log.size()
    );
}
