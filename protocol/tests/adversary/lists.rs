// SPDX-License-Identifier: Apache-2.0
//! Cohorts, survivor sets and certificates that are no proper lists.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::random::RandomSource;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::hash;
use consilium_protocol::{Envelope, Fault, SiloMessage, SiloName};

use crate::table::{Stage, Table, body, roots, sign_as, survivors_digest};

/// Five silos, quorum four, all of them before `stage`.
fn five(seed: u64, stage: Stage) -> Table {
    let mut table = Table::new(5, seed);
    table.play_until(stage);
    table
}

/// The fifth silo has died after its deal: the cohort is the first four, all of them before `stage`.
fn four_of_five(seed: u64, stage: Stage) -> Table {
    let mut table = five(seed, Stage::Freeze);
    table.script.receipts.pop();
    table.script.ready.pop();
    table.play_between(Stage::Freeze, stage, &[0, 1, 2, 3]);
    table
}

/// Demands that silo 0 refuses each proposal, does not vote, and can show why.
fn refuses_proposal(table: &mut Table, uploads: &[Envelope]) -> Fault {
    let kept = table.picture(0);
    let fault = table.assert_aborts(0, table.propose(uploads));
    table.put_back(0, &kept);
    fault
}

fn refuses_certificate(table: &mut Table, votes: &[Envelope]) -> Fault {
    let kept = table.picture(0);
    let fault = table.assert_aborts(0, table.certify(votes));
    table.put_back(0, &kept);
    fault
}

fn refuses_freeze(table: &mut Table, receipts: &[Envelope], ready: &[Envelope]) -> Fault {
    let kept = table.picture(0);
    let fault = table.assert_aborts(0, table.freeze(receipts, ready));
    table.put_back(0, &kept);
    fault
}

fn upload_of(table: &Table, seat: usize) -> Envelope {
    let message = SiloMessage::MaskedInput {
        root: hash(Label::UploadChunk, &[b"some upload"]),
        length: table.plan.packed_length(),
    };
    table.forge(seat, table.x(), &message)
}

#[test]
fn a_proposal_that_calls_its_reader_dead_is_refused() {
    let mut table = five(1, Stage::Proposal);
    let others = table.script.uploads[1..].to_vec();
    let list = "survivor set";
    assert_eq!(
        refuses_proposal(&mut table, &others),
        Fault::LeftOut { list }
    );
}

#[test]
fn a_proposal_with_an_unknown_survivor_is_refused() {
    let mut table = five(2, Stage::Proposal);
    let stranger = SiloName::parse("silo-99").unwrap();
    let key = SigningKey::from_seed(&table.random.secret32());
    let honest = upload_of(&table, 4);
    let mut uploads = table.script.uploads.clone();
    uploads.push(sign_as(&stranger, &key, honest.body));
    assert_eq!(
        refuses_proposal(&mut table, &uploads),
        Fault::UnknownSilo { silo: stranger }
    );
}

#[test]
fn a_proposal_with_a_repeated_survivor_is_refused() {
    let mut table = five(3, Stage::Proposal);
    for at in 0..5 {
        let mut uploads = table.script.uploads.clone();
        uploads.insert(at, uploads[at].clone());
        assert!(matches!(
            refuses_proposal(&mut table, &uploads),
            Fault::BadList { .. }
        ));
        // In the place of another, so that the count is right.
        let mut uploads = table.script.uploads.clone();
        uploads[(at + 1) % 5] = uploads[at].clone();
        refuses_proposal(&mut table, &uploads);
    }
}

#[test]
fn a_proposal_out_of_order_is_refused() {
    let mut table = five(4, Stage::Proposal);
    for at in 1..5 {
        let mut uploads = table.script.uploads.clone();
        uploads.swap(at - 1, at);
        assert!(matches!(
            refuses_proposal(&mut table, &uploads),
            Fault::BadList { .. }
        ));
    }
}

#[test]
fn a_proposal_with_a_silo_that_was_dead_at_the_freeze_is_refused() {
    let mut table = four_of_five(5, Stage::Proposal);
    let mut uploads = table.script.uploads.clone();
    uploads.push(upload_of(&table, 4));
    let list = "survivor set";
    assert_eq!(
        refuses_proposal(&mut table, &uploads),
        Fault::BadList { list }
    );
}

