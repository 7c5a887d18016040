// SPDX-License-Identifier: Apache-2.0
//! What a silo must remember: the numbers of attempts, the masks that are spent, the sums that are out, its start.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;
use consilium_protocol::insecure_for_test::{Defence, without};
use consilium_protocol::{
    AttemptId, Delivery, Envelope, Fault, RoundPlan, SiloEvent, SiloMachine, SiloMessage,
    chunk_digest, upload_root,
};

use crate::robber::{Loot, answer, difference, fault, unpacked};
use crate::table::{Stage, Table};

const EVERYBODY: [usize; 5] = [0, 1, 2, 3, 4];

/// Opens the sum of a cohort by the rules.
fn sum_of(table: &mut Table, cohort: &[usize]) -> Vec<u64> {
    table.script.receipts.truncate(cohort.len());
    table.script.ready.truncate(cohort.len());
    let mut loot = Loot::after_uploads_of(table, cohort, &[]);
    let uploads = table.script.uploads.clone();
    let votes: Vec<Envelope> = cohort
        .iter()
        .map(|seat| answer(table.ask(*seat, table.propose(&uploads))).envelope)
        .collect();
    for seat in cohort {
        let reveal = answer(table.ask(*seat, table.certify(&votes)));
        loot.take(&reveal.envelope);
    }
    loot.sum(table, cohort, cohort).unwrap()
}

/// A sum of everybody, then an attempt at the same model and task without silo 4; where that stands before the freeze.
fn asked_again(seed: u64) -> (Table, Vec<u64>) {
    let mut table = Table::new(5, seed);
    table.play_until(Stage::Freeze);
    let first = sum_of(&mut table, &EVERYBODY);
    let id = AttemptId {
        attempt: 2,
        ..table.plan.id
    };
    table.next(RoundPlan {
        id,
        ..table.plan.clone()
    });
    table.play_until(Stage::Freeze);
    (table, first)
}

#[test]
fn without_the_memory_of_what_left_two_sums_give_the_difference_away() {
    let (mut table, _) = asked_again(1);
    for seat in EVERYBODY {
        let outcome = table.ask(seat, table.question(Stage::Freeze, seat));
        assert_eq!(fault(&outcome), Fault::AlreadyReleased);
        assert!(outcome.masked.is_empty());
    }
    let (mut table, first) = asked_again(1);
    let second = without(&[Defence::ReleasedPairs], || {
        sum_of(&mut table, &[0, 1, 2, 3])
    });
    let stolen = difference(&table, &first, &second);
    assert_eq!(stolen, table.seats[4].vector);
}

/// The root of a vector masked once more with the masks of the upload that left, and that vector.
fn masked_again(table: &mut Table) -> (Vec<u64>, Digest, Vec<u64>) {
    let before = table.picture(0);
    let freeze = table.question(Stage::Freeze, 0);
    table.draw_fresh_noise();
    table.seats[0].vector[7] += 500;
    let again = table.ask(0, freeze.clone()).masked.remove(0);
    table.seats[0].vector[7] -= 500;
    table.seats[0].vector[0] -= 1;
    table.put_back(0, &before);
    let first = table.ask(0, freeze).masked.remove(0);
    let digests: Vec<Digest> = again.iter().map(|chunk| chunk_digest(chunk)).collect();
    (
        unpacked(table, &first),
        upload_root(&digests),
        unpacked(table, &again),
    )
}

#[test]
fn without_the_burn_two_vectors_leave_under_one_mask() {
    let second_upload = |table: &mut Table| {
        let (first, root, again) = masked_again(table);
        let (id, length) = (table.plan.id, table.plan.packed_length());
        let outcome = table.tell(0, SiloEvent::Masked { id, root, length });
        (first, again, outcome.sent)
    };
    let mut table = Table::new(4, 2);
    table.play_until(Stage::Freeze);
    let (.., sent) = second_upload(&mut table);
    assert!(sent.is_empty());

    let mut table = Table::new(4, 2);
    table.play_until(Stage::Freeze);
    let (first, again, sent) = without(&[Defence::Burn], || second_upload(&mut table));
    assert!(matches!(
        sent[0].envelope.peek_silo_message(),
        Some(SiloMessage::MaskedInput { .. })
    ));
    // The masks fall out: what is new about the second vector stands there in plain words.
    let news = difference(&table, &again, &first);
    assert_eq!((news[0], news[7]), (1, 500));
    assert!(news[8..].iter().all(|word| *word == 0));
}

/// The two answers to one Open, when the second one is made by a silo without the memory of the first.
fn two_advertisements(table: &mut Table) -> (Envelope, Result<Envelope, Fault>) {
    let open = table.open(&table.plan);
    let first = answer(table.ask(0, open.clone())).envelope;
    // A backup from before the study, and a new start.
    table.seats[0].machine = SiloMachine::new(table.seats[0].instance);
    table.start_nonce = hash(Label::StartNonce, &[b"the next start"]);
    let outcome = table.ask(0, open);
    let second = if outcome.aborted.is_empty() {
        Ok(answer(outcome).envelope)
    } else {
        Err(fault(&outcome))
    };
    (first, second)
}

#[test]
fn without_the_logged_start_a_recorded_open_gets_other_keys_out_of_a_restored_silo() {
    let mut table = Table::new(4, 3);
    let (_, second) = two_advertisements(&mut table);
    assert_eq!(second, Err(Fault::StartNotLogged));
    let mut table = Table::new(4, 3);
    let (first, second) = without(&[Defence::StartLogged], || two_advertisements(&mut table));
    assert_ne!(first, second.unwrap(), "two answers to one question");
}

/// What a silo answers to the Open of an attempt that it has seen through.
fn opened_after_the_end(table: &mut Table) -> Vec<Delivery> {
    let open = table.open(&table.plan);
    let outcome = table.ask(0, open);
    for fault in &outcome.rejected {
        assert!(matches!(fault, Fault::StaleAttempt { .. }), "{fault}");
    }
    assert_eq!(outcome.sent.is_empty(), !outcome.rejected.is_empty());
    outcome.sent
}

#[test]
fn without_growing_numbers_an_attempt_that_has_ended_is_answered_anew() {
    let mut table = Table::new(4, 4);
    table.play_until(Stage::Over);
    assert!(opened_after_the_end(&mut table).is_empty());
    let sent = without(&[Defence::MonotoneAttempts], || {
        opened_after_the_end(&mut table)
    });
    let first = &table.script.advertisements[0];
    assert_ne!(sent[0].envelope, *first, "two answers to one question");
}
