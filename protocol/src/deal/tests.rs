// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::book::{DealEntry, KeyEntry};
use crate::id::AttemptId;
use crate::secrets::AttemptSecrets;
use consilium_crypto::random::InsecureSeededRandom;
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
}

/// The deal of one of them, which all have received.
struct Dealt {
    dealer: usize,
    book: DealBook,
    ciphertexts: Vec<Vec<u8>>,
}

impl Exchange {
    fn new(count: usize) -> Self {
        let mut random = InsecureSeededRandom::from_seed(12);
        let instance = hash(Label::StartNonce, &[b"instance"]);
        let secrets: Vec<AttemptSecrets> = (0..count)
            .map(|_| AttemptSecrets::generate(ID, instance, &mut random))
            .collect();
        let entries = secrets.iter().enumerate().map(|(at, secrets)| KeyEntry {
            silo: SiloName::parse(&format!("silo-{at:04}")).unwrap(),
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
        }
    }

    fn deal(&mut self, dealer: usize, threshold: u32) -> Dealt {
        let silo = self.keys.entries[dealer].silo.clone();
        let (message, ciphertexts) = deal(
            &silo,
            self.secrets[dealer].seeds().unwrap(),
            &self.keys,
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
        }
    }

    fn open(&self, dealt: &Dealt, recipient: usize, ciphertext: &[u8]) -> Option<DealtShares> {
        let [dealer, recipient] = [dealt.dealer, recipient].map(|at| &self.keys.entries[at].silo);
        let secrets = self.secrets[self.keys.position(recipient).unwrap()]
            .seeds()
            .unwrap();
        open(
            recipient,
            secrets,
            &self.keys,
            &dealt.book,
            dealer,
            ciphertext,
        )
    }
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
