// SPDX-License-Identifier: Apache-2.0
//! A hospital's folder put back from a backup: an attempt is never answered twice.

use crate::crashes::{await_rounds, uploaded_attempts};
use crate::federation::{Federation, copy};
use crate::studies::{STATISTICS, assert_completes_exactly, assert_exact, private, replaced};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const VICTIM: &str = "3_UK";

#[test]
fn a_whole_folder_from_before_a_study_is_stopped_by_its_own_cosignature() {
    let mut federation = Federation::resting();
    federation.start();
    let first = federation.submit(STATISTICS);
    assert_exact(&federation.complete(&first));
    federation.stop_silo(VICTIM);
    copy(&federation.path(VICTIM), &federation.path("backup"));
    federation.start_silo(VICTIM);
    let second = federation.submit(STATISTICS);
    assert_exact(&federation.complete(&second));
    federation.stop_silo(VICTIM);
    copy(&federation.path(VICTIM), &federation.path("newest"));
    let answers = answers(&federation);

    // Nothing in the folder shows that it is old; what it has signed since does.
    put_back(&federation, "backup");
    let told = federation.run(&["silo", "run", "--dir", VICTIM]);
    told.failed(2, &["3_UK", "old copy", "docs/operating.md"]);
    // The next start needs nobody to tell it.
    federation.stop();
    let remembered = federation.run(&["silo", "run", "--dir", VICTIM]);
    remembered.failed(2, &["3_UK", "old copy", "docs/operating.md"]);

    put_back(&federation, "newest");
    federation.start();
    let third = federation.submit(STATISTICS);
    assert_completes_exactly(&mut federation, &third);
    assert_only_more(&answers, &federation);
}

#[test]
fn a_backup_without_the_secrets_of_a_running_attempt_does_not_start_until_all_of_it_is_new() {
    let mut federation = Federation::resting();
    federation.deadline("drop_seconds", 1);
    federation.start_with_armed_silo(VICTIM, "prepared:2");
    let id = federation.submit(&private(4, 2));
    federation.await_silos_death(VICTIM);
    // Backups leave `attempts/` out.
    fs::remove_dir_all(federation.path("3_UK/attempts")).unwrap();
    let run = federation.run(&["silo", "run", "--dir", VICTIM]);
    run.failed(2, &["3_UK/ledger.jsonl", "backup", "docs/operating.md"]);
    let last = federation.watch(&id);
    assert_eq!(last["state"], "completed", "{last}\n{}", federation.logs());
    assert_eq!(last["dropouts"][0]["silo"], VICTIM, "{last}");
    assert_eq!(last["dropouts"][0]["round"], 2, "{last}");

    // As docs/operating.md says: journal, ledger and attempts begin anew.
    for file in fs::read_dir(federation.path(VICTIM)).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("journal.sqlite") || name == "ledger.jsonl" {
            fs::remove_file(file.path()).unwrap();
        }
    }
    fs::remove_dir_all(federation.path("3_UK/attempts")).unwrap_or_default();
    federation.start_silo(VICTIM);
    let next = federation.submit(STATISTICS);
    assert_completes_exactly(&mut federation, &next);
}

#[test]
fn journal_and_ledger_of_a_backup_beside_newer_attempts_do_not_start() {
    let mut federation = Federation::resting();
    copy(&federation.path(VICTIM), &federation.path("backup"));
    federation.start();
    let id = federation.submit(&private(4, 2));
    let last = federation.watch(&id);
    assert_eq!(last["state"], "completed", "{last}\n{}", federation.logs());
    federation.stop_silo(VICTIM);
    copy(&federation.path(VICTIM), &federation.path("newest"));
    // What a restore does where backups leave `attempts/` out, as they should.
    copy(
        &federation.path("3_UK/attempts"),
        &federation.path("attempts"),
    );
    put_back(&federation, "backup");
    fs::remove_dir_all(federation.path("3_UK/attempts")).unwrap_or_default();
    copy(
        &federation.path("attempts"),
        &federation.path("3_UK/attempts"),
    );
    let run = federation.run(&["silo", "run", "--dir", VICTIM]);
    run.failed(2, &["journal", "old copy", "docs/operating.md"]);

    put_back(&federation, "newest");
    federation.start_silo(VICTIM);
    let next = federation.submit(STATISTICS);
    assert_completes_exactly(&mut federation, &next);
}

