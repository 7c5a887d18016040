// SPDX-License-Identifier: Apache-2.0
//! The same model and task asked again after a first sum may be out: every first attempt that certified something, every
//! view of a second one, with the same vectors and with noise drawn anew, and one silo restored from a backup.

use consilium_protocol::{CoordinatorMessage, Delivery, Envelope, SiloMessage};
use std::collections::{BTreeMap, BTreeSet};

use super::liar::{Liar, View, holds, members, names, sets_of};
use super::machines::{Question, State};
use super::splits::Taken;
use crate::table::{Stage, plan_of};

/// What silos put into the second attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Vector {
    Same,
    FreshNoise,
}

/// The second attempt as every silo answers it, by where the first one left it.
struct Second {
    views: Vec<View>,
    /// By (silo, state after the first attempt, cohort, vector): the silo after its upload, unless it refuses.
    uploads: BTreeMap<(usize, State, u8, Vector), State>,
    /// By (view, vector), unless somebody in it never uploads.
    proposals: BTreeMap<(usize, Vector), Question>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    cases: usize,
    second_sums_of_the_same_vectors: usize,
    second_sums_with_fresh_noise: usize,
}

fn abandon(liar: &mut Liar) -> Question {
    let table = &liar.machines.table;
    let message = CoordinatorMessage::Abandon {
        reason: "again".to_owned(),
    };
    let transcript = table.plan.opening_transcript();
    let abandon = table.say(table.plan.id, transcript, &message);
    liar.machines.question(Delivery::bare(abandon))
}

/// Every place at which the first attempt can leave a silo, and the places of a silo whose journal is older.
fn places(liar: &mut Liar, seat: usize) -> BTreeSet<State> {
    let taken: Vec<Taken> = liar.everywhere(seat);
    let mut places: BTreeSet<State> = taken.iter().map(|at| liar.state(seat, *at)).collect();
    places.insert(liar.machines.restored(seat, liar.ready[seat]));
    places
}

impl Second {
    /// Opens the second attempt to each silo, from every place; the deals are the same from each.
    fn open(liar: &mut Liar) -> Self {
        let abandon = abandon(liar);
        let mut at: Vec<BTreeMap<(State, Vector), State>> = Vec::new();
        for seat in 0..liar.count {
            let places = if holds(liar.colluders, seat) {
                BTreeSet::from([liar.ready[seat]])
            } else {
                places(liar, seat)
            };
            let both = places.iter().flat_map(|place| {
                [Vector::Same, Vector::FreshNoise].map(|vector| (*place, vector))
            });
            at.push(
                both.map(|(place, vector)| ((place, vector), place))
                    .collect(),
            );
        }
        let plan = plan_of(&liar.machines.table.membership, 1, 2);
        liar.machines.table.next(plan);
        for stage in [Stage::Open, Stage::KeyBook, Stage::DealBook] {
            let mut said = Vec::new();
            for (seat, at) in at.iter_mut().enumerate() {
                let delivery = liar.machines.table.question(stage, seat);
                // The same randomness for both, so that the same books serve.
                let same = liar.machines.question(delivery.clone());
                let fresh = if stage == Stage::DealBook {
                    liar.machines.question(delivery)
                } else {
                    same
                };
                let mut first: Option<Vec<Delivery>> = None;
                for ((_, vector), state) in at.iter_mut() {
                    let question = match vector {
                        Vector::Same => same,
                        Vector::FreshNoise => fresh,
                    };
                    let answer = with(liar, seat, *vector, |liar| {
                        if stage == Stage::Open {
                            // Abandoned first or simply opened over: the silo is at the same place.
                            let idle = liar.machines.ask(seat, *state, abandon).next;
                            let next = liar.machines.ask(seat, idle, question).next;
                            assert_eq!(liar.machines.ask(seat, *state, question).next, next);
                        }
                        liar.machines.ask(seat, *state, question)
                    });
                    *state = answer.next;
                    let first = first.get_or_insert_with(|| answer.sent.clone());
                    assert_eq!(*first, answer.sent);
                }
                said.extend(first.unwrap());
            }
            liar.machines.table.write_down(said);
        }
        let mut second = Self {
            views: liar
                .views
                .iter()
                .filter(|view| !view.second_upload)
                .copied()
                .collect(),
            uploads: BTreeMap::new(),
            proposals: BTreeMap::new(),
        };
        second.ask(liar, &at);
        second
    }

    fn ask(&mut self, liar: &mut Liar, at: &[BTreeMap<(State, Vector), State>]) {
        let mut uploads: BTreeMap<(usize, u8, Vector), Envelope> = BTreeMap::new();
        let cohorts: Vec<u8> = liar.freezes.keys().copied().collect();
        for cohort in cohorts {
            let table = &liar.machines.table;
            let pick = |envelopes: &[Envelope]| -> Vec<Envelope> {
                members(cohort)
                    .map(|seat| envelopes[seat].clone())
                    .collect()
            };
            let freeze = table.freeze(&pick(&table.script.receipts), &pick(&table.script.ready));
            let x = table.x_of(&names(cohort));
            let length = table.plan.packed_length();
            let freeze = liar.machines.question(freeze);
            for seat in members(cohort) {
                for ((place, vector), state) in &at[seat] {
                    if holds(liar.colluders, seat) {
                        let root = x;
                        let upload = SiloMessage::MaskedInput { root, length };
                        let upload = liar.machines.table.forge(seat, x, &upload);
                        uploads.insert((seat, cohort, *vector), upload);
                        continue;
                    }
                    let answer = with(liar, seat, *vector, |liar| {
                        liar.machines.ask(seat, *state, freeze)
                    });
                    if let Some(upload) = answer.sent.first() {
                        let key = (seat, *place, cohort, *vector);
                        self.uploads.insert(key, answer.next);
                        uploads.insert((seat, cohort, *vector), upload.envelope.clone());
                    }
                }
            }
        }
        for (number, view) in self.views.iter().enumerate() {
            for vector in [Vector::Same, Vector::FreshNoise] {
                let listed: Option<Vec<Envelope>> = members(view.survivors)
                    .map(|seat| uploads.get(&(seat, view.cohort, vector)).cloned())
                    .collect();
                let Some(listed) = listed else { continue };
                let x = liar.machines.table.x_of(&names(view.cohort));
                let proposal = liar.machines.table.propose_under(x, &listed);
                let question = liar.machines.question(proposal);
                self.proposals.insert((number, vector), question);
            }
        }
    }

