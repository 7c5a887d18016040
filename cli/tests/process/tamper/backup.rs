// SPDX-License-Identifier: Apache-2.0
//! A hospital's folder put back from a backup: an attempt is never answered twice.

use crate::crashes::{await_rounds, charged_attempts, uploaded_attempts};
use crate::federation::{Federation, copy};
use crate::studies::{STATISTICS, assert_completes_exactly, assert_exact, private, replaced};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const VICTIM: &str = "3_UK";

#[test]
fn a_folder_from_before_a_study_sits_out_what_follows_and_answers_nothing_twice() {
    let mut federation = Federation::resting();
    // How long the others wait for a silo that is there and does not take part.
    federation.deadline("exchange_seconds", 8);
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

    // The log shows a release that the old folder has never heard of: its agent opens no round.
    put_back(&federation, "backup");
    federation.start_silo(VICTIM);
    let third = federation.submit(STATISTICS);
    let last = federation.watch(&third);
    assert_eq!(last["state"], "failed", "{last}");
    assert_only_more(&answers, &federation);
    federation.stop_silo(VICTIM);
    let show = ["audit", "show", "3_UK/log", "--kind", "round", "--json"];
    let sat_out = federation.run(&show).succeeded();
    assert!(sat_out.contains("the last release"), "{sat_out}");

    put_back(&federation, "newest");
    federation.start_silo(VICTIM);
    let fourth = federation.submit(STATISTICS);
    assert_completes_exactly(&mut federation, &fourth);
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
fn a_folder_from_the_middle_of_an_attempt_gives_no_second_answer_to_it() {
    let mut federation = Federation::resting();
    // The vector is noised and stored, and has not left.
    federation.start_with_armed_silo(VICTIM, "prepared:1");
    let id = federation.submit(&private(4, 2));
    federation.await_silos_death(VICTIM);
    copy(&federation.path(VICTIM), &federation.path("backup"));
    federation.start_silo(VICTIM);
    await_rounds(&federation, &id, 3);
    federation.kill_silo(VICTIM);
    let answers = answers(&federation);
    // All of the folder this time, the attempt's secrets too.
    put_back(&federation, "backup");
    federation.start_silo(VICTIM);
    let last = federation.watch(&id);
    assert_eq!(last["state"], "completed", "{last}\n{}", federation.logs());
    federation.stop();
    federation.verify_log();
    assert_only_more(&answers, &federation);
    // What the folder has forgotten it cannot know by name: all that it had set aside is spent.
    let charged = charged_attempts(&federation, VICTIM, &id);
    assert_eq!(charged.len(), 6, "{charged:?}");
}

#[test]
fn an_old_ledger_is_not_trusted_and_an_old_folder_cannot_spend_the_others_budgets() {
    let mut federation = Federation::resting();
    copy(&federation.path(VICTIM), &federation.path("backup"));
    federation.start();
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

    // All of the folder: it has forgotten what it spent, and the other hospitals have not.
    put_back(&federation, "backup");
    federation.start_silo(VICTIM);
    let again = federation.submit(&study);
    let last = federation.watch(&again);
    assert_eq!(last["state"], "refused", "{last}");
    assert_ne!(last["refusals"][0]["silo"], VICTIM, "{last}");
    assert!(
        last["refusals"][0]["conditions"]
            .to_string()
            .contains("budget"),
        "{last}"
    );
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
