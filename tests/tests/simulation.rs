// SPDX-License-Identifier: Apache-2.0
//! Federations that fail: the same history for the same list, the invariants under faults, and errors that are found.
//!
//! `cargo run --release -p consilium-tests --bin simulate` runs the same with ten thousand rounds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use consilium_tests::simulation::{
    Campaign, CrashPlace, Invariant, MESSAGES, Mutation, Noise, Operation, Party, Report, Settings,
    Way, from_text, generate, minimise, run, to_text,
};

fn play(text: &str) -> Report {
    let report = run(&from_text(text).unwrap(), Settings::default());
    assert_eq!(report.violation, None, "{text}");
    report
}

fn campaign(rounds: u64, mutation: Mutation) -> Campaign {
    Campaign {
        seed: 3,
        rounds,
        threads: 2,
        mutation,
    }
}

#[test]
fn hundreds_of_rounds_with_faults_keep_every_invariant() {
    let summary = campaign(150, Mutation::None).run();
    if let Some(failure) = summary.failure {
        let short = minimise(&failure.operations, Mutation::None);
        panic!("{}\n{}", failure.violation, to_text(&short));
    }
    let statistics = &summary.statistics;
    for what in [
        "under faults: released with all",
        "under faults: released without some",
        "under faults: abandoned",
        "crashes of a silo",
        "crashes of a coordinator",
        "messages lost",
        "partitions",
        "journals put back from a backup",
        "attempts sat out",
        "old journals refused",
    ] {
        assert!(statistics.all(what) > 0, "{what}\n{statistics}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_however_many_threads_there_are() {
    let first = campaign(30, Mutation::None).run();
    let alone = Campaign {
        threads: 1,
        ..campaign(30, Mutation::None)
    };
    let second = alone.run();
    assert_eq!(first.digest, second.digest);
    assert_eq!(first.statistics, second.statistics);
    let other = Campaign { seed: 4, ..alone };
    assert_ne!(first.digest, other.run().digest);
}

#[test]
fn a_list_that_was_written_down_gives_the_same_history_line_by_line() {
    let operations = generate(11, 3);
    let settings = || Settings {
        keep_lines: true,
        ..Settings::default()
    };
    let first = run(&operations, settings());
    let again = run(&from_text(&to_text(&operations)).unwrap(), settings());
    assert!(first.lines.len() > 100);
    assert_eq!(first.lines, again.lines);
    assert_eq!(first.digest, again.digest);
}

#[test]
fn every_operation_is_read_as_it_was_written() {
    let silo = Party::Silo(2);
    let mut operations = vec![
        Operation::Found {
            silos: 5,
            noise: Noise::Absent,
            seed: 7,
        },
        Operation::Found {
            silos: 4,
            noise: Noise::Present,
            seed: u64::MAX,
        },
        Operation::Run(3),
        Operation::Finish,
        Operation::Wait(80),
        Operation::Jitter {
            spread: 40,
            salt: 9,
        },
        Operation::Lose(1),
        Operation::Repeat(2),
        Operation::Delay {
            message: 3,
            milliseconds: 400,
        },
        Operation::Part(1),
        Operation::Heal(1),
        Operation::Stop(Party::Coordinator),
        Operation::Start(silo),
        Operation::Backup(0),
        Operation::Restore { silo: 0, copy: 2 },
        Operation::Forget(3),
        Operation::Gone(3),
        Operation::Back(3),
        Operation::Spoil(3),
        Operation::Cancel,
    ];
    for place in [
        CrashPlace::BeforePersist,
        CrashPlace::WriteFails,
        CrashPlace::TornSecrets,
        CrashPlace::SecretsOnly,
        CrashPlace::TornJournal,
        CrashPlace::JournalOnly,
        CrashPlace::ReachedOnly,
        CrashPlace::TornKept,
        CrashPlace::KeptOnly,
        CrashPlace::Persisted,
        CrashPlace::Recorded,
        CrashPlace::Sent(3),
    ] {
        for message in MESSAGES.into_iter().map(Some).chain([None]) {
            operations.push(Operation::Crash {
                party: silo,
                place,
                message,
            });
        }
    }
    assert_eq!(from_text(&to_text(&operations)), Ok(operations));
    for line in [
        "",
        "found",
        "found 2 exact 1",
        "found 4 loud 1",
        "crash silo-1 nowhere",
        "crash silo-1 persisted Nothing",
        "part coordinator",
        "lose -1",
        "finish 3",
    ] {
        assert!(line.parse::<Operation>().is_err(), "{line}");
    }
}

#[test]
fn each_error_of_a_driver_breaks_an_invariant_that_names_it() {
    for (mutation, rounds) in [
        (Mutation::SendBeforePersist, 300),
        (Mutation::SendBeforeRecord, 5),
        (Mutation::ForgetBurn, 600),
        (Mutation::BackUpSecrets, 600),
        (Mutation::TrustRestoredJournal, 300),
        (Mutation::ReachedFirst, 300),
        (Mutation::KeepSecrets, 5),
        (Mutation::OneUnitMore, 5),
        (Mutation::MaskAnother, 5),
        (Mutation::StaleStartProof, 60),
    ] {
        let summary = campaign(rounds, mutation).run();
        let Some(failure) = summary.failure else {
            panic!("{mutation:?} was not found in {rounds} rounds");
        };
        let invariant = failure.violation.invariant;
        let found = summary.statistics.of("attempts ended under faults");
        println!("{mutation:?} after {found}: {}", failure.violation);
        assert!(
            Invariant::broken_by(mutation).contains(&invariant),
            "{mutation:?}: {}",
            failure.violation
        );
    }
}

#[test]
fn a_failing_list_shrinks_to_a_few_lines_that_fail_alike() {
    let failure = campaign(300, Mutation::TrustRestoredJournal)
        .run()
        .failure
        .unwrap();
    let short = minimise(&failure.operations, Mutation::TrustRestoredJournal);
    let settings = Settings {
        mutation: Mutation::TrustRestoredJournal,
        ..Settings::default()
    };
    let violation = run(&short, settings).violation.unwrap();
    assert_eq!(violation.invariant, failure.violation.invariant);
    assert!(short.len() <= 8, "{}", to_text(&short));
}

#[test]
fn what_once_failed_stays_repaired() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let text = std::fs::read_to_string(&path).unwrap();
            let report = run(&from_text(&text).unwrap(), Settings::default());
            assert_eq!(report.violation, None, "{}", path.display());
            played += 1;
        }
    }
    assert!(played > 0);
}

