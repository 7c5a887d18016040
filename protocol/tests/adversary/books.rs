// SPDX-License-Identifier: Apache-2.0
//! Substituted keys, substituted deals, and different books for different silos.

use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::key_encapsulation::{DecapsulationSecret, EncapsulationKey};
use consilium_crypto::random::RandomSource;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_protocol::{Delivery, Envelope, Fault, SiloMachine, SiloMessage, SiloName};

use crate::federation::{Federation, Trouble};
use crate::table::{Stage, Table, body, sign_as};

/// Every way to flip one bit in one byte of the body and the signature.
fn flipped(envelope: &Envelope) -> Vec<Envelope> {
    let flip = |byte: u8, at: usize| byte ^ (1 << (at % 8));
    let mut all = Vec::new();
    for at in 0..envelope.body.len() {
        let mut changed = envelope.clone();
        changed.body[at] = flip(changed.body[at], at);
        all.push(changed);
    }
    let signature = postcard::to_allocvec(&envelope.signature).unwrap();
    for at in 0..64 {
        let mut bytes = signature.clone();
        let first = bytes.len() - 64;
        bytes[first + at] = flip(bytes[first + at], at);
        let mut changed = envelope.clone();
        changed.signature = postcard::from_bytes(&bytes).unwrap();
        all.push(changed);
    }
    all
}

#[test]
fn a_flipped_byte_of_an_advertisement_is_noticed_by_every_silo() {
    let mut table = Table::new(4, 1);
    table.play_until(Stage::KeyBook);
    // The owner, and somebody else.
    for seat in [0, 1] {
        let before = table.picture(seat);
        for changed in flipped(&table.script.advertisements[0]) {
            let mut book = table.script.advertisements.clone();
            book[0] = changed;
            table.assert_aborts(seat, table.key_book(&book));
            table.put_back(seat, &before);
        }
    }
}

#[test]
fn a_flipped_byte_of_a_deal_commitment_is_noticed_by_every_silo() {
    let mut table = Table::new(4, 2);
    table.play_until(Stage::DealBook);
    for seat in [0, 1] {
        let before = table.picture(seat);
        for changed in flipped(&table.script.deals[0].envelope) {
            let mut deals = table.script.deals.clone();
            deals[0].envelope = changed;
            table.assert_aborts(seat, table.deal_book(&deals, seat));
            table.put_back(seat, &before);
        }
    }
}

#[test]
fn an_advertisement_of_one_silo_under_the_name_of_another_is_refused() {
    let mut table = Table::new(4, 3);
    table.play_until(Stage::KeyBook);
    let mut book = table.script.advertisements.clone();
    book[2]
        .body
        .clone_from(&table.script.advertisements[3].body);
    book[2].signature = table.script.advertisements[3].signature;
    let fault = table.assert_aborts(0, table.key_book(&book));
    assert!(matches!(fault, Fault::BadSignature { .. }));
}

#[test]
fn a_silo_whose_own_keys_were_exchanged_aborts_even_if_it_once_signed_the_others() {
    // Two incarnations of one silo answered one Open: only a restored disk makes that happen.
    let mut table = Table::new(4, 4);
    table.play_until(Stage::KeyBook);
    let kept = table.picture(0);
    table.seats[0].machine = SiloMachine::new(table.seats[0].instance);
    let other = table
        .ask(0, table.open(&table.plan))
        .sent
        .remove(0)
        .envelope;
    table.put_back(0, &kept);

    let own = table.script.advertisements[0].clone();
    let mut book = table.script.advertisements.clone();
    book[0] = other;
    let outcome = table.ask(0, table.key_book(&book));
    let [(_, fault, evidence)] = outcome.aborted.as_slice() else {
        panic!("{outcome:?}")
    };
    let message = "AdvertiseKeys";
    assert_eq!(*fault, Fault::OwnMessageChanged { message });
    assert_eq!(evidence.len(), 2);
    assert_eq!(evidence[0], own);
}

