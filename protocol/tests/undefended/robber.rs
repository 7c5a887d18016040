// SPDX-License-Identifier: Apache-2.0
//! What a robber does with what it has got: combines shares, rebuilds seeds, takes masks away. It knows the protocol and
//! everything of its colluders, and nothing else of anybody.

use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::label::Label;
use consilium_crypto::mask::{MaskStream, Sign};
use consilium_crypto::packing;
use consilium_crypto::ring::WordBits;
use consilium_crypto::secret::Secret32;
use consilium_crypto::shamir::{self, Share, Threshold};
use consilium_crypto::transcript::{derive_key, hash};
use consilium_protocol::insecure_for_test::{Defence, without};
use consilium_protocol::{
    Delivery, Envelope, Fault, Membership, SecretKind, SiloMessage, SiloName,
};
use std::collections::BTreeMap;

use crate::table::{Outcome, STAGES, Stage, Table, survivors_digest};

pub(crate) fn word_bits(table: &Table) -> WordBits {
    WordBits::new(table.plan.vector.word_bits).unwrap()
}

/// The words of an upload.
pub(crate) fn unpacked(table: &Table, chunks: &[Vec<u8>]) -> Vec<u64> {
    let fields = table.plan.vector.dimension as usize;
    packing::unpack(word_bits(table), &chunks[0], fields).unwrap()
}

pub(crate) fn lifted(table: &Table, words: &[u64]) -> Vec<i64> {
    let bits = word_bits(table);
    words.iter().map(|word| bits.lift(*word)).collect()
}

/// The left words minus the right ones, as integers.
pub(crate) fn difference(table: &Table, left: &[u64], right: &[u64]) -> Vec<i64> {
    let mut words = left.to_vec();
    word_bits(table).sub_assign(&mut words, right);
    lifted(table, &words)
}

/// The fault of a silo that ended the attempt, answered nothing and can prove why.
pub(crate) fn fault(outcome: &Outcome) -> Fault {
    assert!(outcome.sent.is_empty(), "{outcome:?}");
    match outcome.aborted.as_slice() {
        [(_, fault, evidence)] => {
            assert!(!evidence.is_empty(), "{fault}: no evidence");
            fault.clone()
        }
        other => panic!("no abort: {other:?}"),
    }
}

/// The one message that a silo answered with.
pub(crate) fn answer(mut outcome: Outcome) -> Delivery {
    assert_eq!(outcome.sent.len(), 1, "{outcome:?}");
    outcome.sent.remove(0)
}

pub(crate) fn name_of(table: &Table, seat: usize) -> &SiloName {
    &table.seats[seat].name
}

/// Plays some stages honestly; some silos hold another roster than the table's.
pub(crate) fn play_with_rosters(
    table: &mut Table,
    until: Stage,
    rosters: &BTreeMap<usize, Membership>,
) {
    let everybody = table.membership.clone();
    for stage in STAGES.into_iter().filter(|stage| *stage < until) {
        for seat in 0..table.seats.len() {
            let question = table.question(stage, seat);
            table.membership = rosters.get(&seat).unwrap_or(&everybody).clone();
            let outcome = table.ask(seat, question);
            table.membership = everybody.clone();
            assert!(outcome.aborted.is_empty(), "{stage:?}: {outcome:?}");
            table.write_down(outcome.sent);
        }
    }
}

/// What the robber has collected in one attempt.
pub(crate) struct Loot {
    /// The masked vectors, by seat.
    pub(crate) uploads: BTreeMap<usize, Vec<u64>>,
    /// By (dealer, kind) and abscissa.
    shares: BTreeMap<(usize, SecretKind), BTreeMap<u8, Vec<u8>>>,
    /// What colluders give of their own.
    seeds: BTreeMap<(usize, SecretKind), Secret32>,
}

