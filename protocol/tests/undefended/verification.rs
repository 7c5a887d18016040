// SPDX-License-Identifier: Apache-2.0
//! Sums that are not the sum, challenges that are split, and nonces that are chosen last. Silo 3 colludes; silo 0 is the
//! victim.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::mask::{MaskStream, Sign};
use consilium_crypto::ring::WordBits;
use consilium_crypto::transcript::{derive_key, hash};
use consilium_protocol::insecure_for_test::{Defence, without};
use consilium_protocol::{
    CoordinatorMessage, Delivery, Envelope, Fault, Release, ReplayOutcome, SecretKind, SiloEvent,
    SiloMessage, SiloName, Verification, verify_release,
};
use std::collections::BTreeMap;

use crate::federation::{DIMENSION, Served};
use crate::robber::{answer, fault, unpacked, word_bits};
use crate::table::{Outcome, Stage, Table, name, sum_proof};

const PRIME: i128 = (1 << 61) - 1;

/// <c, x> modulo 2^61 - 1.
fn inner_product(table: &Table, challenge: &Digest, vector: &[i64]) -> i128 {
    let coefficients = coefficients(table, challenge, vector.len());
    let terms = coefficients.iter().zip(vector);
    terms.fold(0, |sum, (coefficient, value)| {
        (sum + i128::from(*coefficient) * i128::from(*value)).rem_euclid(PRIME)
    })
}

/// The challenge as the protocol describes it: block k is the coefficient of column k, block 1024 + i that of row i, and
/// a coordinate's is the product of both.
fn coefficients(table: &Table, challenge: &Digest, count: usize) -> Vec<u64> {
    let key = derive_key::<44>(
        &table.x(),
        challenge.as_bytes(),
        Label::ChallengeStream,
        &[],
    );
    let mut words = vec![0; 2 * (1024 + count.div_ceil(1024))];
    let bits = WordBits::new(64).unwrap();
    MaskStream::new(bits, &key).apply(Sign::Add, 0, &mut words);
    let prime = PRIME.cast_unsigned();
    let residues: Vec<u128> = words
        .chunks(2)
        .map(|block| (u128::from(block[0]) | u128::from(block[1]) << 64) % prime)
        .collect();
    (0..count)
        .map(|at| residues[at % 1024] * residues[1024 + at / 1024] % prime)
        .map(|coefficient| u64::try_from(coefficient).unwrap())
        .collect()
}

/// A tag and the challenge that it answers.
fn tag_of(outcome: Outcome) -> (Digest, i128) {
    match answer(outcome).envelope.peek_silo_message() {
        Some(SiloMessage::Tag { challenge, tag, .. }) => (challenge, i128::from(tag)),
        other => panic!("not a tag: {other:?}"),
    }
}

/// The same commitment and challenge for everybody, and a release of a sum with one unit more in one coordinate.
fn one_unit_more() -> (Table, Delivery, Vec<u64>) {
    let mut table = Table::new(4, 1);
    table.play_until(Stage::Commitment);
    let mut sum = table.sum();
    sum[11] = (sum[11] + 1) & word_bits(&table).mask();
    let committed = table.sum_digest(&sum);
    for seat in 0..4 {
        let nonce = table.ask(seat, table.commit(&committed));
        table.write_down(nonce.sent);
    }
    for seat in 0..4 {
        let tag = table.ask(seat, table.challenge(&table.script.nonces));
        table.write_down(tag.sent);
    }
    let mut release = table.honest_release();
    release.sum = committed;
    let delivery = table.release(&release);
    (table, delivery, sum)
}

#[test]
fn without_verification_one_unit_more_in_one_coordinate_is_released() {
    let (mut table, delivery, sum) = one_unit_more();
    let alone = verify_release(&table.membership, &table.log, &delivery, table.packed(&sum));
    assert_eq!(alone.err(), Some(Fault::Unverified));
    let event = SiloEvent::Released {
        delivery: delivery.clone(),
        sum: table.packed(&sum),
    };
    let outcome = table.tell(0, event);
    assert!(outcome.finished.is_empty() && outcome.sent.is_empty());

    let (mut table, delivery, sum) = one_unit_more();
    let event = SiloEvent::Released {
        delivery,
        sum: table.packed(&sum),
    };
    let outcome = without(&[Defence::SumVerified], || table.tell(0, event));
    assert_eq!(outcome.finished[0].words().unwrap(), sum);
    assert_ne!(outcome.finished[0].words().unwrap(), table.sum());
}

/// By silo: the chunks of its upload.
type Uploads = BTreeMap<SiloName, Vec<Vec<u8>>>;

