// SPDX-License-Identifier: Apache-2.0
//! Asking twice and subtracting: what left once counts as released.

use consilium_crypto::label::Label;
use consilium_crypto::ring::WordBits;
use consilium_crypto::transcript::hash;
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::{AttemptId, Fault, RoundPlan, SiloEffect, SiloEvent};

use crate::federation::{BITS, DIMENSION, Federation, Trouble};
use crate::table::{Stage, Table};

/// The difference of two sums: somebody's input, if the attack succeeds.
fn difference(first: &[u64], second: &[u64]) -> Vec<i64> {
    let bits = WordBits::new(BITS).unwrap();
    let mut words = first.to_vec();
    bits.sub_assign(&mut words, second);
    words.into_iter().map(|word| bits.lift(word)).collect()
}

fn assert_refused_and_nothing_uploaded(federation: &Federation) {
    assert!(federation.released.is_none());
    assert!(federation.abandoned.is_some());
    assert!(federation.uploads.is_empty(), "nobody masks again");
    for silo in &federation.silos[..4] {
        assert!(silo.aborted.contains(&Fault::AlreadyReleased));
    }
}

#[test]
fn a_retry_after_a_partial_certificate_with_other_survivors_and_the_same_noise_is_refused() {
    let mut federation = Federation::new(5, 1, Trouble::None);
    // Two silos never see the certificate, nobody sees the sum; the liar has it all the same.
    federation.downward = Box::new(|to, delivery| {
        let hidden = match delivery.envelope.peek_name() {
            Some("Certificate") => to.as_str() >= "silo-03",
            Some("SumCommitment" | "Release") => true,
            _ => false,
        };
        if hidden { Vec::new() } else { vec![delivery] }
    });
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
    let first = federation.sum.clone();
    assert!(federation.silos.iter().all(|silo| silo.finished.is_empty()));

    federation.uploads.clear();
    federation.downward = Box::new(|_, delivery| vec![delivery]);
    federation.trouble = Trouble::Drop {
        silo: 4,
        before: "AdvertiseKeys",
    };
    let retry = federation.plan(1, 2, None);
    federation.run(retry.clone());
    assert_refused_and_nothing_uploaded(&federation);

    // The attack is real: silos that forget are robbed of silo 4's input by subtraction.
    for at in 0..5 {
        federation.forget(at);
    }
    federation.run(retry);
    assert!(federation.released.is_some());
    let stolen = difference(&first, &federation.sum);
    assert_eq!(stolen, federation.silos[4].vector);
}

#[test]
fn a_retry_with_fresh_noise_is_another_answer_and_gives_no_input_away() {
    let mut federation = Federation::new(5, 2, Trouble::None);
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
    let first = federation.sum.clone();
    for silo in &mut federation.silos {
        for (at, value) in silo.vector.iter_mut().enumerate() {
            *value += (at as i64 % 7) - 3;
        }
    }
    federation.trouble = Trouble::Drop {
        silo: 4,
        before: "AdvertiseKeys",
    };
    let retry = federation.plan(1, 2, None);
    federation.run(retry);
    assert!(federation.released.is_some());
    assert_ne!(
        difference(&first, &federation.sum),
        federation.silos[4].vector
    );
}

#[test]
fn a_second_study_without_noise_among_fewer_silos_on_the_same_question_is_refused() {
    let mut federation = Federation::new(5, 3, Trouble::None);
    let plan = federation.plan(1, 1, Some(0));
    federation.run(plan.clone());
    let first = federation.sum.clone();
    assert!(federation.released.is_some());

    federation.uploads.clear();
    let fewer = RoundPlan::new(
        AttemptId {
            round: 2,
            ..plan.id
        },
        &federation.membership,
        &plan.silos[..4],
        Some(0),
        plan.model,
        plan.task,
        VectorPlan::plain(DIMENSION, 4, BITS, 0).unwrap(),
    )
    .unwrap();
    federation.run(fewer.clone());
    assert_refused_and_nothing_uploaded(&federation);

    for at in 0..5 {
        federation.forget(at);
    }
    federation.run(fewer);
    assert!(federation.released.is_some());
    let stolen = difference(&first, &federation.sum);
    assert_eq!(stolen, federation.silos[4].vector);
}

/// The plan of an attempt at the same model and task as the table's first.
fn attempt(table: &Table, attempt: u32) -> RoundPlan {
    RoundPlan {
        id: AttemptId {
            attempt,
            ..table.plan.id
        },
        ..table.plan.clone()
    }
}