#[test]
fn a_silo_whose_own_deal_was_exchanged_aborts_even_if_it_once_signed_the_other() {
    let mut table = Table::new(4, 16);
    table.play_until(Stage::KeyBook);
    let before = table.picture(0);
    table.play_between(Stage::KeyBook, Stage::DealBook, &[0, 1, 2, 3]);
    let kept = table.picture(0);
    table.put_back(0, &before);
    let other = table
        .ask(0, table.question(Stage::KeyBook, 0))
        .sent
        .remove(0);
    table.put_back(0, &kept);

    let own = table.script.deals[0].envelope.clone();
    assert_ne!(own, other.envelope);
    let mut deals = table.script.deals.clone();
    deals[0] = other;
    let outcome = table.ask(0, table.deal_book(&deals, 0));
    let [(_, fault, evidence)] = outcome.aborted.as_slice() else {
        panic!("{outcome:?}")
    };
    let message = "ShareKeys";
    assert_eq!(*fault, Fault::OwnMessageChanged { message });
    assert_eq!(evidence.len(), 2);
    assert_eq!(evidence[0], own);
}

#[test]
fn a_silo_that_is_left_out_of_a_book_aborts() {
    let mut table = Table::new(4, 5);
    table.play_until(Stage::KeyBook);
    let kept = table.picture(0);
    let fault = table.assert_aborts(0, table.key_book(&table.script.advertisements[1..]));
    assert_eq!(fault, Fault::LeftOut { list: "KeyBook" });
    table.put_back(0, &kept);
    table.play_between(Stage::KeyBook, Stage::DealBook, &[0, 1, 2, 3]);
    let fault = table.assert_aborts(0, table.deal_book(&table.script.deals[1..], 0));
    assert_eq!(fault, Fault::LeftOut { list: "DealBook" });
}

#[test]
fn silos_with_different_key_books_never_mask_for_each_other() {
    // Five silos, quorum four: each half of the table is told that one silo of the other half is missing.
    let mut table = Table::new(5, 6);
    table.play_until(Stage::KeyBook);
    let all = table.script.advertisements.clone();
    let deals_under = |table: &mut Table, book: &[Envelope], seats: &[usize]| -> Vec<Delivery> {
        let question = table.key_book(book);
        seats
            .iter()
            .flat_map(|seat| table.ask(*seat, question.clone()).sent)
            .collect()
    };
    let mut deals = deals_under(&mut table, &all[..4], &[0, 1]);
    let without_third: Vec<Envelope> = [&all[..3], &all[4..]].concat();
    deals.extend(deals_under(&mut table, &without_third, &[2, 4]));
    // The first half's silos are shown the deals of both halves under their own book.
    table.script.advertisements = all[..4].to_vec();
    let fault = table.assert_aborts(0, table.deal_book(&deals[..3], 0));
    let message = "ShareKeys";
    assert_eq!(fault, Fault::OtherTranscript { message });
}

#[test]
fn silos_with_different_deal_books_never_vote_for_each_other() {
    let mut table = Table::new(5, 7);
    table.play_until(Stage::DealBook);
    let all = table.script.deals.clone();
    let mut ready = Vec::new();
    for (seats, deals) in [(0..2, &all[..4]), (2..4, &all[..])] {
        for seat in seats {
            let sent = table.ask(seat, table.deal_book(deals, seat)).sent;
            ready.extend(sent.into_iter().map(|delivery| delivery.envelope));
        }
    }
    let (receipts, ready): (Vec<Envelope>, Vec<Envelope>) = ready
        .into_iter()
        .partition(|envelope| envelope.peek_name() == Some("DealReceipt"));
    for (seats, deals) in [(0..2, &all[..4]), (2..4, &all[..])] {
        table.script.deals = deals.to_vec();
        for seat in seats {
            let fault = table.assert_aborts(seat, table.freeze(&receipts, &ready));
            assert!(matches!(fault, Fault::OtherTranscript { .. }));
        }
    }
}

#[test]
fn a_stranger_in_a_book_is_refused() {
    let mut table = Table::new(4, 8);
    table.play_until(Stage::KeyBook);
    let stranger = SiloName::parse("silo-99").unwrap();
    let key = SigningKey::from_seed(&table.random.secret32());
    let (keys, _) = some_keys(&mut table);
    let transcript = table.plan.opening_transcript();
    let extra = sign_as(&stranger, &key, body(table.plan.id, transcript, &keys));
    let mut book = table.script.advertisements.clone();
    book.push(extra);
    let fault = table.assert_aborts(0, table.key_book(&book));
    assert_eq!(fault, Fault::UnknownSilo { silo: stranger });
}