#[test]
fn a_silo_that_dies_before_its_upload_leaves_a_round_of_the_other_three() {
    for message in [
        "AdvertiseKeys",
        "ShareKeys",
        "DealReceipt",
        "Ready",
        "MaskedInput",
    ] {
        for place in ["before-persist", "torn-journal", "persisted", "sent-0"] {
            let list = format!("found 4 noised 5\ncrash silo-2 {place} {message}\nfinish");
            let statistics = play(&list).statistics;
            let released = statistics.of("under faults: released without some");
            assert_eq!(released, 1, "{place} {message}\n{statistics}");
            assert_eq!(statistics.of("sums verified by a silo: by replay"), 0);
        }
    }
}

#[test]
fn a_silo_that_dies_between_its_upload_and_its_tag_leaves_a_round_of_all_four_that_stands_by_replay()
 {
    for message in ["Vote", "Reveal", "Nonce", "Tag"] {
        for place in ["before-persist", "torn-journal", "persisted", "sent-0"] {
            let list = format!("found 4 noised 5\ncrash silo-2 {place} {message}\nfinish");
            let statistics = play(&list).statistics;
            let released = statistics.of("under faults: released with all");
            assert_eq!(released, 1, "{place} {message}\n{statistics}");
            let replayed = statistics.of("sums verified by a silo: by replay");
            assert!(replayed >= 3, "{place} {message}\n{statistics}");
        }
    }
}

#[test]
fn a_silo_that_comes_back_is_waited_for_where_the_others_are_no_quorum() {
    for message in ["Vote", "Reveal", "Nonce", "Tag"] {
        for place in [
            "before-persist",
            "torn-secrets",
            "torn-journal",
            "persisted",
            "sent-0",
        ] {
            // Silo 3 is parted, so that the others' quorum needs silo 2.
            let list = format!(
                "found 4 noised 5\npart silo-3\nrun 20\ncrash silo-2 {place} {message}\nwait 400\nstart silo-2\nfinish"
            );
            let statistics = play(&list).statistics;
            let released = statistics.of("under faults: released without some");
            assert_eq!(released, 1, "{place} {message}\n{statistics}");
        }
    }
}

#[test]
fn the_coordinator_dies_before_any_of_its_messages_and_takes_the_attempt_up_again() {
    for message in MESSAGES {
        for place in [
            "before-persist",
            "torn-journal",
            "persisted",
            "recorded",
            "sent-1",
        ] {
            let report = play(&format!(
                "found 4 noised 6\ncrash coordinator {place} {message}\nfinish\nstart coordinator\nfinish"
            ));
            let statistics = report.statistics;
            assert_eq!(
                statistics.all("under faults: abandoned"),
                0,
                "{place} {message}\n{statistics}"
            );
        }
    }
}

#[test]
fn a_silo_whose_secrets_are_lost_sits_the_attempt_out() {
    let list = "found 4 noised 8\nrun 43\nforget silo-1\nstart silo-1\nfinish";
    let statistics = play(list).statistics;
    assert!(statistics.of("attempts sat out") > 0, "{statistics}");
    let released = statistics.of("under faults: released without some");
    assert_eq!(released, 1, "{statistics}");
}

