// SPDX-License-Identifier: Apache-2.0
//! One silo listed alive for some and dead for others: every way to split the silos among views.

use consilium_protocol::{Envelope, Fault, SecretKind, SiloMessage, SiloName, Thresholds};
use std::collections::{BTreeMap, BTreeSet};

use crate::table::{Picture, Stage, Table, name, roots, survivors_digest};

/// A cohort and the survivors in it, as sets of seats.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct View {
    cohort: Vec<usize>,
    survivors: Vec<usize>,
}

/// A silo, the view that it voted for, and who else did.
type Certified = (usize, usize, Vec<usize>);

/// What the real silos do in every view, each asked from where it stood before the freeze.
struct Responses {
    views: Vec<View>,
    /// By (silo, view): the silo after its vote, and the vote.
    votes: BTreeMap<(usize, usize), (Picture, Envelope)>,
}

fn subsets(of: &[usize], fewest: usize) -> Vec<Vec<usize>> {
    (0..1_u32 << of.len())
        .map(|bits| {
            let chosen = of
                .iter()
                .enumerate()
                .filter(|(at, _)| bits >> at & 1 == 1)
                .map(|(_, seat)| *seat);
            chosen.collect::<Vec<usize>>()
        })
        .filter(|subset| subset.len() >= fewest)
        .collect()
}

fn pick(envelopes: &[Envelope], seats: &[usize]) -> Vec<Envelope> {
    seats.iter().map(|seat| envelopes[*seat].clone()).collect()
}

fn names(seats: &[usize]) -> Vec<SiloName> {
    seats.iter().map(|seat| name(*seat)).collect()
}

fn ask_all(table: &mut Table) -> Responses {
    table.play_until(Stage::Freeze);
    let count = table.seats.len();
    let everybody: Vec<usize> = (0..count).collect();
    let fewest = table.plan.fewest();
    let before: Vec<Picture> = everybody.iter().map(|seat| table.picture(*seat)).collect();
    let (receipts, ready) = (table.script.receipts.clone(), table.script.ready.clone());
    let mut responses = Responses {
        views: Vec::new(),
        votes: BTreeMap::new(),
    };
    for cohort in subsets(&everybody, fewest) {
        let freeze = table.freeze(&pick(&receipts, &cohort), &pick(&ready, &cohort));
        let x = table.x_of(&names(&cohort));
        let mut uploads = BTreeMap::new();
        let mut masked = BTreeMap::new();
        for seat in &everybody {
            table.put_back(*seat, &before[*seat]);
            if cohort.contains(seat) {
                let mut sent = table.ask(*seat, freeze.clone()).sent;
                uploads.insert(*seat, sent.remove(0).envelope);
                masked.insert(*seat, table.picture(*seat));
            } else {
                let fault = table.assert_aborts(*seat, freeze.clone());
                assert_eq!(fault, Fault::LeftOut { list: "cohort" });
            }
        }
        for survivors in subsets(&cohort, fewest) {
            let listed: Vec<Envelope> = survivors.iter().map(|at| uploads[at].clone()).collect();
            let proposal = table.propose_under(x, &listed);
            let view = responses.views.len();
            for seat in &cohort {
                table.put_back(*seat, &masked[seat]);
                if survivors.contains(seat) {
                    let vote = table.ask(*seat, proposal.clone()).sent.remove(0).envelope;
                    let digest = survivors_digest(&x, &roots(&listed));
                    assert!(matches!(
                        vote.peek_silo_message(),
                        Some(SiloMessage::Vote { survivors, .. }) if survivors == digest
                    ));
                    let picture = table.picture(*seat);
                    responses.votes.insert((*seat, view), (picture, vote));
                } else {
                    table.assert_aborts(*seat, proposal.clone());
                }
            }
            let cohort = cohort.clone();
            responses.views.push(View { cohort, survivors });
        }
    }
    responses
}

/// Every honest silo's view, or none: the lying coordinator's choice.
fn splits(options: &[Vec<Option<usize>>]) -> Vec<Vec<Option<usize>>> {
    options.iter().fold(vec![Vec::new()], |splits, options| {
        splits
            .iter()
            .flat_map(|split| {
                options.iter().map(move |option| {
                    let mut longer = split.clone();
                    longer.push(*option);
                    longer
                })
            })
            .collect()
    })
}