/// Everybody's uploads and seeds, and the silos before the commitment to their sum.
fn before_commitment(seed: u64) -> (Table, Uploads, Vec<[u8; 32]>) {
    let mut table = Table::new(4, seed);
    table.play_until(Stage::Freeze);
    let mut uploads = BTreeMap::new();
    let mut seeds = Vec::new();
    for seat in 0..4 {
        // What the reveals will make public.
        let secrets = table.picture(seat).1.unwrap();
        seeds.push(secrets[149..181].try_into().unwrap());
        let mut outcome = table.ask(seat, table.question(Stage::Freeze, seat));
        let name = table.seats[seat].name.clone();
        uploads.insert(name, outcome.masked.remove(0));
        table.write_down(outcome.sent);
    }
    table.play_between(Stage::Proposal, Stage::Commitment, &[0, 1, 2, 3]);
    (table, uploads, seeds)
}

/// A false seed of silo 0 gives a false sum; silo 1 is asked to compute it again with that seed.
fn false_seed() -> (Table, Outcome, Option<ReplayOutcome>) {
    let (mut table, uploads, mut seeds) = before_commitment(5);
    seeds[0] = [9; 32];
    let bits = word_bits(&table);
    let mut sum = vec![0; DIMENSION as usize];
    for (seat, (name, chunks)) in uploads.iter().enumerate() {
        bits.add_assign(&mut sum, &unpacked(&table, chunks));
        let parts = [name.as_str().as_bytes()];
        let key = derive_key::<44>(&table.x(), &seeds[seat], Label::SelfMask, &parts);
        MaskStream::new(bits, &key).apply(Sign::Subtract, 0, &mut sum);
    }
    assert_ne!(sum, table.sum());
    let committed = table.sum_digest(&sum);
    for seat in 0..4 {
        answer(table.ask(seat, table.commit(&committed)));
    }
    let names = table.seats.iter().map(|seat| seat.name.clone());
    let release = Release {
        sum: committed,
        seeds: names
            .zip(seeds)
            .map(|(name, seed)| (name, SecretKind::SelfMask, seed))
            .collect(),
        verification: Verification::Replay {
            cover: 4,
            replayed: Vec::new(),
        },
        ..table.honest_release()
    };
    let message = CoordinatorMessage::Replay(Box::new(release));
    let replay = Delivery {
        envelope: table.say(table.plan.id, table.x(), &message),
        attachments: vec![sum_proof(table.plan.id, &committed)],
    };
    let outcome = table.ask(1, replay);
    let found = outcome.replays.first().map(|job| {
        let served = Served::new(&table.plan, &uploads, &sum);
        job.run(&served).unwrap()
    });
    (table, outcome, found)
}

#[test]
fn without_committed_seeds_a_false_sum_is_computed_again_and_found_equal() {
    let (table, outcome, found) = false_seed();
    let silo = table.seats[0].name.clone();
    assert_eq!(fault(&outcome), Fault::OtherSeed { silo });
    assert_eq!(found, None);
    without(&[Defence::SeedsCommitted], || {
        let (mut table, _, found) = false_seed();
        assert_eq!(found, Some(ReplayOutcome::Equal));
        let (id, outcome) = (table.plan.id, ReplayOutcome::Equal);
        let vouched = answer(table.tell(1, SiloEvent::Replayed { id, outcome }));
        assert_eq!(vouched.envelope.peek_name(), Some("Replayed"));
    });
}

#[test]
fn without_enough_replays_colluders_vouch_for_any_sum() {
    let (table, ..) = before_commitment(6);
    let mut sum = table.sum();
    sum[3] = (sum[3] + 1) & word_bits(&table).mask();
    let committed = table.sum_digest(&sum);
    let release = Release {
        sum: committed,
        verification: table.forged_replays(table.x(), committed, &[3]),
        ..table.honest_release()
    };
    let delivery = table.release(&release);
    let verify = || verify_release(&table.membership, &table.log, &delivery, table.packed(&sum));
    assert_eq!(verify().err(), Some(Fault::Unverified));
    let verified = without(&[Defence::EnoughReplays], verify).unwrap();
    assert_ne!(verified.words().unwrap(), table.sum());
}

/// What the liar has after a split challenge: the sum of the tags, and both challenges.
struct Split {
    table: Table,
    tags: i128,
    victims: Digest,
    others: Digest,
}