#[test]
fn a_proposal_of_fewer_silos_than_are_safe_is_refused() {
    let mut table = five(6, Stage::Proposal);
    for count in 0..4 {
        let uploads = table.script.uploads[..count].to_vec();
        assert!(matches!(
            refuses_proposal(&mut table, &uploads),
            Fault::TooFewSilos { .. }
        ));
    }
}

#[test]
fn a_proposal_with_another_upload_than_the_silo_made_is_refused() {
    let mut table = five(7, Stage::Proposal);
    let mut uploads = table.script.uploads.clone();
    // Its own key under another root: a second life of this silo.
    uploads[0] = upload_of(&table, 0);
    let message = "MaskedInput";
    assert_eq!(
        refuses_proposal(&mut table, &uploads),
        Fault::OwnMessageChanged { message }
    );
}

#[test]
fn a_proposal_with_an_upload_of_another_length_or_history_is_refused() {
    let mut table = five(8, Stage::Proposal);
    let root = hash(Label::UploadChunk, &[b"some upload"]);
    for length in [0, table.plan.packed_length() + 1, u64::MAX] {
        let mut uploads = table.script.uploads.clone();
        let message = SiloMessage::MaskedInput { root, length };
        uploads[4] = table.forge(4, table.x(), &message);
        assert!(matches!(
            refuses_proposal(&mut table, &uploads),
            Fault::BadUpload { .. }
        ));
    }
    let length = table.plan.packed_length();
    for transcript in [table.d(), table.k(), table.plan.opening_transcript()] {
        let mut uploads = table.script.uploads.clone();
        let message = SiloMessage::MaskedInput { root, length };
        uploads[4] = table.forge(4, transcript, &message);
        assert!(matches!(
            refuses_proposal(&mut table, &uploads),
            Fault::OtherTranscript { .. }
        ));
    }
}

#[test]
fn a_certificate_with_too_few_or_repeated_votes_unlocks_nothing() {
    let mut table = five(9, Stage::Certificate);
    let votes = table.script.votes.clone();
    for count in 0..4 {
        assert_eq!(
            refuses_certificate(&mut table, &votes[..count]),
            Fault::NoQuorum
        );
    }
    let mut repeated = votes[..3].to_vec();
    repeated.push(votes[2].clone());
    repeated.push(votes[2].clone());
    assert!(matches!(
        refuses_certificate(&mut table, &repeated),
        Fault::BadList { .. }
    ));
    let mut swapped = votes.clone();
    swapped.swap(0, 1);
    assert!(matches!(
        refuses_certificate(&mut table, &swapped),
        Fault::BadList { .. }
    ));
}

#[test]
fn votes_of_silos_that_do_not_survive_unlock_nothing() {
    let mut table = five(10, Stage::Proposal);
    table.script.uploads.pop();
    table.play_between(Stage::Proposal, Stage::Certificate, &[0, 1, 2, 3]);
    let mut votes = table.script.votes[..3].to_vec();
    // The fifth silo colludes and votes for a set that it is not in.
    let survivors = survivors_digest(&table.x(), &roots(&table.script.uploads));
    votes.push(table.forge(4, table.x(), &vote_for(survivors)));
    let list = "certificate";
    assert_eq!(
        refuses_certificate(&mut table, &votes),
        Fault::BadList { list }
    );
}

#[test]
fn a_certificate_for_another_set_than_the_silo_voted_for_is_evidence() {
    let mut table = five(11, Stage::Certificate);
    let other = survivors_digest(&table.x(), &roots(&table.script.uploads[..4]));
    let votes: Vec<Envelope> = (0..4)
        .map(|seat| table.forge(seat, table.x(), &vote_for(other)))
        .collect();
    let proposal = table.question(Stage::Proposal, 0).envelope;
    let certificate = table.certify(&votes);
    let outcome = table.ask(0, certificate.clone());
    let [(_, fault, evidence)] = outcome.aborted.as_slice() else {
        panic!("{outcome:?}")
    };
    assert_eq!(*fault, Fault::OtherCertificate);
    assert_eq!(*evidence, vec![proposal, certificate.envelope]);
    assert!(outcome.sent.is_empty());
    assert!(table.is_out(0));
}

