// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::book::{DealEntry, KeyEntry};
use crate::id::AttemptId;
use crate::secrets::AttemptSecrets;
use consilium_crypto::key_encapsulation::SEED_LENGTH;
use consilium_crypto::random::InsecureSeededRandom;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::hash;

const ID: AttemptId = AttemptId {
    epoch: 1,
    round: 2,
    attempt: 3,
};

/// Silos that have advertised their keys to each other.
struct Exchange {
    random: InsecureSeededRandom,
    secrets: Vec<AttemptSecrets>,
    keys: KeyBook,
    advertisements: Vec<Envelope>,
}

/// The deal of one of them, which all have received.
struct Dealt {
    dealer: usize,
    book: DealBook,
    ciphertexts: Vec<Vec<u8>>,
    channels: Vec<Secret32>,
}

impl Exchange {
    fn new(count: usize) -> Self {
        let mut random = InsecureSeededRandom::from_seed(12);
        let instance = hash(Label::StartNonce, &[b"instance"]);
        let secrets: Vec<AttemptSecrets> = (0..count)
            .map(|_| AttemptSecrets::generate(ID, instance, &mut random))
            .collect();
        let signing_key = SigningKey::from_seed(&random.secret32());
        let opening = hash(Label::RoundOpen, &[]);
        let advertisements = secrets.iter().enumerate().map(|(at, secrets)| {
            let message = SiloMessage::AdvertiseKeys {
                channel_public_key: secrets.seeds().unwrap().channel_secret().public_key(),
                mask_public_key: secrets.seeds().unwrap().mask_secret().public_key(),
                encapsulation_key: secrets
                    .seeds()
                    .unwrap()
                    .decapsulation_secret()
                    .encapsulation_key()
                    .clone(),
                nonce: [0; 32],
            };
            Envelope::from_silo(&name(at), &signing_key, ID, opening, message)
        });
        let advertisements = advertisements.collect();
        let entries = secrets.iter().enumerate().map(|(at, secrets)| KeyEntry {
            silo: name(at),
            channel: secrets.seeds().unwrap().channel_secret().public_key(),
            mask: secrets.seeds().unwrap().mask_secret().public_key(),
        });
        let keys = KeyBook {
            id: ID,
            digest: hash(Label::KeyBook, &[b"keys"]),
            entries: entries.collect(),
        };
        Self {
            random,
            secrets,
            keys,
            advertisements,
        }
    }

    fn deal(&mut self, dealer: usize, threshold: u32) -> Dealt {
        let silo = self.keys.entries[dealer].silo.clone();
        let Deal {
            message,
            ciphertexts,
            channels,
        } = deal(
            &silo,
            self.secrets[dealer].seeds().unwrap(),
            &self.keys,
            &self.advertisements,
            threshold,
            &mut self.random,
        )
        .unwrap();
        let SiloMessage::ShareKeys {
            self_mask_commitment,
            share_root,
        } = message
        else {
            panic!("a deal is announced as one");
        };
        let book = DealBook {
            digest: hash(Label::DealBook, &[b"deals"]),
            entries: vec![DealEntry {
                silo,
                self_mask_commitment,
                share_root,
            }],
        };
        Dealt {
            dealer,
            book,
            ciphertexts,
            channels,
        }
    }

    fn open(&self, dealt: &Dealt, recipient: usize, ciphertext: &[u8]) -> Option<DealtShares> {
        let [dealer, recipient] = [dealt.dealer, recipient].map(|at| &self.keys.entries[at].silo);
        let seeds = self.secrets[self.keys.position(recipient).unwrap()]
            .seeds()
            .unwrap();
        Opener::new(recipient, seeds, &[], &self.keys, &dealt.book).open(dealer, ciphertext)
    }
}

fn name(at: usize) -> SiloName {
    SiloName::parse(&format!("silo-{at:04}")).unwrap()
}

