// SPDX-License-Identifier: Apache-2.0
//! One silo in every order of questions: each freeze, proposal, certificate, commitment and challenge before and after
//! each other, repeated, abandoned in between, after restarts and after backups.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;
use consilium_protocol::{CoordinatorMessage, Delivery, SiloMessage};
use std::collections::{BTreeSet, VecDeque};

use super::liar::{Liar, NONCES, View, everybody, members, sets_of, subsets};
use super::loot::Loot;
use super::machines::{Question, State};
use crate::table::sum_proof;

/// What happens to the silo next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Asked(Question),
    /// Asked with a certificate by that many voters.
    Certified(Question, u32),
    /// Its journal as of that state comes back, and the secrets are gone.
    Restored(State),
}

struct Node {
    state: State,
    /// By number, because most steps get nothing out of the silo.
    loot: usize,
    /// The states before, which a backup may hold.
    past: Vec<State>,
}

/// Walks through everything that one silo can be brought to; how many steps that were.
fn walk(liar: &mut Liar, victim: usize) -> usize {
    let questions = every_question(liar, victim);
    let first = Node {
        state: liar.ready[victim],
        loot: 0,
        past: Vec::new(),
    };
    let mut loots = vec![Loot::default()];
    let mut seen = BTreeSet::from([(first.state, first.loot)]);
    let mut queue = VecDeque::from([first]);
    let mut steps = 0;
    while let Some(node) = queue.pop_front() {
        let backups = node.past.iter().chain([&node.state]);
        let backups: Vec<Step> = backups.map(|state| Step::Restored(*state)).collect();
        for step in questions.iter().copied().chain(backups) {
            steps += 1;
            let (state, loot) = match step {
                Step::Restored(state) => (liar.machines.restored(victim, state), node.loot),
                Step::Asked(question) | Step::Certified(question, _) => {
                    let answer = liar.machines.ask(victim, node.state, question);
                    let mut loot = node.loot;
                    if !answer.sent.is_empty() {
                        let taken = take(liar, victim, &loots[loot], step, &answer.sent);
                        let known = loots.iter().position(|loot| *loot == taken);
                        loot = known.unwrap_or_else(|| {
                            loots.push(taken);
                            loots.len() - 1
                        });
                    }
                    (answer.next, loot)
                }
            };
            if seen.insert((state, loot)) {
                let mut past = node.past.clone();
                past.push(node.state);
                queue.push_back(Node { state, loot, past });
            }
        }
    }
    let id = liar.machines.table.plan.id;
    for name in ["MaskedInput", "Vote", "Reveal", "Nonce", "Tag"] {
        let reached = loots.iter().any(|loot| loot.holds(victim, id, name));
        assert!(reached, "the walk reaches the end of the round");
    }
    steps
}

/// The loot with what the silo sent in this step, if no invariant is broken.
fn take(liar: &Liar, victim: usize, loot: &Loot, step: Step, sent: &[Delivery]) -> Loot {
    let id = liar.machines.table.plan.id;
    let mut taken = loot.clone();
    taken.take(victim, sent);
    let colluders: BTreeSet<usize> = members(liar.colluders).collect();
    taken.assert_no_peer_is_open(&colluders, liar.threshold);
    if taken.holds(victim, id, "Reveal") && !loot.holds(victim, id, "Reveal") {
        // Only a certificate by a quorum unlocks a reveal, and only after the silo's own vote.
        assert!(loot.holds(victim, id, "Vote"));
        assert!(matches!(step, Step::Certified(_, voters) if voters >= liar.quorum));
    }
    taken
}

