// SPDX-License-Identifier: Apache-2.0
//! What an onlooker that may compute anything learns from lengths, from masked vectors and from ciphertexts.

use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::key_encapsulation::DecapsulationSecret;
use consilium_crypto::label::Label;
use consilium_crypto::mask::{MaskStream, Sign};
use consilium_crypto::packing;
use consilium_crypto::ring::WordBits;
use consilium_crypto::sealing;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::shamir::{self, Share, Threshold};
use consilium_crypto::transcript::{derive_hybrid_key, derive_key, hash};
use consilium_protocol::{AttemptId, Delivery, SecretKind, SiloMessage, SiloName};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::federation::{BITS, DIMENSION, Federation, Trouble};
use crate::table::name;

fn read(delivery: &Delivery) -> (AttemptId, Digest, SiloMessage) {
    postcard::from_bytes(&delivery.envelope.body).unwrap()
}

/// Whose message, its name, and the lengths of its body and attachments.
type Length = (SiloName, &'static str, Vec<usize>);

/// Everything that can be counted about the messages of a round.
fn lengths(values: impl Fn(usize) -> i64) -> Vec<Length> {
    let mut federation = Federation::new(5, 1, Trouble::LateUpload { silo: 2 });
    for silo in &mut federation.silos {
        silo.vector = (0..DIMENSION as usize).map(&values).collect();
    }
    let seen: Rc<RefCell<Vec<Length>>> = Rc::default();
    let note = |seen: &RefCell<Vec<Length>>, silo: &SiloName, delivery: &Delivery| {
        let attachments = delivery.attachments.iter().map(Vec::len);
        let lengths = std::iter::once(delivery.envelope.body.len()).chain(attachments);
        let message = delivery.envelope.peek_name().unwrap();
        seen.borrow_mut()
            .push((silo.clone(), message, lengths.collect()));
    };
    let (up, down) = (Rc::clone(&seen), Rc::clone(&seen));
    federation.upward = Box::new(move |silo, delivery| {
        note(&up, &silo.name, &delivery);
        vec![delivery]
    });
    federation.downward = Box::new(move |silo, delivery| {
        note(&down, silo, &delivery);
        vec![delivery]
    });
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
    assert!(federation.released.is_some());
    for (silo, chunks) in &federation.uploads {
        let lengths = chunks.iter().map(Vec::len).collect();
        seen.borrow_mut().push((silo.clone(), "chunks", lengths));
    }
    seen.take()
}

#[test]
fn the_lengths_of_all_messages_say_nothing_about_the_values() {
    let zeros = lengths(|_| 0);
    assert!(zeros.len() > 60);
    assert_eq!(zeros, lengths(|at| (at as i64 * 7_919) % 2_001 - 1_000));
    assert_eq!(zeros, lengths(|_| (1 << 20) - 1));
    assert_eq!(zeros, lengths(|_| -(1 << 20)));
}

/// What the coordinator has of one silo after a round in which it calls that silo dropped.
struct Dropped {
    /// The upload, with every pair mask taken away again.
    unpaired: Vec<u64>,
    /// The same without the self mask too, which only the test can take away.
    plain: Vec<u64>,
    vector: Vec<u64>,
}

fn drop_after_upload(count: usize, seed: u64) -> Dropped {
    let silo = name(1);
    let mut federation = Federation::new(count, seed, Trouble::LateUpload { silo: 1 });
    let masks: Rc<RefCell<BTreeMap<SiloName, PublicKey>>> = Rc::default();
    let own: Rc<RefCell<Vec<u8>>> = Rc::default();
    let (noted, kept) = (Rc::clone(&masks), Rc::clone(&own));
    federation.upward = Box::new(move |silo, delivery| {
        if let SiloMessage::AdvertiseKeys {
            mask_public_key, ..
        } = read(&delivery).2
        {
            noted
                .borrow_mut()
                .insert(silo.name.clone(), mask_public_key);
            if silo.name == name(1) {
                let secrets = silo.machine.as_ref().unwrap().secrets().unwrap();
                kept.borrow_mut().clone_from(secrets.expose());
            }
        }
        vec![delivery]
    });
    let plan = federation.plan(1, 1, None);
    let threshold = plan.thresholds.threshold;
    federation.run(plan);
    let (survivors, dropped) = federation.released.clone().expect("released");
    assert_eq!(dropped, vec![silo.clone()]);

    // The liar combines the revealed shares of rho.
    let (_, x, _) = read(&federation.reveals[0]);
    let shares: Vec<Share> = federation
        .reveals
        .iter()
        .take(threshold as usize)
        .map(|reveal| {
            let SiloMessage::Reveal { shares } = read(reveal).2 else {
                panic!("a reveal is a reveal")
            };
            assert_eq!(shares[1].kind, SecretKind::MaskKey);
            Share::from_bytes(&shares[1].share).unwrap()
        })
        .collect();
    let threshold = Threshold::new(threshold, count as u32).unwrap();
    let rho = shamir::combine(&shares, threshold).unwrap();
    let salt = hash(Label::MaskKey, &[]);
    let seed = derive_key::<32>(&salt, rho.expose(), Label::MaskKey, &[]);
    let secret = AgreementSecret::from_seed(&seed);
    assert_eq!(secret.public_key(), masks.borrow()[&silo]);

    let bits = WordBits::new(BITS).unwrap();
    let packed = &federation.uploads[&silo][0];
    let mut words = packing::unpack(bits, packed, DIMENSION as usize).unwrap();
    for peer in &survivors {
        let shared = secret.agree(&masks.borrow()[peer]).unwrap();
        let (lower, higher) = if *peer < silo {
            (peer, &silo)
        } else {
            (&silo, peer)
        };
        let parts = [lower.as_str().as_bytes(), higher.as_str().as_bytes()];
        let key = derive_key::<44>(&x, shared.expose(), Label::PairMask, &parts);
        let sign = if silo < *peer {
            Sign::Subtract
        } else {
            Sign::Add
        };
        MaskStream::new(bits, &key).apply(sign, 0, &mut words);
    }
    let unpaired = words.clone();
    let self_mask: Secret32 = Secret::new(own.borrow()[149..181].try_into().unwrap());
    let parts = [silo.as_str().as_bytes()];
    let key = derive_key::<44>(&x, self_mask.expose(), Label::SelfMask, &parts);
    MaskStream::new(bits, &key).apply(Sign::Subtract, 0, &mut words);
    let vector = federation.silos[1].vector.iter();
    Dropped {
        unpaired,
        plain: words,
        vector: vector.map(|value| bits.encode(*value)).collect(),
    }
}

/// Pearson's statistic of the nibbles, with 15 degrees of freedom: above 45 by chance once in ten thousand.
fn nibble_statistic(words: &[u64]) -> f64 {
    let mut counts = [0_u32; 16];
    for word in words {
        for nibble in 0..u32::from(BITS) / 4 {
            counts[(word >> (4 * nibble) & 15) as usize] += 1;
        }
    }
    let expected = f64::from(counts.iter().sum::<u32>()) / 16.0;
    let deviation = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
    counts.iter().map(deviation).sum()
}

#[test]
fn the_late_upload_of_a_dropped_silo_stays_masked_by_its_own_mask() {
    for (count, seed) in [(4, 2), (5, 3), (7, 4)] {
        let dropped = drop_after_upload(count, seed);
        // The liar's arithmetic is right: only the self mask is left between it and the vector.
        assert_eq!(dropped.plain, dropped.vector);
        assert_ne!(dropped.unpaired, dropped.vector);
        // Seeds are fixed: a failure is a change, not chance.
        assert!(nibble_statistic(&dropped.unpaired) < 45.0);
        assert!(nibble_statistic(&dropped.vector) > 45.0);
    }
}

const PRIME: i64 = 1_000_003;

/// A basis of all combinations of rows that vanish, modulo a prime.
pub(crate) fn left_null_space(rows: &[Vec<i64>]) -> Vec<Vec<i64>> {
    let count = rows.len();
    // Rows with the identity beside them: what is combined into nothing shows there.
    let mut rows: Vec<(Vec<i64>, Vec<i64>)> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| {
            let row = row.iter().map(|entry| entry.rem_euclid(PRIME)).collect();
            (
                row,
                (0..count).map(|other| i64::from(other == at)).collect(),
            )
        })
        .collect();
    let columns = rows[0].0.len();
    let mut done = 0;
    for column in 0..columns {
        let Some(pivot) = (done..count).find(|at| rows[*at].0[column] != 0) else {
            continue;
        };
        rows.swap(done, pivot);
        let inverse = power(rows[done].0[column], PRIME - 2);
        let (pivot_row, pivot_made_of) = rows[done].clone();
        for (row, made_of) in &mut rows[done + 1..] {
            let factor = row[column] * inverse % PRIME;
            let eliminate = |entries: &mut Vec<i64>, pivot: &[i64]| {
                for (entry, pivot) in entries.iter_mut().zip(pivot) {
                    *entry = (*entry - factor * pivot).rem_euclid(PRIME);
                }
            };
            eliminate(row, &pivot_row);
            eliminate(made_of, &pivot_made_of);
        }
        done += 1;
    }
    rows.split_off(done)
        .into_iter()
        .map(|(_, made_of)| made_of)
        .collect()
}