#[test]
fn a_folder_from_the_middle_of_an_attempt_is_stopped_before_it_answers_again() {
    let mut federation = Federation::resting();
    // The vector is noised and stored, and has not left.
    federation.start_with_armed_silo(VICTIM, "prepared:1");
    let id = federation.submit(&private(4, 2));
    federation.await_silos_death(VICTIM);
    copy(&federation.path(VICTIM), &federation.path("backup"));
    federation.start_silo(VICTIM);
    await_rounds(&federation, &id, 3);
    federation.kill_silo(VICTIM);
    copy(&federation.path(VICTIM), &federation.path("newest"));
    let answers = answers(&federation);
    // All of the folder this time, the attempt's secrets too.
    put_back(&federation, "backup");
    let told = federation.run(&["silo", "run", "--dir", VICTIM]);
    told.failed(2, &["old copy"]);
    put_back(&federation, "newest");
    federation.start_silo(VICTIM);
    let last = federation.watch(&id);
    assert_eq!(last["state"], "completed", "{last}\n{}", federation.logs());
    federation.stop();
    federation.verify_log();
    assert_only_more(&answers, &federation);
}

#[test]
fn a_budget_spent_is_not_back_with_an_old_ledger_or_an_old_folder() {
    let mut federation = Federation::resting();
    federation.start();
    let before = federation.submit(STATISTICS);
    assert_exact(&federation.complete(&before));
    federation.stop_silo(VICTIM);
    copy(&federation.path(VICTIM), &federation.path("backup"));
    federation.start_silo(VICTIM);
    let study = private(20, 2);
    let id = federation.submit(&study);
    assert_eq!(
        federation.watch(&id)["state"],
        "completed",
        "{}",
        federation.logs()
    );
    federation.stop_silo(VICTIM);

    // The ledger alone, at its beginning: the journal knows how far it went.
    let ledger = federation.path("3_UK/ledger.jsonl");
    let whole = fs::read_to_string(&ledger).unwrap();
    let first = whole.lines().next().unwrap();
    fs::write(&ledger, format!("{first}\n")).unwrap();
    let refused = federation.run(&["silo", "run", "--dir", VICTIM]);
    refused.failed(2, &["3_UK/ledger.jsonl", "not to be trusted"]);
    fs::write(
        &ledger,
        replaced(&whole, "\"attempts\":22", "\"attempts\":21"),
    )
    .unwrap();
    let refused = federation.run(&["silo", "run", "--dir", VICTIM]);
    refused.failed(2, &["3_UK/ledger.jsonl", "not to be trusted"]);

    // All of the folder: it has forgotten what it spent, and not how it signs.
    put_back(&federation, "backup");
    let told = federation.run(&["silo", "run", "--dir", VICTIM]);
    told.failed(2, &["old copy", "docs/operating.md"]);
}

fn put_back(federation: &Federation, backup: &str) {
    fs::remove_dir_all(federation.path(VICTIM)).unwrap();
    copy(&federation.path(backup), &federation.path(VICTIM));
}

/// What the coordinator holds of the victim: its masked vector of each attempt.
fn answers(federation: &Federation) -> BTreeMap<String, Vec<u8>> {
    uploaded_attempts(federation, VICTIM)
        .into_iter()
        .map(|attempt| {
            let file = Path::new("coordinator/blobs/uploads")
                .join(&attempt)
                .join(VICTIM);
            (attempt, fs::read(federation.at().join(file)).unwrap())
        })
        .collect()
}

/// Asserts that the answers of before are as they were; there may be later ones.
#[track_caller]
fn assert_only_more(before: &BTreeMap<String, Vec<u8>>, federation: &Federation) {
    let now = answers(federation);
    assert!(!before.is_empty());
    for (attempt, answer) in before {
        assert_eq!(
            now.get(attempt),
            Some(answer),
            "the answer to attempt {attempt}"
        );
    }
}