impl Loot {
    /// Freezes everybody at the table, and takes the uploads and all that the colluders hold: it is their own machines
    /// that they run without a rule.
    pub(crate) fn after_uploads(table: &mut Table, colluders: &[usize]) -> Self {
        let everybody: Vec<usize> = (0..table.seats.len()).collect();
        Self::after_uploads_of(table, &everybody, colluders)
    }

    pub(crate) fn after_uploads_of(
        table: &mut Table,
        cohort: &[usize],
        colluders: &[usize],
    ) -> Self {
        let mut loot = Self {
            uploads: BTreeMap::new(),
            shares: BTreeMap::new(),
            seeds: BTreeMap::new(),
        };
        for seat in cohort {
            let outcome = table.ask(*seat, table.question(Stage::Freeze, *seat));
            let upload = unpacked(table, &outcome.masked[0]);
            loot.uploads.insert(*seat, upload);
            table.write_down(outcome.sent);
        }
        for seat in colluders {
            loot.take_all_of(table, *seat);
        }
        loot
    }

    /// The same when some silos hold another roster and nobody's secrets are given.
    pub(crate) fn after_uploads_with(
        table: &mut Table,
        rosters: &BTreeMap<usize, Membership>,
    ) -> Self {
        let everybody = table.membership.clone();
        let mut loot = Self {
            uploads: BTreeMap::new(),
            shares: BTreeMap::new(),
            seeds: BTreeMap::new(),
        };
        for seat in 0..table.seats.len() {
            table.membership = rosters.get(&seat).unwrap_or(&everybody).clone();
            let outcome = table.ask(seat, table.question(Stage::Freeze, seat));
            loot.uploads
                .insert(seat, unpacked(table, &outcome.masked[0]));
            table.write_down(outcome.sent);
        }
        table.membership = everybody;
        loot
    }

    /// Both shares of everybody that a colluder was dealt, out of its own machine.
    fn take_all_of(&mut self, table: &mut Table, colluder: usize) {
        let kept = table.picture(colluder);
        let secrets = kept.1.as_ref().unwrap();
        for (kind, at) in [(SecretKind::MaskKey, 117), (SecretKind::SelfMask, 149)] {
            let seed: [u8; 32] = secrets[at..at + 32].try_into().unwrap();
            self.seeds.insert((colluder, kind), Secret32::new(seed));
        }
        if !self.uploads.contains_key(&colluder) {
            return;
        }
        let reveal = without(
            &[Defence::CertificateQuorum, Defence::OneKindPerPeer],
            || {
                let proposal = table.propose(&table.script.uploads);
                let vote = answer(table.ask(colluder, proposal)).envelope;
                answer(table.ask(colluder, table.certify(&[vote]))).envelope
            },
        );
        self.take(&reveal);
        table.put_back(colluder, &kept);
    }

    /// Takes what a silo reveals.
    pub(crate) fn take(&mut self, reveal: &Envelope) {
        let Some(SiloMessage::Reveal { shares }) = reveal.peek_silo_message() else {
            panic!("not a reveal: {reveal:?}")
        };
        for share in shares {
            let known = self.shares.entry((share.dealer as usize, share.kind));
            known.or_default().insert(share.share[0], share.share);
        }
    }

    /// How many shares of one secret are there.
    pub(crate) fn count(&self, dealer: usize, kind: SecretKind) -> usize {
        self.shares.get(&(dealer, kind)).map_or(0, BTreeMap::len)
    }

    /// A seed, if it can be rebuilt.
    pub(crate) fn seed(&self, table: &Table, dealer: usize, kind: SecretKind) -> Option<Secret32> {
        if let Some(seed) = self.seeds.get(&(dealer, kind)) {
            return Some(seed.duplicate());
        }
        let threshold = table.plan.thresholds.threshold;
        let shares: Vec<Share> = self
            .shares
            .get(&(dealer, kind))?
            .values()
            .take(threshold as usize)
            .map(|share| Share::from_bytes(share).unwrap())
            .collect();
        let threshold = Threshold::new(threshold, table.script.advertisements.len() as u32);
        shamir::combine(&shares, threshold.unwrap()).ok()
    }