fn no_peer_loses_both_secrets(count: usize) {
    let mut table = Table::new(count, 1);
    let responses = ask_all(&mut table);
    let Responses { views, votes } = &responses;
    let Thresholds {
        colluders,
        quorum,
        threshold,
        ..
    } = table.plan.thresholds;
    assert_eq!(colluders, 1);
    let mut revealed: BTreeMap<Certified, Vec<(usize, SecretKind)>> = BTreeMap::new();
    let mut refused = BTreeSet::new();
    let mut certified_at_all = 0;
    for colluder in 0..count {
        let honest: Vec<usize> = (0..count).filter(|seat| *seat != colluder).collect();
        let options: Vec<Vec<Option<usize>>> = honest
            .iter()
            .map(|seat| {
                let alive = (0..views.len()).filter(|view| views[*view].survivors.contains(seat));
                alive.map(Some).chain([None]).collect()
            })
            .collect();
        for split in splits(&options) {
            let view_of = |seat: usize| {
                let at = honest.iter().position(|silo| *silo == seat)?;
                split[at]
            };
            let mut certified = Vec::new();
            for (at, view) in views.iter().enumerate() {
                // The colluder signs anything; an honest silo uploads under the one cohort that it saw.
                let uploaded = view.survivors.iter().all(|seat| {
                    *seat == colluder
                        || view_of(*seat).is_some_and(|seen| views[seen].cohort == view.cohort)
                });
                let voters: Vec<usize> = view
                    .survivors
                    .iter()
                    .copied()
                    .filter(|seat| *seat == colluder || view_of(*seat) == Some(at))
                    .collect();
                if uploaded && voters.len() >= quorum as usize {
                    certified.push((at, voters));
                }
            }
            assert!(certified.len() <= 1, "{split:?}");
            certified_at_all += certified.len();
            // How many shares of each kind of each dealer the liar holds; the colluder gives it both of its own.
            let mut shares: BTreeMap<(usize, SecretKind), u32> = BTreeMap::new();
            for dealer in 0..count {
                shares.insert((dealer, SecretKind::SelfMask), colluders);
                shares.insert((dealer, SecretKind::MaskKey), colluders);
            }
            for (view, voters) in &certified {
                assert!(views[*view].survivors.len() >= quorum as usize);
                for seat in &honest {
                    let Some(seen) = view_of(*seat) else { continue };
                    if seen != *view {
                        // Shown the certificate of a view that it did not vote for.
                        if refused.insert((*seat, seen, *view, voters.clone())) {
                            let certificate = certificate(&table, &responses, *view, voters);
                            table.put_back(*seat, &votes[&(*seat, seen)].0);
                            let outcome = table.ask(*seat, certificate);
                            assert!(outcome.sent.is_empty(), "{outcome:?}");
                        }
                        continue;
                    }
                    let key = (*seat, *view, voters.clone());
                    if !revealed.contains_key(&key) {
                        let certificate = certificate(&table, &responses, *view, voters);
                        table.put_back(*seat, &votes[&(*seat, *view)].0);
                        let sent = table.ask(*seat, certificate).sent.remove(0);
                        // The byte behind attempt, installation and nonce says whether seeds follow.
                        assert_eq!(table.picture(*seat).1.unwrap()[84], 0);
                        revealed.insert(key.clone(), kinds(&sent.envelope));
                    }
                    for (dealer, kind) in &revealed[&key] {
                        let expected = if views[*view].survivors.contains(dealer) {
                            SecretKind::SelfMask
                        } else {
                            SecretKind::MaskKey
                        };
                        assert_eq!(*kind, expected);
                        *shares.entry((*dealer, *kind)).or_default() += 1;
                    }
                }
            }
            for dealer in &honest {
                let enough = |kind| shares[&(*dealer, kind)] >= threshold;
                assert!(
                    !(enough(SecretKind::SelfMask) && enough(SecretKind::MaskKey)),
                    "silo {dealer} in {split:?}"
                );
            }
        }
    }
    // The attack space is not empty: honest splits are certified, and foreign certificates were tried.
    assert!(certified_at_all > 0 && !refused.is_empty() && !revealed.is_empty());
}

fn certificate(
    table: &Table,
    responses: &Responses,
    view: usize,
    voters: &[usize],
) -> consilium_protocol::Delivery {
    let x = table.x_of(&names(&responses.views[view].cohort));
    // The colluder's vote is the one that its own machine would give.
    let votes: Vec<Envelope> = voters
        .iter()
        .map(|seat| responses.votes[&(*seat, view)].1.clone())
        .collect();
    table.certify_under(x, &votes)
}

fn kinds(reveal: &Envelope) -> Vec<(usize, SecretKind)> {
    let Some(SiloMessage::Reveal { shares }) = reveal.peek_silo_message() else {
        panic!("not a reveal")
    };
    let mut dealers: Vec<u32> = shares.iter().map(|share| share.dealer).collect();
    dealers.dedup();
    assert_eq!(dealers.len(), shares.len(), "one share of each peer");
    shares
        .iter()
        .map(|share| (share.dealer as usize, share.kind))
        .collect()
}

#[test]
fn no_split_of_four_silos_among_survivor_views_opens_both_secrets_of_a_peer() {
    no_peer_loses_both_secrets(4);
}

#[test]
fn no_split_of_five_silos_among_survivor_views_opens_both_secrets_of_a_peer() {
    no_peer_loses_both_secrets(5);
}

#[test]
fn no_two_views_can_both_gather_a_quorum_at_any_size() {
    // The counts alone: colluders vote for both views, every honest silo for one.
    for invited in 3..=255_u32 {
        for colluders in 0..invited {
            let Ok(thresholds) = Thresholds::new(invited, colluders, None) else {
                continue;
            };
            for first in 0..=invited - colluders {
                let second = invited - colluders - first;
                let both = first + colluders >= thresholds.quorum
                    && second + colluders >= thresholds.quorum;
                assert!(
                    !both,
                    "{invited} silos, {colluders} colluders, {first} and {second}"
                );
            }
            assert!(thresholds.threshold > colluders);
            assert!(thresholds.quorum - colluders >= 2);
        }
    }
}