#[test]
fn three_hundred_silos_deal_and_any_151_of_them_rebuild() {
    let mut exchange = Exchange::new(300);
    let dealt = exchange.deal(7, 151);
    assert_eq!(dealt.ciphertexts.len(), 300);
    let opened: Vec<DealtShares> = dealt
        .ciphertexts
        .iter()
        .enumerate()
        .map(|(recipient, ciphertext)| exchange.open(&dealt, recipient, ciphertext).unwrap())
        .collect();
    let own = exchange.secrets[7].seeds().unwrap();
    let mut combiner = Combiner::new(151, 300);
    // The last places, whose abscissae no byte holds, and an arbitrary choice.
    let choices = [
        (149..300).collect::<Vec<usize>>(),
        (0..151).map(|step| step * 7 % 300).collect(),
    ];
    for choice in choices {
        let shares = |of: fn(&DealtShares) -> &RevealedShare| -> Vec<Share> {
            let chosen = choice.iter().map(|at| of(&opened[*at]));
            chosen
                .map(|revealed| Share::from_bytes(&revealed.share).unwrap())
                .collect()
        };
        let self_mask = combiner.combine(&shares(|dealt| &dealt.self_mask)).unwrap();
        assert!(self_mask.equals(&own.self_mask));
        let mask_key = combiner.combine(&shares(|dealt| &dealt.mask_key)).unwrap();
        assert!(mask_key.equals(&own.mask_key));
    }
    assert!(opened.iter().all(|dealt| dealt.self_mask.share.len() == 34));
}

#[test]
fn every_ciphertext_has_the_length_that_it_is_expected_to_have() {
    for (count, dealers) in [(4, [0, 3]), (7, [2, 6]), (131, [127, 128]), (256, [0, 255])] {
        let mut exchange = Exchange::new(count);
        for dealer in dealers {
            let dealt = exchange.deal(dealer, 3);
            let lengths = dealt.ciphertexts.iter().map(Vec::len);
            let silo = &exchange.keys.entries[dealer].silo;
            assert!(ciphertext_lengths(&exchange.keys, silo).eq(lengths));
        }
    }
}

#[test]
fn a_share_of_the_other_length_is_not_a_dealt_one() {
    for (count, length) in [(4, 33), (256, 34)] {
        let mut exchange = Exchange::new(count);
        let dealt = exchange.deal(0, 3);
        let opened = exchange.open(&dealt, 1, &dealt.ciphertexts[1]).unwrap();
        let mut share = opened.self_mask.clone();
        assert_eq!(share.share.len(), length);
        let recipient = &exchange.keys.entries[1].silo;
        assert!(exchange.keys.share_is_dealt(&dealt.book, recipient, &share));
        share.share = if length == 33 {
            [&share.share[..1], &[0], &share.share[1..]].concat()
        } else {
            [&share.share[..1], &share.share[2..]].concat()
        };
        assert!(!exchange.keys.share_is_dealt(&dealt.book, recipient, &share));
    }
}

#[test]
fn a_changed_exchanged_or_shortened_ciphertext_is_no_deal() {
    let mut exchange = Exchange::new(4);
    let [first, second] = [(), ()].map(|()| exchange.deal(0, 3));
    let good = &first.ciphertexts[1];
    assert!(exchange.open(&first, 1, good).is_some());
    // One bit of the encapsulated secret, at its ends and between, and of the sealed shares.
    for place in [
        0,
        500,
        ENCAPSULATED_LENGTH - 1,
        ENCAPSULATED_LENGTH,
        good.len() - 1,
    ] {
        let mut changed = good.clone();
        changed[place] ^= 0x10;
        assert!(exchange.open(&first, 1, &changed).is_none(), "{place}");
    }
    // The encapsulated secret of another deal of the same dealer to the same silo.
    let (other, _) = second.ciphertexts[1].split_at(ENCAPSULATED_LENGTH);
    let exchanged = [other, &good[ENCAPSULATED_LENGTH..]].concat();
    assert!(exchange.open(&first, 1, &exchanged).is_none());
    // Another recipient's ciphertext.
    assert!(exchange.open(&first, 2, good).is_none());
    for length in [
        0,
        1,
        ENCAPSULATED_LENGTH - 1,
        ENCAPSULATED_LENGTH,
        good.len() - 1,
    ] {
        assert!(exchange.open(&first, 1, &good[..length]).is_none());
    }
}

#[test]
fn who_computes_every_channel_key_still_opens_no_deal() {
    let mut exchange = Exchange::new(4);
    let dealt = exchange.deal(0, 3);
    // The recipient's secrets but for the decapsulation key, as a quantum computer would have them.
    let mut known = exchange.secrets[1].to_bytes().expose().clone();
    exchange.random.fill(&mut known[181..181 + SEED_LENGTH]);
    let instance = hash(Label::StartNonce, &[b"instance"]);
    let guessed = AttemptSecrets::from_bytes(&known, ID, &instance).unwrap();
    assert_eq!(
        guessed.seeds().unwrap().channel_secret().public_key(),
        exchange.keys.entries[1].channel
    );
    let recipient = &exchange.keys.entries[1].silo;
    let opener = Opener::new(
        recipient,
        guessed.seeds().unwrap(),
        &[],
        &exchange.keys,
        &dealt.book,
    );
    assert!(opener.open(&name(0), &dealt.ciphertexts[1]).is_none());
    assert!(exchange.open(&dealt, 1, &dealt.ciphertexts[1]).is_some());
}