#[test]
fn a_silo_whose_first_secrets_were_torn_has_told_nobody_and_begins_again() {
    let list =
        "found 4 noised 8\ncrash silo-1 torn-secrets AdvertiseKeys\nrun 10\nstart silo-1\nfinish";
    let statistics = play(list).statistics;
    assert_eq!(statistics.of("crashes of a silo: torn-secrets"), 1);
    assert_eq!(statistics.of("attempts sat out"), 0, "{statistics}");
    let released = statistics.of("under faults: released with all");
    assert_eq!(released, 1, "{statistics}");
}

#[test]
fn a_journal_that_was_put_back_is_not_started_with_and_the_newest_goes_on_with_the_attempt() {
    let list = "found 4 noised 8\nrun 3\nbackup silo-1\nrun 40\nrestore silo-1 0\nstart silo-1";
    let refused = play(&format!("{list}\nfinish")).statistics;
    assert_eq!(refused.of("old journals refused"), 1);
    assert_eq!(refused.of("under faults: released without some"), 1);
    let goes_on = play(&format!("{list}\nstart silo-1\nfinish")).statistics;
    assert_eq!(goes_on.of("under faults: released with all"), 1);
    assert_eq!(goes_on.of("attempts sat out"), 0);
}

#[test]
fn the_next_round_waits_until_a_lost_word_on_the_last_sum_was_said_again() {
    for place in ["before-persist", "persisted"] {
        let list = format!(
            "found 4 noised 6\ncrash coordinator {place} Accepted\nfinish\nwait 200\nstart coordinator\nfinish"
        );
        let statistics = play(&list).statistics;
        assert_eq!(statistics.all("crashes of a coordinator"), 1, "{place}");
        assert_eq!(statistics.all("under faults: abandoned"), 0, "{place}");
        assert!(statistics.of("attempts ended") >= 2, "{place}");
    }
    for place in [
        "before-persist",
        "persisted",
        "reached-only",
        "sent-0",
        "sent-1",
    ] {
        let list = format!(
            "found 4 noised 6\ncrash silo-1 {place} Accepted\nfinish\nwait 60\nstart silo-1\nfinish"
        );
        let statistics = play(&list).statistics;
        assert_eq!(statistics.all("crashes of a silo"), 1, "{place}");
        assert_eq!(statistics.all("under faults: abandoned"), 0, "{place}");
    }
}

#[test]
fn the_coordinator_dies_around_what_it_keeps_and_counts_nothing_that_it_lacks() {
    for message in ["ShareKeys", "Reveal"] {
        for place in ["torn-kept", "kept-only", "before-persist", "persisted"] {
            let list = format!(
                "found 4 noised 6\ncrash coordinator {place} {message}\nfinish\nstart coordinator\nfinish"
            );
            let statistics = play(&list).statistics;
            let died = format!("crashes of a coordinator: {place}");
            assert_eq!(statistics.of(&died), 1, "{message}");
            assert_eq!(
                statistics.all("under faults: abandoned"),
                0,
                "{place} {message}"
            );
        }
    }
}

#[test]
fn a_signal_that_a_silo_is_gone_costs_its_input_and_nothing_else() {
    let report = play("found 4 noised 9\nrun 8\ngone silo-3\nfinish\nback silo-3\nfinish");
    assert_eq!(
        report.statistics.of("under faults: released without some"),
        1
    );
    assert_eq!(report.statistics.of("attempts aborted by a silo"), 0);
}

#[test]
fn without_noise_a_lost_silo_ends_the_attempt_and_the_next_one_gives_the_one_sum() {
    let report =
        play("found 4 exact 10\ncrash silo-0 sent-0 MaskedInput\nfinish\nstart silo-0\nfinish");
    assert_eq!(
        report
            .statistics
            .of("under faults: abandoned while uploading"),
        1
    );
    assert!(report.statistics.of("attempts ended") >= 2);
}

#[test]
fn somebody_on_the_way_who_alters_what_silos_send_is_noticed_and_accused_of_nothing() {
    let mut spoilt = 0;
    let mut spoil =
        |way: Way, _: &consilium_protocol::SiloName, mut delivery: consilium_protocol::Delivery| {
            if way == Way::Up && delivery.envelope.peek_name() == Some("Vote") && spoilt < 1 {
                spoilt += 1;
                if let Some(byte) = delivery.envelope.body.last_mut() {
                    *byte ^= 1;
                }
            }
            vec![delivery]
        };
    let settings = Settings {
        tampering: Some(&mut spoil),
        ..Settings::default()
    };
    let report = run(&from_text("found 4 noised 12\nfinish").unwrap(), settings);
    assert_eq!(report.violation, None);
    assert_eq!(
        report.statistics.of("messages rejected by the coordinator"),
        1
    );
    assert_eq!(spoilt, 1);
}