/// Everything that the liar can say to one silo in this attempt, after the deals.
fn every_question(liar: &mut Liar, victim: usize) -> Vec<Step> {
    let table = &liar.machines.table;
    let earlier = table.script.questions.iter();
    let mut said: Vec<Delivery> = earlier
        .filter(|(seat, _)| *seat == victim)
        .map(|(_, question)| question.clone())
        .collect();
    let id = table.plan.id;
    let message = CoordinatorMessage::Abandon {
        reason: "enough".to_owned(),
    };
    let abandon = table.say(id, table.plan.opening_transcript(), &message);
    said.push(Delivery::bare(abandon));
    for cohort in liar.freezes.keys() {
        for sum in sums() {
            said.push(commitment(liar, *cohort, sum));
        }
    }
    let mut steps: Vec<Step> = said
        .into_iter()
        .map(|delivery| Step::Asked(liar.machines.question(delivery)))
        .collect();
    steps.extend(liar.freezes.values().map(|question| Step::Asked(*question)));
    steps.extend(liar.proposals.iter().map(|question| Step::Asked(*question)));
    for view in 0..liar.views.len() {
        let voters = liar.voters(view);
        // Everybody, a bare quorum, and one vote less.
        let quorum = liar.quorum;
        let of = |count: u32| {
            let mut enough = subsets(voters, count).into_iter();
            enough.rfind(|set| set.count_ones() == count)
        };
        let subsets = BTreeSet::from_iter([Some(voters), of(quorum), of(quorum - 1)]);
        for subset in subsets.into_iter().flatten() {
            let question = liar.certificate(view, subset);
            steps.push(Step::Certified(question, subset.count_ones()));
        }
    }
    steps.extend(every_challenge(liar));
    steps
}

/// Two sums of everybody, and two challenges to each: the colluder votes twice, so that both are made of committed nonces.
fn every_challenge(liar: &mut Liar) -> Vec<Step> {
    let mut steps = Vec::new();
    for view in 0..liar.views.len() {
        let View {
            cohort,
            survivors,
            second_upload,
        } = liar.views[view];
        if survivors != everybody(liar.count) || second_upload {
            continue;
        }
        let voters = liar.voters(view) & survivors;
        let certificates = [0, 1].map(|nonce| liar.certificate_with(view, voters, nonce));
        for (sum, nonce) in sums().into_iter().flat_map(|sum| [(sum, 0), (sum, 1)]) {
            let certificate = certificates[nonce];
            let committed = commitment(liar, cohort, sum);
            let committed = liar.machines.question(committed);
            let x = liar.x(cohort);
            let mut nonces = Vec::new();
            for voter in members(voters) {
                nonces.push(match liar.voted.get(&(voter, view)).copied() {
                    Some(state) => {
                        let revealed = liar.machines.ask(voter, state, certificate).next;
                        let answer = liar.machines.ask(voter, revealed, committed);
                        answer.sent[0].envelope.clone()
                    }
                    None => {
                        let nonce = NONCES[nonce];
                        let opened = SiloMessage::Nonce { sum, nonce };
                        liar.machines.table.forge(voter, x, &opened)
                    }
                });
            }
            let message = CoordinatorMessage::Challenge { nonces };
            let table = &liar.machines.table;
            let challenge = Delivery::bare(table.say(table.plan.id, x, &message));
            let challenge = liar.machines.question(challenge);
            steps.push(Step::Certified(certificate, voters.count_ones()));
            steps.push(Step::Asked(challenge));
        }
    }
    steps
}

fn sums() -> [Digest; 2] {
    [&b"one"[..], b"two"].map(|sum| hash(Label::Sum, &[sum]))
}

fn commitment(liar: &Liar, cohort: u8, sum: Digest) -> Delivery {
    let table = &liar.machines.table;
    let x = liar.x(cohort);
    let message = CoordinatorMessage::SumCommitment { sum };
    Delivery {
        envelope: table.say(table.plan.id, x, &message),
        attachments: vec![sum_proof(table.plan.id, &sum)],
    }
}

/// Walks every honest silo beside every colluder. Less than `least` would be a part of the orders only.
fn walk_all(count: usize, least: usize) {
    let mut steps = 0;
    let mut runs = 0;
    for colluders in sets_of(count, 1) {
        let mut liar = Liar::new(count, colluders);
        for victim in liar.honest() {
            steps += walk(&mut liar, victim);
        }
        runs += liar.machines.runs();
    }
    println!("{count} silos: {steps} steps; {runs} run by real machines, the others looked up");
    assert!(steps >= least, "{steps} steps");
}

#[test]
fn no_order_of_questions_gets_two_answers_out_of_one_of_three_silos() {
    walk_all(3, 85_776);
}

#[test]
fn no_order_of_questions_gets_two_answers_out_of_one_of_four_silos() {
    walk_all(4, 1_813_632);
}

#[test]
fn no_order_of_questions_gets_two_answers_out_of_one_of_five_silos() {
    walk_all(5, 4_609_984);
}