    /// Whether a view of the second attempt is certified when the first left the silos at these places.
    fn is_certified(&self, liar: &mut Liar, places: &[State], view: usize, vector: Vector) -> bool {
        let View {
            cohort, survivors, ..
        } = self.views[view];
        let Some(proposal) = self.proposals.get(&(view, vector)) else {
            return false;
        };
        let mut votes = (survivors & liar.colluders).count_ones();
        for seat in members(survivors & !liar.colluders) {
            let Some(state) = self.uploads.get(&(seat, places[seat], cohort, vector)) else {
                return false;
            };
            votes += u32::from(!liar.machines.ask(seat, *state, *proposal).sent.is_empty());
        }
        votes >= liar.quorum
    }
}

/// Runs something while a silo's driver holds this vector.
fn with<T>(liar: &mut Liar, seat: usize, vector: Vector, run: impl FnOnce(&mut Liar) -> T) -> T {
    let noise = i64::from(vector == Vector::FreshNoise);
    liar.machines.table.seats[seat].vector[0] += noise;
    let result = run(liar);
    liar.machines.table.seats[seat].vector[0] -= noise;
    result
}

fn every_second_attempt(count: usize, size: u32) -> Tally {
    let mut tally = Tally::default();
    for colluders in sets_of(count, size) {
        let mut liar = Liar::new(count, colluders);
        let cases = liar.cases();
        let second = Second::open(&mut liar);
        let forgotten: Vec<State> = (0..count)
            .map(|seat| liar.machines.restored(seat, liar.ready[seat]))
            .collect();
        let (honest, least) = (!colluders, liar.quorum - size);
        for case in cases.iter().filter(|case| case.certified.is_some()) {
            let first = liar.views[case.certified.unwrap()].survivors & honest;
            // Nobody restored, or one honest silo, whose journal has forgotten the attempt's upload and vote.
            let restored = std::iter::once(None).chain(liar.honest().into_iter().map(Some));
            for restored in restored {
                let places: Vec<State> = (0..count)
                    .map(|seat| match restored {
                        Some(forgetful) if forgetful == seat => forgotten[seat],
                        _ => liar.state(seat, case.taken[seat]),
                    })
                    .collect();
                for view in 0..second.views.len() {
                    let again = second.views[view].survivors & honest;
                    for vector in [Vector::Same, Vector::FreshNoise] {
                        tally.cases += 1;
                        if !second.is_certified(&mut liar, &places, view, vector) {
                            continue;
                        }
                        match vector {
                            Vector::FreshNoise => tally.second_sums_with_fresh_noise += 1,
                            Vector::Same => {
                                // INVARIANT: two sums of the same vectors differ in nobody, or in a safe number.
                                tally.second_sums_of_the_same_vectors += 1;
                                let apart = (first ^ again).count_ones();
                                assert!(apart == 0 || apart >= least, "{case:?}");
                            }
                        }
                    }
                }
            }
        }
        // The enumeration would notice: from silos that all forgot, the difference of two sums is one silo's input.
        if count > 3 {
            let robbed = (0..second.views.len())
                .any(|view| second.is_certified(&mut liar, &forgotten, view, Vector::Same));
            assert!(robbed);
        }
    }
    println!("{count} silos, {size} colluding: {tally:?}");
    tally
}

#[test]
fn no_second_attempt_of_three_silos_gives_a_difference_away() {
    let expected = Tally {
        cases: 36,
        second_sums_of_the_same_vectors: 0,
        second_sums_with_fresh_noise: 18,
    };
    assert_eq!(every_second_attempt(3, 1), expected);
}

// Only a silo that was restored puts its vector into two sums, and those differ in as many honest silos as is safe.
#[test]
fn no_second_attempt_of_four_silos_gives_a_difference_away() {
    let expected = Tally {
        cases: 42_624,
        second_sums_of_the_same_vectors: 192,
        second_sums_with_fresh_noise: 21_312,
    };
    assert_eq!(every_second_attempt(4, 1), expected);
}

#[test]
fn no_second_attempt_of_five_silos_gives_a_difference_away() {
    let expected = Tally {
        cases: 134_200,
        second_sums_of_the_same_vectors: 0,
        second_sums_with_fresh_noise: 67_100,
    };
    assert_eq!(every_second_attempt(5, 1), expected);
}

#[test]
fn no_second_attempt_of_five_silos_with_two_colluders_gives_a_difference_away() {
    let expected = Tally {
        cases: 177_760,
        second_sums_of_the_same_vectors: 480,
        second_sums_with_fresh_noise: 88_880,
    };
    assert_eq!(every_second_attempt(5, 2), expected);
}
