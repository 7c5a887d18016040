// SPDX-License-Identifier: Apache-2.0
//! What a liar has got out of the silos, and what it must never have.

use consilium_protocol::{AttemptId, Delivery, SecretKind, SiloMessage};
use std::collections::{BTreeMap, BTreeSet};

use super::liar::{holds, members};
use crate::leaks::left_null_space;

/// Everything that left honest silos, with the invariants that hold after every step.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Loot {
    /// By (silo, attempt, question): the one answer.
    answers: BTreeMap<(usize, AttemptId, &'static str), Vec<u8>>,
    /// By (attempt, dealer, kind): who revealed its share.
    shares: BTreeMap<(AttemptId, u32, SecretKind), BTreeSet<usize>>,
}

impl Loot {
    /// Takes what an honest silo sent.
    pub(crate) fn take(&mut self, seat: usize, sent: &[Delivery]) {
        for delivery in sent {
            let envelope = &delivery.envelope;
            let (id, name) = (
                envelope.peek_attempt().unwrap(),
                envelope.peek_name().unwrap(),
            );
            let bytes = postcard::to_allocvec(delivery).unwrap();
            let first = self.answers.entry((seat, id, name));
            // INVARIANT: no two different answers from one silo to one question.
            assert!(
                *first.or_insert_with(|| bytes.clone()) == bytes,
                "silo {seat} gave two answers: {name}"
            );
            if let Some(SiloMessage::Reveal { shares }) = envelope.peek_silo_message() {
                let mut dealers = BTreeSet::new();
                for share in shares {
                    // INVARIANT: one kind per peer.
                    assert!(dealers.insert(share.dealer), "both kinds of one peer");
                    let holders = self.shares.entry((id, share.dealer, share.kind));
                    holders.or_default().insert(seat);
                }
            }
        }
    }

    /// INVARIANT: no honest peer has threshold shares of both kinds revealed. The colluders hold one of each.
    pub(crate) fn assert_no_peer_is_open(&self, colluders: &BTreeSet<usize>, threshold: u32) {
        for (id, dealer, _) in self.shares.keys() {
            if colluders.contains(&(*dealer as usize)) {
                continue;
            }
            let known = |kind| {
                let honest = self.shares.get(&(*id, *dealer, kind));
                honest.map_or(0, BTreeSet::len) + colluders.len() >= threshold as usize
            };
            assert!(
                !(known(SecretKind::SelfMask) && known(SecretKind::MaskKey)),
                "both secrets of silo {dealer} are open"
            );
        }
    }

    /// Whether a silo has answered with a message of that name in an attempt.
    pub(crate) fn holds(&self, seat: usize, id: AttemptId, name: &'static str) -> bool {
        self.answers.contains_key(&(seat, id, name))
    }
}

/// The honest silos of which a liar can rebuild a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Opened {
    pub(crate) self_masks: u8,
    pub(crate) mask_keys: u8,
}

/// Every combination of honest uploads from which the liar can take all masks, by linear algebra over the streams.
///
/// `cohorts` says under which cohort each seat masked; a pair's stream is bound to the cohort, so two uploads cancel
/// nothing unless they masked for the same.
pub(crate) fn unmasked(cohorts: &[Option<u8>], colluders: u8, opened: Opened) -> Vec<u8> {
    let mut streams: BTreeMap<(usize, usize, u8), usize> = BTreeMap::new();
    let mut rows: Vec<BTreeMap<usize, i64>> = Vec::new();
    let mut seats = Vec::new();
    for (seat, cohort) in cohorts.iter().enumerate() {
        let Some(cohort) = *cohort else { continue };
        if holds(colluders, seat) {
            continue;
        }
        let mut row = BTreeMap::new();
        let next = streams.len();
        if !holds(opened.self_masks, seat) {
            row.insert(*streams.entry((seat, seat, cohort)).or_insert(next), 1);
        }
        for peer in members(cohort).filter(|peer| *peer != seat) {
            let known = holds(colluders, peer)
                || holds(opened.mask_keys, peer)
                || holds(opened.mask_keys, seat);
            if !known {
                let (lower, higher) = (seat.min(peer), seat.max(peer));
                let next = streams.len();
                let stream = *streams.entry((lower, higher, cohort)).or_insert(next);
                row.insert(stream, if seat == lower { 1 } else { -1 });
            }
        }
        rows.push(row);
        seats.push(seat);
    }
    let rows: Vec<Vec<i64>> = rows
        .iter()
        .map(|row| {
            (0..streams.len().max(1))
                .map(|stream| row.get(&stream).copied().unwrap_or(0))
                .collect()
        })
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let support = |combination: Vec<i64>| {
        let involved = seats.iter().zip(combination).filter(|(_, part)| *part != 0);
        involved.fold(0, |set, (seat, _)| set | 1 << seat)
    };
    left_null_space(&rows).into_iter().map(support).collect()
}
