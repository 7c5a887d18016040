// SPDX-License-Identifier: Apache-2.0
//! One silo in every order of questions: each freeze, proposal, certificate and commitment before and after each other,
//! repeated, abandoned in between, after restarts and after backups.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::transcript::hash;
use consilium_protocol::{CoordinatorMessage, Delivery};
use std::collections::{BTreeSet, VecDeque};

use super::liar::{Liar, names, subsets};
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
    for name in ["MaskedInput", "Vote", "Reveal"] {
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
    taken.assert_no_peer_is_open(&BTreeSet::from([liar.colluder]), liar.threshold);
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
        let x = table.x_of(&names(*cohort));
        for sum in [&b"one"[..], b"two"] {
            said.push(commitment(liar, x, hash(Label::Sum, &[sum])));
        }
        // Nonces of nobody: whatever challenge an attempt allows, this one it does not.
        let challenge = CoordinatorMessage::Challenge { nonces: Vec::new() };
        said.push(Delivery::bare(table.say(id, x, &challenge)));
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
    steps
}

fn commitment(liar: &Liar, x: Digest, sum: Digest) -> Delivery {
    let table = &liar.machines.table;
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
    for colluder in 0..count {
        let mut liar = Liar::new(count, colluder);
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
    walk_all(3, 22_152);
}

#[test]
fn no_order_of_questions_gets_two_answers_out_of_one_of_four_silos() {
    walk_all(4, 964_320);
}

#[test]
fn no_order_of_questions_gets_two_answers_out_of_one_of_five_silos() {
    walk_all(5, 2_544_176);
}
