// SPDX-License-Identifier: Apache-2.0
//! Everything that a lying coordinator with colluding silos can say about cohorts and survivors.

use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;
use consilium_protocol::{Delivery, Envelope, Fault, SiloMessage, SiloName};
use std::collections::{BTreeMap, HashMap};

use super::machines::{Machines, Question, State};
use crate::table::{Stage, Table, name, plan_of, roots, survivors_digest};

/// A cohort and its survivors, as sets of seats, and which of two uploads of their own the colluders show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct View {
    pub(crate) cohort: u8,
    pub(crate) survivors: u8,
    pub(crate) second_upload: bool,
}

pub(crate) struct Liar {
    pub(crate) machines: Machines,
    pub(crate) count: usize,
    pub(crate) colluders: u8,
    pub(crate) quorum: u32,
    pub(crate) threshold: u32,
    pub(crate) views: Vec<View>,
    /// By seat: the silo before the freeze.
    pub(crate) ready: Vec<State>,
    pub(crate) freezes: BTreeMap<u8, Question>,
    /// By (seat, cohort): the silo after its upload, and the upload.
    pub(crate) uploaded: BTreeMap<(usize, u8), (State, Delivery)>,
    /// By view.
    pub(crate) proposals: Vec<Question>,
    /// By (seat, view), honest silos only: the silo after its vote, and the vote.
    pub(crate) voted: BTreeMap<(usize, usize), State>,
    votes: BTreeMap<(usize, usize), Envelope>,
    certificates: HashMap<(usize, u8, usize), Question>,
}

/// The nonces that colluders commit to, one in each of their two votes.
pub(crate) const NONCES: [[u8; 32]; 2] = [[1; 32], [2; 32]];

impl Liar {
    /// Plays honestly until the deals are through, then asks every honest silo in every view.
    ///
    /// The roster assumes as many colluders as there are, and at least its third.
    pub(crate) fn new(count: usize, colluders: u8) -> Self {
        let mut table = Table::new(count, 31);
        let assumed = table.membership.colluders.max(colluders.count_ones());
        table.membership.colluders = assumed;
        table.plan = plan_of(&table.membership, 1, 1);
        table.play_until(Stage::Freeze);
        let thresholds = table.plan.thresholds;
        assert_eq!(thresholds.colluders, assumed);
        let fewest = table.plan.fewest() as u32;
        let mut liar = Self {
            machines: Machines::new(table),
            count,
            colluders,
            quorum: thresholds.quorum,
            threshold: thresholds.threshold,
            views: views(count, colluders, fewest),
            ready: Vec::new(),
            freezes: BTreeMap::new(),
            uploaded: BTreeMap::new(),
            proposals: Vec::new(),
            voted: BTreeMap::new(),
            votes: BTreeMap::new(),
            certificates: HashMap::new(),
        };
        for seat in 0..count {
            let state = liar.machines.state_of(seat);
            liar.ready.push(state);
        }
        for cohort in subsets(everybody(count), fewest) {
            liar.freeze(cohort);
        }
        for view in 0..liar.views.len() {
            liar.propose(view);
        }
        liar
    }

    pub(crate) fn honest(&self) -> Vec<usize> {
        members(everybody(self.count) & !self.colluders).collect()
    }

    /// The certificate of a view by these voters.
    pub(crate) fn certificate(&mut self, view: usize, voters: u8) -> Question {
        self.certificate_with(view, voters, 0)
    }

    /// The same with one of the two votes of each colluder.
    pub(crate) fn certificate_with(&mut self, view: usize, voters: u8, nonce: usize) -> Question {
        if let Some(question) = self.certificates.get(&(view, voters, nonce)) {
            return *question;
        }
        let votes: Vec<Envelope> = members(voters)
            .map(|seat| {
                let honest = self.votes.get(&(seat, view));
                honest
                    .cloned()
                    .unwrap_or_else(|| self.colluders_vote(seat, view, nonce))
            })
            .collect();
        let x = self.x(self.views[view].cohort);
        let delivery = self.machines.table.certify_under(x, &votes);
        let question = self.machines.question(delivery);
        self.certificates.insert((view, voters, nonce), question);
        question
    }

    fn colluders_vote(&self, seat: usize, view: usize, nonce: usize) -> Envelope {
        let table = &self.machines.table;
        let View { cohort, .. } = self.views[view];
        let survivors = survivors_digest(&self.x(cohort), &roots(&self.uploads_of(view)));
        let (id, x) = (table.plan.id.to_bytes(), self.x(cohort));
        let voter = name(seat);
        let vote = SiloMessage::Vote {
            survivors,
            nonce_commitment: hash(
                Label::VoteNonce,
                &[&id, x.as_bytes(), voter.as_str().as_bytes(), &NONCES[nonce]],
            ),
        };
        table.forge(seat, self.x(cohort), &vote)
    }