    /// Whether both secrets of a silo are open.
    pub(crate) fn opens(&self, table: &Table, seat: usize) -> bool {
        [SecretKind::SelfMask, SecretKind::MaskKey]
            .into_iter()
            .all(|kind| self.seed(table, seat, kind).is_some())
    }

    /// The sum of some uploads without their masks, if all masks that do not cancel can be rebuilt.
    pub(crate) fn sum(&self, table: &Table, cohort: &[usize], seats: &[usize]) -> Option<Vec<u64>> {
        let names: Vec<SiloName> = cohort
            .iter()
            .map(|at| name_of(table, *at).clone())
            .collect();
        let x = table.x_of(&names);
        let bits = word_bits(table);
        let mut sum = vec![0; table.plan.vector.dimension as usize];
        for seat in seats {
            bits.add_assign(&mut sum, &self.uploads[seat]);
            let seed = self.seed(table, *seat, SecretKind::SelfMask)?;
            let parts = [name_of(table, *seat).as_str().as_bytes()];
            let key = derive_key::<44>(&x, seed.expose(), Label::SelfMask, &parts);
            MaskStream::new(bits, &key).apply(Sign::Subtract, 0, &mut sum);
            for peer in cohort.iter().filter(|peer| !seats.contains(peer)) {
                self.take_pair_mask(table, &x, (*seat, *peer), &mut sum)?;
            }
        }
        Some(sum)
    }

    fn take_pair_mask(
        &self,
        table: &Table,
        x: &Digest,
        (seat, peer): (usize, usize),
        words: &mut [u64],
    ) -> Option<()> {
        let of = |seat| self.seed(table, seat, SecretKind::MaskKey);
        let (seed, other) = match of(peer) {
            Some(seed) => (seed, seat),
            None => (of(seat)?, peer),
        };
        let shared = mask_secret(&seed).agree(&mask_key(table, other)).unwrap();
        let (name, peer) = (name_of(table, seat), name_of(table, peer));
        let (lower, higher) = if name < peer {
            (name, peer)
        } else {
            (peer, name)
        };
        let parts = [lower.as_str().as_bytes(), higher.as_str().as_bytes()];
        let key = derive_key::<44>(x, shared.expose(), Label::PairMask, &parts);
        let undo = if name < peer {
            Sign::Subtract
        } else {
            Sign::Add
        };
        MaskStream::new(word_bits(table), &key).apply(undo, 0, words);
        Some(())
    }

    /// One silo's vector, if the robber can compute it.
    pub(crate) fn vector(&self, table: &Table, cohort: &[usize], seat: usize) -> Option<Vec<i64>> {
        let words = self.sum(table, cohort, &[seat])?;
        Some(lifted(table, &words))
    }
}

/// derive(rho).
pub(crate) fn mask_secret(seed: &Secret32) -> AgreementSecret {
    let salt = hash(Label::MaskKey, &[]);
    let seed = derive_key::<32>(&salt, seed.expose(), Label::MaskKey, &[]);
    AgreementSecret::from_seed(&seed)
}

/// The mask key that a silo advertised.
pub(crate) fn mask_key(table: &Table, seat: usize) -> PublicKey {
    match table.script.advertisements[seat].peek_silo_message() {
        Some(SiloMessage::AdvertiseKeys {
            mask_public_key, ..
        }) => mask_public_key,
        other => panic!("{other:?}"),
    }
}

/// A colluder's vote for some list, with any commitment.
pub(crate) fn forged_vote(table: &Table, seat: usize, uploads: &[Envelope]) -> Envelope {
    let survivors = survivors_digest(&table.x(), &crate::table::roots(uploads));
    let vote = SiloMessage::Vote {
        survivors,
        nonce_commitment: survivors,
    };
    table.forge(seat, table.x(), &vote)
}