#[test]
fn votes_of_another_history_and_messages_that_are_no_votes_unlock_nothing() {
    let mut table = five(12, Stage::Certificate);
    let survivors = survivors_digest(&table.x(), &roots(&table.script.uploads));
    for transcript in [table.d(), table.x_of(&[])] {
        let mut votes = table.script.votes.clone();
        votes[4] = table.forge(4, transcript, &vote_for(survivors));
        assert!(matches!(
            refuses_certificate(&mut table, &votes),
            Fault::OtherTranscript { .. }
        ));
    }
    let mut votes = table.script.votes.clone();
    votes[4] = table.forge(4, table.x(), &SiloMessage::Ready);
    assert_eq!(refuses_certificate(&mut table, &votes), Fault::NoQuorum);
    // A vote of the attempt before, exactly as it was signed then.
    let earlier = consilium_protocol::AttemptId {
        attempt: 0,
        ..table.plan.id
    };
    let seat = &table.seats[4];
    let bytes = body(earlier, table.x(), &vote_for(survivors));
    votes[4] = sign_as(&seat.name, &seat.key, bytes);
    assert!(matches!(
        refuses_certificate(&mut table, &votes),
        Fault::OtherTranscript { .. }
    ));
}

fn vote_for(survivors: Digest) -> SiloMessage {
    SiloMessage::Vote {
        survivors,
        nonce_commitment: survivors,
    }
}

#[test]
fn a_cohort_that_is_no_proper_list_is_refused_before_anything_is_masked() {
    let mut table = five(13, Stage::Freeze);
    let (receipts, ready) = (table.script.receipts.clone(), table.script.ready.clone());
    let list = "cohort";
    assert_eq!(
        refuses_freeze(&mut table, &receipts[1..], &ready[1..]),
        Fault::LeftOut { list }
    );
    for count in 0..4 {
        assert!(matches!(
            refuses_freeze(&mut table, &receipts[..count], &ready[..count]),
            Fault::TooFewSilos { .. }
        ));
    }
    let mut swapped = (receipts.clone(), ready.clone());
    swapped.0.swap(2, 3);
    swapped.1.swap(2, 3);
    refuses_freeze(&mut table, &swapped.0, &swapped.1);
    let mut repeated = (receipts.clone(), ready.clone());
    repeated.0.insert(2, receipts[2].clone());
    repeated.1.insert(2, ready[2].clone());
    refuses_freeze(&mut table, &repeated.0, &repeated.1);
    // Somebody who is ready without a receipt, and a receipt of somebody who is not ready.
    refuses_freeze(&mut table, &receipts[..4], &ready);
    refuses_freeze(&mut table, &receipts, &ready[..4]);
    refuses_freeze(&mut table, &ready, &receipts);
}

#[test]
fn a_cohort_with_a_member_that_lacks_good_shares_of_another_is_refused() {
    let mut table = five(14, Stage::Freeze);
    for dealer in 0..5 {
        let mut good = vec![true; 5];
        good[dealer] = false;
        for good in [good, vec![true; dealer]] {
            let mut receipts = table.script.receipts.clone();
            receipts[4] = table.forge(4, table.d(), &SiloMessage::DealReceipt { good });
            let ready = table.script.ready.clone();
            assert!(matches!(
                refuses_freeze(&mut table, &receipts, &ready),
                Fault::MissingReceipt { .. }
            ));
        }
    }
}

#[test]
fn a_receipt_over_more_dealers_than_there_are_is_refused_in_a_cohort() {
    let mut table = five(14, Stage::Freeze);
    let mut receipts = table.script.receipts.clone();
    let good = vec![true; 6];
    receipts[4] = table.forge(4, table.d(), &SiloMessage::DealReceipt { good });
    let ready = table.script.ready.clone();
    assert!(matches!(
        refuses_freeze(&mut table, &receipts, &ready),
        Fault::Malformed(_)
    ));
}

#[test]
fn a_member_that_dealt_to_nobody_is_refused_in_a_cohort() {
    let mut table = five(15, Stage::DealBook);
    table.script.deals.pop();
    table.play_between(Stage::DealBook, Stage::Freeze, &[0, 1, 2, 3]);
    let mut receipts = table.script.receipts.clone();
    let mut ready = table.script.ready.clone();
    let good = vec![true; 5];
    receipts.push(table.forge(4, table.d(), &SiloMessage::DealReceipt { good }));
    ready.push(table.forge(4, table.d(), &SiloMessage::Ready));
    assert!(matches!(
        refuses_freeze(&mut table, &receipts, &ready),
        Fault::MissingReceipt { .. }
    ));
}