/// The colluder votes twice with two nonces, so that there are two certificates for one set, and two challenges.
fn split_challenge() -> Split {
    let mut table = Table::new(4, 2);
    table.play_until(Stage::Certificate);
    let x = table.x();
    let Some(SiloMessage::Vote { survivors, .. }) = table.script.votes[3].peek_silo_message()
    else {
        panic!("a vote is a vote")
    };
    let nonce = [7; 32];
    let nonce_commitment = hash(
        Label::VoteNonce,
        &[
            &table.plan.id.to_bytes(),
            x.as_bytes(),
            name(3).as_str().as_bytes(),
            &nonce,
        ],
    );
    let second = SiloMessage::Vote {
        survivors,
        nonce_commitment,
    };
    let mut votes = table.script.votes.clone();
    votes[3] = table.forge(3, x, &second);
    // The victim sees the certificate with the second vote, everybody else the one with the first.
    answer(table.ask(0, table.certify(&votes)));
    table.play_between(Stage::Certificate, Stage::Commitment, &[1, 2, 3]);
    let sum = table.sum_digest(&table.sum());
    let commitment = table.commit(&sum);
    let nonces: Vec<Envelope> = (0..4)
        .map(|seat| answer(table.ask(seat, commitment.clone())).envelope)
        .collect();
    let mut for_victim = nonces.clone();
    for_victim[3] = table.forge(3, x, &SiloMessage::Nonce { sum, nonce });
    let (victims, tag) = tag_of(table.ask(0, table.challenge(&for_victim)));
    let mut tags = tag;
    let mut others = victims;
    for seat in 1..4 {
        let (challenge, tag) = tag_of(table.ask(seat, table.challenge(&nonces)));
        others = challenge;
        tags += tag;
    }
    assert_ne!(victims, others, "two challenges to one sum");
    Split {
        table,
        tags: tags.rem_euclid(PRIME),
        victims,
        others,
    }
}

impl Split {
    /// The sum of the tags less <c', S>, which the liar knows.
    fn leak(&self) -> i128 {
        let bits = word_bits(&self.table);
        let sum: Vec<i64> = self
            .table
            .sum()
            .iter()
            .map(|word| bits.lift(*word))
            .collect();
        (self.tags - inner_product(&self.table, &self.others, &sum)).rem_euclid(PRIME)
    }

    /// <c - c', x> of the victim.
    fn of_the_victim(&self) -> i128 {
        let vector = &self.table.seats[0].vector;
        let own = inner_product(&self.table, &self.victims, vector);
        (own - inner_product(&self.table, &self.others, vector)).rem_euclid(PRIME)
    }
}

#[test]
fn without_masks_that_depend_on_the_challenge_a_split_challenge_leaks_an_inner_product() {
    let split = split_challenge();
    // No silo can tell, and nothing is gained: the masks of the two challenges do not cancel.
    assert_ne!(split.leak(), split.of_the_victim());
    let split = without(&[Defence::TagMaskOfChallenge], split_challenge);
    assert_eq!(split.leak(), split.of_the_victim());
    assert_ne!(split.leak(), 0);
}

/// How many bits of the first coefficient the liar gets to choose, by trying nonces after it has seen the others'.
fn ground_nonce(tries: u64) -> (Option<u64>, Vec<Fault>) {
    let mut table = Table::new(4, 3);
    table.play_until(Stage::Challenge);
    let sum = table.sum_digest(&table.sum());
    let before = table.picture(0);
    let mut smallest = None;
    let mut faults = Vec::new();
    for number in 0..tries {
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        let mut nonces = table.script.nonces.clone();
        nonces[3] = table.forge(3, table.x(), &SiloMessage::Nonce { sum, nonce });
        table.put_back(0, &before);
        let outcome = table.ask(0, table.challenge(&nonces));
        if outcome.sent.is_empty() {
            faults.push(fault(&outcome));
            continue;
        }
        let (challenge, _) = tag_of(outcome);
        let first = coefficients(&table, &challenge, 1)[0];
        smallest = Some(smallest.unwrap_or(u64::MAX).min(first));
    }
    (smallest, faults)
}

#[test]
fn without_committed_nonces_the_last_to_speak_chooses_the_challenge() {
    let tries = 64;
    let (smallest, faults) = ground_nonce(tries);
    assert_eq!(smallest, None);
    let silo = crate::table::name(3);
    assert_eq!(faults, vec![Fault::WrongNonce { silo }; tries as usize]);
    // With 64 tries about six bits; the seed is fixed, so that a failure is a change.
    let (smallest, _) = without(&[Defence::NoncesCommitted], || ground_nonce(tries));
    assert!(smallest.unwrap() < 1 << (61 - 4));
}

/// What a silo answers to a commitment that is in no log.
fn unlogged(table: &mut Table) -> Outcome {
    let sum = table.sum_digest(&table.sum());
    let mut commitment = table.commit(&sum);
    commitment.attachments.clear();
    table.ask(0, commitment)
}

#[test]
fn without_a_logged_sum_the_nonces_are_known_while_the_sum_is_still_open() {
    let mut table = Table::new(4, 4);
    table.play_until(Stage::Commitment);
    assert_eq!(fault(&unlogged(&mut table)), Fault::SumNotLogged);
    let mut table = Table::new(4, 4);
    table.play_until(Stage::Commitment);
    let outcome = without(&[Defence::SumLoggedFirst], || unlogged(&mut table));
    assert!(matches!(
        answer(outcome).envelope.peek_silo_message(),
        Some(SiloMessage::Nonce { .. })
    ));
}