fn power(base: i64, exponent: i64) -> i64 {
    let mut result = 1;
    let (mut base, mut exponent) = (base % PRIME, exponent);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % PRIME;
        }
        base = base * base % PRIME;
        exponent >>= 1;
    }
    result
}

#[test]
fn the_sum_of_the_survivors_is_the_only_combination_of_uploads_that_revealed_seeds_unmask() {
    for count in 4..=7 {
        for late in 0..count {
            let trouble = Trouble::LateUpload { silo: late };
            let mut federation = Federation::new(count, 5, trouble);
            let plan = federation.plan(1, 1, None);
            federation.run(plan);
            assert_eq!(federation.uploads.len(), count, "the late one is there too");
            // Whatever was revealed to anybody is known, even one share of it.
            let mut known = BTreeSet::new();
            for reveal in &federation.reveals {
                let SiloMessage::Reveal { shares } = read(reveal).2 else {
                    panic!("a reveal is a reveal")
                };
                known.extend(
                    shares
                        .iter()
                        .map(|share| (share.dealer as usize, share.kind)),
                );
            }
            let row = |silo: usize| -> Vec<i64> {
                let mut row = Vec::new();
                for other in 0..count {
                    let open = known.contains(&(other, SecretKind::SelfMask));
                    row.push(i64::from(other == silo && !open));
                }
                for lower in 0..count {
                    for higher in lower + 1..count {
                        let open = [lower, higher]
                            .iter()
                            .any(|end| known.contains(&(*end, SecretKind::MaskKey)));
                        let sign = i64::from(lower == silo) - i64::from(higher == silo);
                        row.push(if open { 0 } else { sign });
                    }
                }
                row
            };
            let rows: Vec<Vec<i64>> = (0..count).map(row).collect();
            let unmasked = left_null_space(&rows);
            assert_eq!(unmasked.len(), 1, "{count} silos, {late} late");
            let scale = unmasked[0].iter().copied().find(|entry| *entry != 0);
            let scale = scale.unwrap();
            let survivors: Vec<i64> = (0..count)
                .map(|silo| if silo == late { 0 } else { scale })
                .collect();
            assert_eq!(unmasked[0], survivors);
        }
    }
}

