// SPDX-License-Identifier: Apache-2.0
//! Restored backups, other machines, damaged files: the attempt is sat out, the memory stays.

use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;
use consilium_protocol::{Fault, SiloMachine};

use crate::table::{STAGES, Stage, Table, plan_of};

/// The stages before which a silo still holds secrets.
fn secret_stages() -> impl Iterator<Item = Stage> {
    STAGES
        .into_iter()
        .filter(|stage| (Stage::KeyBook..=Stage::Challenge).contains(stage))
}

/// Demands that silo 0 answers nothing of this attempt any more, and never opens it again.
fn assert_sits_out(table: &mut Table, stage: Stage) {
    assert!(table.is_out(0), "{stage:?}");
    let question = table.question(stage, 0);
    let outcome = table.ask(0, question);
    assert!(outcome.sent.is_empty() && outcome.aborted.is_empty());
    let outcome = table.ask(0, table.question(Stage::Open, 0));
    assert!(outcome.sent.is_empty());
    assert!(matches!(
        outcome.rejected.as_slice(),
        [Fault::StaleAttempt { .. }]
    ));
}

#[test]
fn secrets_of_another_installation_are_not_used() {
    for stage in secret_stages() {
        let mut table = Table::new(4, 1);
        table.play_until(stage);
        let (journal, secrets) = table.picture(0);
        let other = hash(Label::StartNonce, &[b"another machine"]);
        table.seats[0].machine = SiloMachine::restore(&journal, secrets.as_deref(), other).unwrap();
        assert_sits_out(&mut table, stage);
    }
}

#[test]
fn a_journal_without_its_secrets_file_sits_the_attempt_out() {
    for stage in secret_stages() {
        let mut table = Table::new(4, 2);
        table.play_until(stage);
        let (journal, _) = table.picture(0);
        table.put_back(0, &(journal, None));
        assert_sits_out(&mut table, stage);
    }
}

#[test]
fn secrets_of_another_attempt_are_not_used() {
    let mut table = Table::new(4, 3);
    table.play_until(Stage::Proposal);
    let (_, old) = table.picture(0);
    table.draw_fresh_noise();
    table.next(plan_of(&table.membership, 1, 2));
    table.play_until(Stage::Proposal);
    let (journal, _) = table.picture(0);
    table.put_back(0, &(journal, old));
    assert_sits_out(&mut table, Stage::Proposal);
}

#[test]
fn a_damaged_secrets_file_sits_the_attempt_out() {
    let mut table = Table::new(4, 4);
    table.play_until(Stage::Certificate);
    let (journal, secrets) = table.picture(0);
    let secrets = secrets.unwrap();
    let lengths = (0..secrets.len()).map(|length| secrets[..length].to_vec());
    let longer = [secrets.clone(), vec![0]].concat();
    // The attempt and the installation stand in the first 52 bytes.
    let flipped = (0..52).map(|at| {
        let mut changed = secrets.clone();
        changed[at] ^= 1;
        changed
    });
    for damaged in lengths.chain([longer]).chain(flipped) {
        table.put_back(0, &(journal.clone(), Some(damaged)));
        assert!(table.is_out(0));
    }
}

#[test]
fn a_damaged_journal_is_refused_or_read_and_never_panics() {
    for stage in STAGES {
        let mut table = Table::new(4, 5);
        table.play_until(stage);
        let (journal, secrets) = table.picture(0);
        let instance = table.seats[0].instance;
        for length in 0..journal.len() {
            let cut = SiloMachine::restore(&journal[..length], secrets.as_deref(), instance);
            assert!(cut.is_err());
        }
        for at in (0..journal.len()).step_by(7) {
            let mut changed = journal.clone();
            changed[at] ^= 0x41;
            if let Ok(machine) = SiloMachine::restore(&changed, secrets.as_deref(), instance) {
                table.seats[0].machine = machine;
                let _ = table.resume(0);
            }
        }
    }
}

#[test]
fn a_silo_that_has_revealed_keeps_nothing_that_opens_a_mask() {
    for stage in [Stage::Commitment, Stage::Challenge] {
        let mut table = Table::new(4, 6);
        table.play_until(Stage::Certificate);
        let (_, before) = table.picture(0);
        let before = before.unwrap();
        assert_eq!(before[84], 1, "the seeds are there until the reveal");
        let seeds = [85..117, 117..149, 149..181].map(|seed| before[seed].to_vec());
        table.play_between(Stage::Certificate, stage, &[0, 1, 2, 3]);
        let (journal, after) = table.picture(0);
        for seed in seeds {
            let holds = |bytes: &[u8]| bytes.windows(32).any(|window| window == seed);
            assert!(!holds(&journal) && !holds(after.as_ref().unwrap()));
        }
    }
}

#[test]
fn a_silo_that_has_answered_the_challenge_needs_no_secrets_to_see_the_round_through() {
    let mut table = Table::new(4, 6);
    table.play_until(Stage::Release);
    let (journal, secrets) = table.picture(0);
    assert!(secrets.is_none(), "erased with the tag");
    table.put_back(0, &(journal, None));
    table.play_between(Stage::Release, Stage::Over, &[0, 1, 2, 3]);
}

#[test]
fn an_abort_in_any_phase_erases_the_secrets() {
    for stage in secret_stages() {
        let mut table = Table::new(4, 7);
        table.play_until(stage);
        let message = consilium_protocol::CoordinatorMessage::Abandon {
            reason: "enough".to_owned(),
        };
        let transcript = table.plan.opening_transcript();
        let abandon = table.say(table.plan.id, transcript, &message);
        let fault = table.assert_aborts(0, consilium_protocol::Delivery::bare(abandon));
        assert!(matches!(fault, Fault::Abandoned(_)));
        assert_sits_out(&mut table, stage);
    }
}