#[test]
fn a_silo_of_the_roster_that_was_not_invited_is_refused_in_a_book() {
    let mut table = Table::new(4, 9);
    let stranger = SiloName::parse("silo-99").unwrap();
    let key = SigningKey::from_seed(&table.random.secret32());
    // The roster holds five, the study invites four.
    let others = table.membership.silos.iter();
    table.membership.silos = others
        .map(|(silo, key)| (silo.clone(), *key))
        .chain([(stranger.clone(), key.verifying_key())])
        .collect();
    table.play_until(Stage::KeyBook);
    let (keys, _) = some_keys(&mut table);
    let transcript = table.plan.opening_transcript();
    let extra = sign_as(&stranger, &key, body(table.plan.id, transcript, &keys));
    let mut book = table.script.advertisements.clone();
    book.push(extra);
    let fault = table.assert_aborts(0, table.key_book(&book));
    assert_eq!(fault, Fault::UnknownSilo { silo: stranger });
}

#[test]
fn a_repeated_or_unsorted_book_is_refused() {
    let mut table = Table::new(4, 10);
    table.play_until(Stage::KeyBook);
    let kept = table.picture(0);
    let all = table.script.advertisements.clone();
    let mut swapped = all.clone();
    swapped.swap(1, 2);
    let mut repeated = all.clone();
    repeated.insert(1, all[1].clone());
    for book in [swapped, repeated, all[..2].to_vec(), Vec::new()] {
        table.assert_aborts(0, table.key_book(&book));
        table.put_back(0, &kept);
    }
}

/// The seven points of small order, and two of their second encodings.
fn low_order_points() -> Vec<[u8; 32]> {
    let hexadecimal = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000080",
    ];
    hexadecimal
        .iter()
        .map(|text| text.parse::<PublicKey>().unwrap().to_bytes())
        .collect()
}

/// Fresh keys of a colluder, as a message.
fn some_keys(table: &mut Table) -> (SiloMessage, [PublicKey; 2]) {
    let mut key = || AgreementSecret::from_seed(&table.random.secret32()).public_key();
    let keys = [key(), key()];
    (advertise(keys), keys)
}

fn advertise(keys: [PublicKey; 2]) -> SiloMessage {
    let secret = DecapsulationSecret::from_seed(&Secret::new([8; 64]));
    advertise_with(keys, secret.encapsulation_key().clone())
}

fn advertise_with(
    [channel_public_key, mask_public_key]: [PublicKey; 2],
    encapsulation_key: EncapsulationKey,
) -> SiloMessage {
    SiloMessage::AdvertiseKeys {
        channel_public_key,
        mask_public_key,
        encapsulation_key,
        nonce: [9; 32],
    }
}

/// Every pair of keys that a colluder may try against an honest silo with these keys.
fn bad_pairs(good: [PublicKey; 2], victim: [PublicKey; 2]) -> Vec<[PublicKey; 2]> {
    let mut bad: Vec<PublicKey> = low_order_points()
        .into_iter()
        .map(PublicKey::from_bytes)
        .collect();
    for key in victim {
        let mut second_encoding = key.to_bytes();
        second_encoding[31] |= 0x80;
        bad.extend([key, PublicKey::from_bytes(second_encoding)]);
    }
    let mut pairs = vec![[good[0], good[0]]];
    for key in bad {
        pairs.extend([[key, good[1]], [good[0], key]]);
    }
    pairs
}

fn keys_of(envelope: &Envelope) -> [PublicKey; 2] {
    match envelope.peek_silo_message() {
        Some(SiloMessage::AdvertiseKeys {
            channel_public_key,
            mask_public_key,
            ..
        }) => [channel_public_key, mask_public_key],
        other => panic!("{other:?}"),
    }
}

#[test]
fn low_order_repeated_and_twice_encoded_keys_of_a_colluder_are_refused_by_every_silo() {
    let mut table = Table::new(4, 11);
    table.play_until(Stage::KeyBook);
    let (_, good) = some_keys(&mut table);
    let victim = keys_of(&table.script.advertisements[0]);
    let kept = table.picture(0);
    for pair in bad_pairs(good, victim) {
        let mut book = table.script.advertisements.clone();
        book[3] = table.forge(3, table.plan.opening_transcript(), &advertise(pair));
        let fault = table.assert_aborts(0, table.key_book(&book));
        let silo = table.seats[3].name.clone();
        assert_eq!(fault, Fault::WeakKey { silo });
        table.put_back(0, &kept);
    }
}