fn without_noise(table: &mut Table) {
    let plan = &table.plan;
    let vector = VectorPlan::plain(DIMENSION, 4, BITS, 0).unwrap();
    let plan = RoundPlan::new(
        plan.id,
        &table.membership,
        &plan.silos,
        Some(0),
        plan.model,
        plan.task,
        vector,
    );
    table.next(plan.unwrap());
}

#[test]
fn a_vector_that_was_uploaded_and_never_voted_on_is_not_uploaded_with_the_same_noise_again() {
    let mut table = Table::new(4, 4);
    table.play_until(Stage::Proposal);
    table.next(attempt(&table, 2));
    table.play_until(Stage::Freeze);
    for seat in 0..4 {
        let fault = table.assert_aborts(seat, table.question(Stage::Freeze, seat));
        assert_eq!(fault, Fault::AlreadyReleased);
    }
    // Fresh noise is another answer.
    table.draw_fresh_noise();
    table.next(attempt(&table, 3));
    table.play_until(Stage::Over);
}

#[test]
fn a_changed_vector_without_noise_is_not_uploaded_after_the_first_one_left() {
    let mut table = Table::new(4, 5);
    without_noise(&mut table);
    // Silo 0 never voted: the others could have released its upload.
    table.play_until(Stage::Proposal);
    table.next(attempt(&table, 2));
    table.seats[0].vector[0] += 1;
    table.play_until(Stage::Freeze);
    let fault = table.assert_aborts(0, table.question(Stage::Freeze, 0));
    assert_eq!(fault, Fault::AlreadyReleased);
    // The same vector is no news.
    table.seats[0].vector[0] -= 1;
    table.next(attempt(&table, 3));
    table.play_until(Stage::Over);
}

#[test]
fn the_memory_of_what_left_survives_a_restart_without_the_secrets() {
    let mut table = Table::new(4, 6);
    table.play_until(Stage::Certificate);
    for seat in 0..4 {
        let (journal, _) = table.picture(seat);
        table.put_back(seat, &(journal, None));
        assert!(table.is_out(seat));
    }
    table.next(attempt(&table, 2));
    table.play_until(Stage::Freeze);
    let fault = table.assert_aborts(0, table.question(Stage::Freeze, 0));
    assert_eq!(fault, Fault::AlreadyReleased);
}

#[test]
fn a_vector_noised_anew_is_not_sent_under_masks_that_were_already_used() {
    let mut table = Table::new(4, 7);
    table.play_until(Stage::Proposal);
    let (id, length) = (table.plan.id, table.plan.packed_length());
    let burnt = table.script.uploads[0].clone();
    let before = table.picture(0);
    let root = hash(Label::UploadChunk, &[b"the same masks over another vector"]);
    for _ in 0..2 {
        let outcome = table.tell(0, SiloEvent::Masked { id, root, length });
        assert!(outcome.sent.is_empty() && outcome.aborted.is_empty());
        let input = root;
        let outcome = table.tell(0, SiloEvent::Prepared { id, input });
        assert!(outcome.sent.is_empty() && outcome.masked.is_empty());
        assert_eq!(table.picture(0), before);
        // Again after a restart, which asks for no masking either.
        table.put_back(0, &before);
        let remasks =
            |effect: &SiloEffect| matches!(effect, SiloEffect::Mask(_) | SiloEffect::Train(_));
        assert!(!table.resume(0).iter().any(remasks));
    }
    // A repeated freeze resends what was burnt, and masks nothing.
    let repeat = table.ask(0, table.question(Stage::Freeze, 0));
    assert!(repeat.masked.is_empty());
    assert_eq!(repeat.sent.len(), 1);
    assert_eq!(repeat.sent[0].envelope, burnt);
}

#[test]
fn an_upload_of_another_length_never_leaves() {
    let mut table = Table::new(4, 8);
    table.play_until(Stage::Freeze);
    let before = table.picture(0);
    let question = table.question(Stage::Freeze, 0);
    // Stop the table's own masking: the silo is restored from the journal of the phase `masking`.
    let id = table.plan.id;
    let root = hash(Label::UploadChunk, &[b"an upload"]);
    for length in [
        0,
        table.plan.packed_length() - 1,
        table.plan.packed_length() + 1,
    ] {
        table.put_back(0, &before);
        let outcome = table.freeze_only(0, question.clone());
        assert!(outcome.is_empty());
        let outcome = table.tell(0, SiloEvent::Masked { id, root, length });
        assert!(outcome.sent.is_empty());
        assert!(matches!(
            outcome.aborted.as_slice(),
            [(_, Fault::BadUpload { .. }, _)]
        ));
    }
}
