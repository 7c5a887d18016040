// SPDX-License-Identifier: Apache-2.0
//! Books and lists in which something is not what its owner said in this attempt.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::secret::Secret32;
use consilium_crypto::transcript::hash;
use consilium_protocol::insecure_for_test::{Defence, without};
use consilium_protocol::{AttemptId, Fault, RoundPlan, SiloMessage};

use crate::robber::{Loot, answer, fault, mask_key, mask_secret};
use crate::table::{Outcome, Stage, Table, survivors_digest};

/// The proposal lists another upload of silo 0 than it made, under its own key: that of a second life of it.
fn second_life() -> (Table, Outcome) {
    let mut table = Table::new(4, 1);
    table.play_until(Stage::Proposal);
    let upload = SiloMessage::MaskedInput {
        root: hash(Label::UploadChunk, &[b"another vector"]),
        length: table.plan.packed_length(),
    };
    table.script.uploads[0] = table.forge(0, table.x(), &upload);
    let outcome = table.ask(0, table.propose(&table.script.uploads));
    (table, outcome)
}

#[test]
fn without_its_own_echo_a_silo_votes_for_another_vector_in_its_name() {
    let (_, outcome) = second_life();
    let message = "MaskedInput";
    assert_eq!(fault(&outcome), Fault::OwnMessageChanged { message });
    assert_eq!(
        outcome.aborted[0].2.len(),
        2,
        "its own upload, and the list"
    );
    let (table, outcome) = without(&[Defence::OwnEcho], second_life);
    let voted = answer(outcome).envelope.peek_silo_message();
    let listed = survivors_digest(&table.x(), &crate::table::roots(&table.script.uploads));
    assert!(matches!(voted, Some(SiloMessage::Vote { survivors, .. }) if survivors == listed));
}

/// The colluder, silo 3, passes the mask key of silo 0 for its own.
fn borrowed_key() -> (Table, Outcome) {
    let mut table = Table::new(4, 2);
    table.play_until(Stage::KeyBook);
    let borrowed = mask_key(&table, 0);
    let Some(SiloMessage::AdvertiseKeys {
        channel_public_key,
        encapsulation_key,
        nonce,
        ..
    }) = table.script.advertisements[3].peek_silo_message()
    else {
        panic!("an advertisement is an advertisement")
    };
    let advertisement = SiloMessage::AdvertiseKeys {
        channel_public_key,
        mask_public_key: borrowed,
        encapsulation_key,
        nonce,
    };
    table.script.advertisements[3] =
        table.forge(3, table.plan.opening_transcript(), &advertisement);
    let outcome = table.ask(1, table.key_book(&table.script.advertisements));
    (table, outcome)
}

#[test]
fn without_distinct_keys_two_pairs_of_silos_share_one_secret() {
    let (table, outcome) = borrowed_key();
    let silo = table.seats[3].name.clone();
    assert_eq!(fault(&outcome), Fault::WeakKey { silo });
    let (table, outcome) = without(&[Defence::DistinctKeys], borrowed_key);
    assert_eq!(outcome.sent.len(), 1, "dealt under this book");
    let secrets = table.picture(1).1.unwrap();
    let seed: [u8; 32] = secrets[117..149].try_into().unwrap();
    let secret = mask_secret(&Secret32::new(seed));
    let [honest, borrowed] = [0, 3].map(|seat| secret.agree(&mask_key(&table, seat)).unwrap());
    assert!(honest.equals(&borrowed));
}

/// Every silo is offered another model than it derived.
fn another_model() -> (Table, Vec<Outcome>) {
    let mut table = Table::new(4, 3);
    let derived = table.plan.clone();
    let mut bytes = *derived.model.as_bytes();
    bytes[5] ^= 4;
    table.plan.model = Digest::from_bytes(bytes);
    let opened: Vec<Outcome> = (0..4)
        .map(|seat| table.ask_expecting(seat, table.question(Stage::Open, seat), derived.clone()))
        .collect();
    (table, opened)
}

#[test]
fn without_its_own_digest_of_the_model_every_silo_computes_at_a_model_that_the_liar_chose() {
    let (_, opened) = another_model();
    for outcome in &opened {
        assert_eq!(fault(outcome), Fault::OtherPlan { field: "model" });
    }
    let (table, loot) = without(&[Defence::ModelDigest], || {
        let (mut table, opened) = another_model();
        for outcome in opened {
            table.write_down(outcome.sent);
        }
        table.play_between(Stage::KeyBook, Stage::Freeze, &[0, 1, 2, 3]);
        let mut loot = Loot::after_uploads(&mut table, &[]);
        table.play_between(Stage::Proposal, Stage::Commitment, &[0, 1, 2, 3]);
        for reveal in &table.script.reveals {
            loot.take(reveal);
        }
        (table, loot)
    });
    // What the silos computed there comes out.
    let sum = loot.sum(&table, &[0, 1, 2, 3], &[0, 1, 2, 3]);
    assert_eq!(sum.unwrap(), table.sum());
}

/// Silo 4 takes part in the first attempt and is gone in the second; what it said then is shown again.
fn stand_in() -> Outcome {
    let mut table = Table::new(5, 4);
    table.play_until(Stage::Freeze);
    let (receipt, ready) = (
        table.script.receipts[4].clone(),
        table.script.ready[4].clone(),
    );
    let id = AttemptId {
        attempt: 2,
        ..table.plan.id
    };
    table.next(RoundPlan {
        id,
        ..table.plan.clone()
    });
    table.play_until(Stage::Freeze);
    *table.script.receipts.last_mut().unwrap() = receipt;
    *table.script.ready.last_mut().unwrap() = ready;
    table.ask(0, table.question(Stage::Freeze, 0))
}

#[test]
fn without_the_transcript_in_signatures_recorded_messages_stand_in_for_a_silo_that_is_gone() {
    let outcome = stand_in();
    let message = "Ready";
    assert_eq!(fault(&outcome), Fault::OtherTranscript { message });
    assert!(outcome.masked.is_empty());
    let outcome = without(&[Defence::Transcript], stand_in);
    assert_eq!(outcome.masked.len(), 1, "masked for a cohort with it");
}