    /// Who has a vote for a view: its honest survivors, and the colluders for each.
    pub(crate) fn voters(&self, view: usize) -> u8 {
        let voters = (0..self.count).filter(|seat| self.votes.contains_key(&(*seat, view)));
        voters.fold(self.colluders, |voters, seat| voters | 1 << seat)
    }

    pub(crate) fn x(&self, cohort: u8) -> consilium_crypto::digest::Digest {
        self.machines.table.x_of(&names(cohort))
    }

    fn freeze(&mut self, cohort: u8) {
        let table = &self.machines.table;
        let pick = |envelopes: &[Envelope]| -> Vec<Envelope> {
            members(cohort).map(|at| envelopes[at].clone()).collect()
        };
        let (receipts, ready) = (pick(&table.script.receipts), pick(&table.script.ready));
        let delivery = table.freeze(&receipts, &ready);
        let question = self.machines.question(delivery);
        self.freezes.insert(cohort, question);
        for seat in self.honest() {
            let answer = self.machines.ask(seat, self.ready[seat], question);
            if holds(cohort, seat) {
                let upload = answer.sent[0].clone();
                self.uploaded.insert((seat, cohort), (answer.next, upload));
            } else {
                assert_eq!(answer.fault, Some(Fault::LeftOut { list: "cohort" }));
            }
        }
    }

    /// The upload that a view lists for a silo; a colluder signs two.
    fn upload(&self, seat: usize, view: &View) -> Envelope {
        if !holds(self.colluders, seat) {
            return self.uploaded[&(seat, view.cohort)].1.envelope.clone();
        }
        let which: &[u8] = if view.second_upload { b"two" } else { b"one" };
        let message = SiloMessage::MaskedInput {
            root: hash(Label::UploadChunk, &[which]),
            length: self.machines.table.plan.packed_length(),
        };
        let x = self.x(view.cohort);
        self.machines.table.forge(seat, x, &message)
    }

    fn uploads_of(&self, at: usize) -> Vec<Envelope> {
        let view = self.views[at];
        let uploads = members(view.survivors).map(|seat| self.upload(seat, &view));
        uploads.collect()
    }

    fn propose(&mut self, at: usize) {
        let view = self.views[at];
        let uploads = self.uploads_of(at);
        let x = self.x(view.cohort);
        let question = self.machines.table.propose_under(x, &uploads);
        let question = self.machines.question(question);
        self.proposals.push(question);
        for seat in self.honest() {
            let Some((state, _)) = self.uploaded.get(&(seat, view.cohort)) else {
                continue;
            };
            let answer = self.machines.ask(seat, *state, question);
            if holds(view.survivors, seat) {
                self.voted.insert((seat, at), answer.next);
                self.votes
                    .insert((seat, at), answer.sent[0].envelope.clone());
            } else {
                let list = "survivor set";
                assert_eq!(answer.fault, Some(Fault::LeftOut { list }));
            }
        }
    }
}

fn views(count: usize, colluders: u8, fewest: u32) -> Vec<View> {
    let mut views = Vec::new();
    for cohort in subsets(everybody(count), fewest) {
        for survivors in subsets(cohort, fewest) {
            for second_upload in [false, true] {
                if !second_upload || survivors & colluders != 0 {
                    views.push(View {
                        cohort,
                        survivors,
                        second_upload,
                    });
                }
            }
        }
    }
    views
}

pub(crate) fn everybody(count: usize) -> u8 {
    ((1_u32 << count) - 1) as u8
}

pub(crate) fn holds(set: u8, seat: usize) -> bool {
    set >> seat & 1 == 1
}

pub(crate) fn members(set: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |seat| holds(set, *seat))
}

/// All subsets of at least `fewest` members.
pub(crate) fn subsets(of: u8, fewest: u32) -> Vec<u8> {
    (0..=of)
        .filter(|set| set & !of == 0 && set.count_ones() >= fewest)
        .collect()
}

/// All sets of `size` seats.
pub(crate) fn sets_of(count: usize, size: u32) -> Vec<u8> {
    let mut sets = subsets(everybody(count), size);
    sets.retain(|set| set.count_ones() == size);
    sets
}

pub(crate) fn names(set: u8) -> Vec<SiloName> {
    members(set).map(name).collect()
}