/// One dealer's deal in one attempt, with the channel key that only the test knows.
struct Deal {
    id: AttemptId,
    k: Digest,
    dealer: SiloName,
    channel: AgreementSecret,
    ciphertexts: Vec<Vec<u8>>,
}

/// What opens the deals for one silo in one attempt.
struct Recipient {
    channel: PublicKey,
    decapsulation: DecapsulationSecret,
}

#[test]
fn no_key_seals_two_deals() {
    let mut federation = Federation::new(5, 6, Trouble::None);
    let deals: Rc<RefCell<Vec<Deal>>> = Rc::default();
    let channels: Rc<RefCell<BTreeMap<(AttemptId, SiloName), Recipient>>> = Rc::default();
    let (noted, known) = (Rc::clone(&deals), Rc::clone(&channels));
    federation.upward = Box::new(move |silo, delivery| {
        match read(&delivery) {
            (
                id,
                _,
                SiloMessage::AdvertiseKeys {
                    channel_public_key, ..
                },
            ) => {
                let secrets = silo.machine.as_ref().unwrap().secrets().unwrap();
                let seed = Secret::new(secrets.expose()[181..245].try_into().unwrap());
                let recipient = Recipient {
                    channel: channel_public_key,
                    decapsulation: DecapsulationSecret::from_seed(&seed),
                };
                known
                    .borrow_mut()
                    .insert((id, silo.name.clone()), recipient);
            }
            (id, k, SiloMessage::ShareKeys { .. }) => {
                let secrets = silo.machine.as_ref().unwrap().secrets().unwrap();
                let seed = Secret::new(secrets.expose()[85..117].try_into().unwrap());
                noted.borrow_mut().push(Deal {
                    id,
                    k,
                    dealer: silo.name.clone(),
                    channel: AgreementSecret::from_seed(&seed),
                    ciphertexts: delivery.attachments.clone(),
                });
            }
            _ => {}
        }
        vec![delivery]
    });
    // A round, another round, and an attempt that fails with its retry.
    for (round, attempt, trouble) in [
        (1, 1, Trouble::None),
        (2, 1, Trouble::Repeats),
        (
            3,
            1,
            Trouble::Drops(vec![(3, "ShareKeys"), (4, "ShareKeys")]),
        ),
        (3, 2, Trouble::None),
    ] {
        federation.trouble = trouble;
        for silo in &mut federation.silos {
            silo.vector[0] += 1;
        }
        for at in 0..5 {
            if federation.silos[at].machine.is_none() {
                federation.forget(at);
            }
        }
        let plan = federation.plan(round, attempt, None);
        federation.run(plan);
    }
    let mut keys: BTreeMap<[u8; 32], Vec<u8>> = BTreeMap::new();
    for deal in deals.borrow().iter() {
        let recipients = channels.borrow();
        let recipients = recipients.iter().filter(|((id, _), _)| *id == deal.id);
        for (((_, name), recipient), ciphertext) in recipients.zip(&deal.ciphertexts) {
            let (encapsulated, sealed) = ciphertext.split_first_chunk().unwrap();
            let agreed = deal.channel.agree(&recipient.channel).unwrap();
            let shared = recipient.decapsulation.decapsulate(encapsulated);
            let parts = [
                deal.dealer.as_str().as_bytes(),
                name.as_str().as_bytes(),
                encapsulated,
            ];
            let key = derive_hybrid_key::<32>(&deal.k, [&agreed, &shared], Label::DealKey, &parts);
            // A repeat resends the stored bytes; anything else under the same key would be a second message.
            let first = keys.entry(*key.expose()).or_insert(ciphertext.clone());
            assert_eq!(first, ciphertext, "a key sealed two messages");
            // It is the real key: the real ciphertext opens with it.
            assert!(sealing::open(key, deal.k.as_bytes(), sealed).is_ok());
        }
    }
    // Three attempts of five dealers, and one in which three dealt to five and two died.
    assert_eq!(keys.len(), 3 * 25 + 3 * 5);
}