#[test]
fn who_has_the_decapsulation_key_alone_opens_no_deal() {
    let mut exchange = Exchange::new(4);
    let dealt = exchange.deal(0, 3);
    let mut known = exchange.secrets[1].to_bytes().expose().clone();
    let channel = Secret::filled(|seed: &mut [u8; 32]| exchange.random.fill(seed));
    known[85..117].copy_from_slice(channel.expose());
    let instance = hash(Label::StartNonce, &[b"instance"]);
    let guessed = AttemptSecrets::from_bytes(&known, ID, &instance).unwrap();
    let recipient = &exchange.keys.entries[1].silo;
    let opener = Opener::new(
        recipient,
        guessed.seeds().unwrap(),
        &[],
        &exchange.keys,
        &dealt.book,
    );
    assert!(opener.open(&name(0), &dealt.ciphertexts[1]).is_none());
}

#[test]
fn what_was_agreed_for_a_deal_opens_the_answer() {
    let mut exchange = Exchange::new(5);
    let deals = [1, 3].map(|dealer| exchange.deal(dealer, 3));
    let [own, peer] = &deals;
    for (ours, theirs) in [(own, peer), (peer, own)] {
        let [dealer, recipient] = [theirs.dealer, ours.dealer];
        let ciphertext = &theirs.ciphertexts[recipient];
        let anew = exchange.open(theirs, recipient, ciphertext).unwrap();
        let silo = &exchange.keys.entries[recipient].silo;
        let open = |channels: &[Secret32]| {
            let seeds = exchange.secrets[recipient].seeds().unwrap();
            Opener::new(silo, seeds, channels, &exchange.keys, &theirs.book)
                .open(&exchange.keys.entries[dealer].silo, ciphertext)
        };
        let opened = open(&ours.channels).unwrap();
        assert_eq!(opened.self_mask, anew.self_mask);
        assert_eq!(opened.mask_key, anew.mask_key);
        // What was agreed with others is no substitute.
        let rotated = [2, 3, 4, 0, 1].map(|at: usize| ours.channels[at].duplicate());
        assert!(open(&rotated).is_none());
    }
}

#[test]
fn opened_shares_survive_a_restart_until_they_are_revealed() {
    let mut exchange = Exchange::new(5);
    let deals = [3, 0, 4].map(|dealer| exchange.deal(dealer, 3));
    let opened = deals.iter().map(|dealt| {
        let ciphertext = &dealt.ciphertexts[2];
        exchange.open(dealt, 2, ciphertext).unwrap()
    });
    let opened: Vec<DealtShares> = opened.collect();
    let shown = opened.iter().map(|dealt| dealt.self_mask.clone());
    let shown: Vec<RevealedShare> = shown.collect();
    let secrets = &mut exchange.secrets[2];
    secrets.keep_channels(Vec::from([Secret::new([1; 32])]));
    secrets.keep_dealt(opened);
    assert!(secrets.channels().is_empty());
    let stored = secrets.to_bytes();
    let instance = hash(Label::StartNonce, &[b"instance"]);
    let mut restored = AttemptSecrets::from_bytes(stored.expose(), ID, &instance).unwrap();
    for (dealer, share) in [3, 0, 4].into_iter().zip(&shown) {
        assert_eq!(restored.dealt(dealer).unwrap().self_mask, *share);
        assert_eq!(secrets.dealt(dealer).unwrap().self_mask, *share);
    }
    assert!([1, 2, 5].iter().all(|at| restored.dealt(*at).is_none()));
    assert_eq!(restored.to_bytes().expose(), stored.expose());
    for length in 0..stored.expose().len() {
        let cut = AttemptSecrets::from_bytes(&stored.expose()[..length], ID, &instance);
        assert!(cut.is_none(), "{length}");
    }
    restored.forget_seeds();
    assert!((0..5).all(|at| restored.dealt(at).is_none()));
}
