// SPDX-License-Identifier: Apache-2.0
//! A log that is read while it is written: in pieces, at every byte, by a real writer beside the reader.

use std::cell::Cell;
use std::path::PathBuf;

use consilium_crypto::{secret::Secret, signing::SigningKey};
use tempfile::TempDir;

use super::*;
use crate::{Actor, Event, EventKind, Log, NoteSigner, Timestamp, WitnessSet};

fn signer() -> NoteSigner {
    NoteSigner::new("log", SigningKey::from_seed(&Secret::new([1; 32]))).unwrap()
}

fn trust() -> TrustPolicy {
    TrustPolicy::new(signer().verifier(), WitnessSet::none())
}

fn event(microseconds: i64) -> Event {
    let time = Timestamp::from_unix_microseconds(microseconds).unwrap();
    Event::new(EventKind::SystemStarted, time, Actor::silo("3_UK"))
}

/// A log of two entries and the files as they were when the head counted one.
struct Written {
    folder: TempDir,
    old_head: String,
    head: String,
    entries: Vec<u8>,
    /// Where the second line begins.
    second: usize,
}

fn written() -> Written {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::create(folder.path(), signer(), WitnessSet::none()).unwrap();
    log.append(&event(0)).unwrap();
    let old_head = log.checkpoint().unwrap().to_string();
    let second = fs::read(folder.path().join(ENTRIES)).unwrap().len();
    log.append(&event(1)).unwrap();
    let head = log.checkpoint().unwrap().to_string();
    let entries = fs::read(folder.path().join(ENTRIES)).unwrap();
    Written {
        folder,
        old_head,
        head,
        entries,
        second,
    }
}

impl Written {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn note(&self) -> PathBuf {
        self.path(CHECKPOINTS).join("2.note")
    }

    /// The folder while the second checkpoint is written: `length` bytes of the entries, and the old head.
    fn writing(&self, length: usize) {
        fs::write(self.path(ENTRIES), &self.entries[..length]).unwrap();
        fs::write(self.path(CHECKPOINT), &self.old_head).unwrap();
        let _ = fs::remove_file(self.note());
    }

    fn finish(&self) {
        fs::write(self.path(ENTRIES), &self.entries).unwrap();
        fs::write(self.note(), &self.head).unwrap();
        fs::write(self.path(CHECKPOINT), &self.head).unwrap();
    }

    fn read(&self, pause: impl FnMut()) -> (Content, Vec<Finding>) {
        let mut findings = Vec::new();
        let content = Content::read_settled(
            self.folder.path(),
            &trust(),
            Patience::InUse,
            &mut findings,
            pause,
        );
        (content.unwrap(), findings)
    }
}

#[test]
fn a_log_that_is_written_in_pieces_is_read_as_if_it_had_been_written_at_once() {
    let log = written();
    for length in log.second..=log.entries.len() {
        log.writing(length);
        let pauses = Cell::new(0);
        let (content, findings) = log.read(|| {
            // One more piece each time, and the head at the end.
            pauses.set(pauses.get() + 1);
            match pauses.get() {
                1 => fs::write(log.path(ENTRIES), &log.entries).unwrap(),
                2 => fs::write(log.note(), &log.head).unwrap(),
                _ => log.finish(),
            }
        });
        assert_eq!(findings, [], "{length}");
        let expected = if length == log.second { 1 } else { 2 };
        assert_eq!(content.head.size(), expected, "{length}");
    }
}

#[test]
fn half_a_line_behind_the_head_is_what_a_crash_leaves_and_a_whole_one_is_under_no_checkpoint() {
    let log = written();
    for length in log.second..=log.entries.len() {
        log.writing(length);
        let (content, findings) = log.read(|| {});
        assert_eq!(content.head.size(), 1);
        assert_eq!(content.tree.size(), 1);
        let rules: Vec<Rule> = findings.iter().map(|finding| finding.rule).collect();
        if length == log.entries.len() {
            assert_eq!(rules, [Rule::Tree], "{length}");
        } else {
            assert_eq!(rules, [], "{length}");
            let behind = (length - log.second) as u64;
            assert_eq!(content.behind.unfinished_bytes, behind);
        }
    }
}

#[test]
fn a_tail_that_is_cut_at_any_byte_is_missed_by_the_head_that_counts_it() {
    let log = written();
    for length in 0..log.entries.len() {
        fs::write(log.path(ENTRIES), &log.entries[..length]).unwrap();
        let (_, findings) = log.read(|| {});
        assert!(
            findings.iter().any(|finding| finding.rule == Rule::Tree),
            "{length}: {findings:?}"
        );
    }
    // With the head taken back too, the note of the newer one says so; without that a witness's memory.
    for length in log.second..log.entries.len() {
        log.writing(length);
        fs::write(log.note(), &log.head).unwrap();
        let (_, findings) = log.read(|| {});
        let rules: Vec<Rule> = findings.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, [Rule::AppendOnly], "{length}");

        log.writing(length);
        let (content, mut findings) = log.read(|| {});
        let head = CheckpointNote::open(&log.head, &trust().log).unwrap();
        let known = WitnessHead {
            size: head.size(),
            root: head.root(),
            note: String::new(),
        };
        content.check_known_head(&known, &mut findings);
        let rules: Vec<Rule> = findings.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, [Rule::AppendOnly], "{length}");
    }
}

#[test]
fn a_head_that_never_comes_is_waited_for_and_then_missed() {
    let log = written();
    log.writing(log.entries.len());
    let mut pauses = 0;
    let (_, findings) = log.read(|| pauses += 1);
    assert_eq!(pauses, Patience::InUse.reads() - 1);
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[test]
fn a_partial_tile_may_be_gone_once_the_full_one_begins_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let tile = Tile {
        path: "tile/0/000.p/3".to_owned(),
        bytes: vec![1, 2, 3],
        fullness: tile::Fullness::Partial,
    };
    std::fs::create_dir_all(folder.path().join("tile/0")).unwrap();
    assert!(holds(folder.path(), &tile).is_err());
    let full = |bytes: &[u8]| std::fs::write(folder.path().join("tile/0/000"), bytes).unwrap();
    full(&[1, 2, 3, 4]);
    assert!(holds(folder.path(), &tile).unwrap());
    for other in [&[1, 2][..], &[1, 2, 4, 4], &[]] {
        full(other);
        assert!(!holds(folder.path(), &tile).unwrap());
    }
}

#[test]
fn a_real_writer_beside_the_reader_gives_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::create(folder.path(), signer(), WitnessSet::none()).unwrap();
    log.append(&event(0)).unwrap();
    log.checkpoint().unwrap();
    let path = folder.path();
    thread::scope(|scope| {
        // Past the first full tiles, whose partial ones are then removed.
        let writer = scope.spawn(move || {
            for round in 0..60 {
                let events: Vec<Event> = (0..5).map(|at| event(1 + round * 5 + at)).collect();
                log.append_batch(&events).unwrap();
                log.checkpoint().unwrap();
            }
        });
        let mut last = 0;
        while !writer.is_finished() || last < 301 {
            let mut findings = Vec::new();
            let content = Content::read(path, &trust(), Patience::InUse, &mut findings).unwrap();
            assert_eq!(findings, [], "a log of {} entries", content.head.size());
            assert!(content.head.size() >= last);
            last = content.head.size();
        }
    });
}