/// Encapsulation keys that a colluder may try: the victim's own, and one that is none.
fn bad_encapsulation_keys(victim: &Envelope) -> [EncapsulationKey; 2] {
    let Some(SiloMessage::AdvertiseKeys {
        encapsulation_key, ..
    }) = victim.peek_silo_message()
    else {
        panic!("an advertisement holds keys");
    };
    let mut bytes = *encapsulation_key.as_bytes();
    bytes[..3].fill(0xff);
    [encapsulation_key, EncapsulationKey::from_bytes(bytes)]
}

#[test]
fn a_repeated_or_malformed_encapsulation_key_of_a_colluder_is_refused_by_every_silo() {
    let mut table = Table::new(4, 13);
    table.play_until(Stage::KeyBook);
    let (_, good) = some_keys(&mut table);
    let kept = table.picture(0);
    for key in bad_encapsulation_keys(&table.script.advertisements[0].clone()) {
        let mut book = table.script.advertisements.clone();
        let message = advertise_with(good, key);
        book[3] = table.forge(3, table.plan.opening_transcript(), &message);
        let fault = table.assert_aborts(0, table.key_book(&book));
        let silo = table.seats[3].name.clone();
        assert_eq!(fault, Fault::WeakKey { silo });
        table.put_back(0, &kept);
    }
}

#[test]
fn an_honest_coordinator_leaves_out_a_colluder_with_an_unusable_encapsulation_key() {
    for choice in 0..2 {
        let mut federation = Federation::new(4, 14, Trouble::None);
        let mut victim = None;
        federation.upward = Box::new(move |silo, mut delivery| {
            if delivery.envelope.peek_name() == Some("AdvertiseKeys") {
                match &victim {
                    None => victim = Some(delivery.envelope.clone()),
                    Some(victim) if silo.name.as_str() == "silo-03" => {
                        let key = bad_encapsulation_keys(victim)[choice].clone();
                        let message = advertise_with(keys_of(&delivery.envelope), key);
                        let id = delivery.envelope.peek_attempt().unwrap();
                        let (_, transcript, _): (
                            consilium_protocol::AttemptId,
                            consilium_crypto::digest::Digest,
                            SiloMessage,
                        ) = postcard::from_bytes(&delivery.envelope.body).unwrap();
                        let bytes = body(id, transcript, &message);
                        delivery.envelope = sign_as(&silo.name, &silo.key, bytes);
                    }
                    Some(_) => {}
                }
            }
            vec![delivery]
        });
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        let (survivors, dropped) = federation.released.clone().expect("released");
        assert_eq!(survivors.len(), 3);
        assert_eq!(dropped[0].as_str(), "silo-03");
    }
}

#[test]
fn an_honest_coordinator_leaves_out_a_colluder_with_unusable_keys_and_goes_on() {
    for point in low_order_points() {
        let mut federation = Federation::new(4, 12, Trouble::None);
        federation.upward = Box::new(move |silo, mut delivery| {
            if silo.name.as_str() == "silo-03"
                && delivery.envelope.peek_name() == Some("AdvertiseKeys")
            {
                let good = AgreementSecret::from_seed(&Secret::new([5; 32])).public_key();
                let id = delivery.envelope.peek_attempt().unwrap();
                let (_, transcript, _): (
                    consilium_protocol::AttemptId,
                    consilium_crypto::digest::Digest,
                    SiloMessage,
                ) = postcard::from_bytes(&delivery.envelope.body).unwrap();
                let message = advertise([good, PublicKey::from_bytes(point)]);
                delivery.envelope = sign_as(&silo.name, &silo.key, body(id, transcript, &message));
            }
            vec![delivery]
        });
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        let (survivors, dropped) = federation.released.clone().expect("released");
        assert_eq!(survivors.len(), 3);
        assert_eq!(dropped[0].as_str(), "silo-03");
        assert_eq!(
            federation.silos[0].finished[0].words().unwrap(),
            federation.true_sum(&survivors)
        );
    }
}
