// SPDX-License-Identifier: Apache-2.0
//! The abstract rule and the real machines, asked the same: what is certified and what is revealed agrees in every case.

use super::{Gains, Rules, Sets, Shown};
use crate::exhaustive::{Liar, View, everybody, holds, members, sets_of};
use consilium_protocol::{SecretKind, SiloMessage};

/// What one silo is shown of the two views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    One(usize),
    /// The other view before the certificate of the first.
    OtherEarly(usize),
    /// The other view after the certificate of the first.
    OtherLate(usize),
}

impl Told {
    fn first(self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::One(first) | Self::OtherEarly(first) | Self::OtherLate(first) => Some(first),
        }
    }
}

/// The same for the core.
fn abstractly(told: &[Told]) -> Shown {
    let mut shown = Shown::default();
    for (seat, told) in told.iter().enumerate() {
        if let Some(first) = told.first() {
            shown.first[first] |= 1 << seat;
        }
        if matches!(told, Told::OtherEarly(_)) {
            shown.other_early |= 1 << seat;
        }
    }
    shown
}

/// What the real machines give away when they are shown the same.
fn play(liar: &mut Liar, views: [usize; 2], told: &[Told]) -> Gains {
    let colluders = liar.colluders;
    let sets = views.map(|view| liar.views[view]);
    let mut uploaded = [colluders; 2];
    let mut voted = [0_u8; 2];
    let mut states: Vec<_> = liar.ready.clone();
    let mut firsts = vec![None; liar.count];
    for seat in liar.honest() {
        let Some(first) = told[seat].first() else {
            continue;
        };
        firsts[seat] = Some(first);
        let freeze = liar.freezes[&sets[first].cohort];
        let answer = liar.machines.ask(seat, states[seat], freeze);
        states[seat] = answer.next;
        if !answer.sent.is_empty() {
            for view in 0..2 {
                uploaded[view] |= u8::from(sets[view].cohort == sets[first].cohort) << seat;
            }
        }
    }
    // A proposal that lists an upload which was never made cannot be said.
    let sayable = [0, 1].map(|view| sets[view].survivors & !uploaded[view] == 0);
    for seat in liar.honest() {
        let Some(first) = firsts[seat] else { continue };
        if sayable[first] {
            let answer = liar
                .machines
                .ask(seat, states[seat], liar.proposals[views[first]]);
            states[seat] = answer.next;
            voted[first] |= u8::from(!answer.sent.is_empty()) << seat;
        }
        if matches!(told[seat], Told::OtherEarly(_)) {
            let (view, sayable) = (views[1 - first], sayable == [true, true]);
            states[seat] = show_the_other(liar, seat, states[seat], view, sayable);
        }
    }
    let mut gains = Gains::default();
    let mut shares = vec![[1_u32; 2]; liar.count];
    let certificates: Vec<_> = (0..2)
        .map(|view| {
            let voters = (voted[view] | colluders) & sets[view].survivors;
            gains.certified[view] = sayable[view] && voters.count_ones() >= liar.quorum;
            gains.certified[view].then(|| liar.certificate(views[view], voters))
        })
        .collect();
    for seat in liar.honest() {
        let Some(first) = firsts[seat] else { continue };
        for view in [first, 1 - first] {
            if view != first && matches!(told[seat], Told::OtherLate(_)) {
                states[seat] = show_the_other(
                    liar,
                    seat,
                    states[seat],
                    views[view],
                    sayable == [true, true],
                );
            }
            let Some(certificate) = certificates[view] else {
                continue;
            };
            let answer = liar.machines.ask(seat, states[seat], certificate);
            states[seat] = answer.next;
            for delivery in &answer.sent {
                let Some(SiloMessage::Reveal { shares: revealed }) =
                    delivery.envelope.peek_silo_message()
                else {
                    panic!("a certificate is answered with a reveal")
                };
                for share in revealed {
                    let kind = usize::from(share.kind == SecretKind::MaskKey);
                    shares[share.dealer as usize][kind] += 1;
                }
            }
        }
    }
    for seat in liar.honest() {
        let [self_mask, mask_key] = shares[seat].map(|shares| shares >= liar.threshold);
        gains.self_masks |= u8::from(self_mask) << seat;
        gains.mask_keys |= u8::from(mask_key) << seat;
    }
    gains
}

/// Freeze of the other view, and its proposal if both can be said: nothing new is answered.
fn show_the_other(liar: &mut Liar, seat: usize, state: usize, view: usize, sayable: bool) -> usize {
    let cohort = liar.views[view].cohort;
    // The same freeze again is a repeat, and gets the same upload again.
    let first = liar.uploaded.get(&(seat, cohort)).map(|(_, upload)| upload);
    let first = first.cloned();
    let answer = liar.machines.ask(seat, state, liar.freezes[&cohort]);
    assert!(answer.sent.iter().all(|sent| Some(sent) == first.as_ref()));
    if !sayable {
        return answer.next;
    }
    let answer = liar.machines.ask(seat, answer.next, liar.proposals[view]);
    assert!(answer.sent.is_empty(), "a second vote");
    answer.next
}

const TOLD: [Told; 7] = [
    Told::Nothing,
    Told::One(0),
    Told::One(1),
    Told::OtherEarly(0),
    Told::OtherEarly(1),
    Told::OtherLate(0),
    Told::OtherLate(1),
];

fn compare(count: usize) -> (usize, usize) {
    let rules = Rules::of(count);
    let (mut cases, mut revealed) = (0, 0);
    for colluders in sets_of(count, 1) {
        let mut liar = Liar::new(count, colluders);
        let honest: Vec<usize> = members(everybody(count) & !colluders).collect();
        for pair in pairs(&liar.views) {
            let sets = pair.map(|view| Sets {
                cohort: liar.views[view].cohort,
                survivors: liar.views[view].survivors,
            });
            for choice in 0..TOLD.len().pow(honest.len() as u32) {
                let mut rest = choice;
                let mut told = vec![Told::Nothing; count];
                for seat in &honest {
                    told[*seat] = TOLD[rest % TOLD.len()];
                    rest /= TOLD.len();
                }
                let core = rules.play(sets, colluders, abstractly(&told));
                let machines = play(&mut liar, pair, &told);
                assert_eq!(core, machines, "{sets:?}, {told:?}");
                cases += 1;
                revealed += usize::from(machines.self_masks | machines.mask_keys != 0);
            }
        }
    }
    println!("{count} silos: {cases} cases agree, in {revealed} of them a secret is opened");
    (cases, revealed)
}

/// Every two views, and each view of the colluder's first upload with that of its second.
fn pairs(views: &[View]) -> Vec<[usize; 2]> {
    let mut pairs = Vec::new();
    for first in (0..views.len()).filter(|view| !views[*view].second_upload) {
        for second in first + 1..views.len() {
            let twin = View {
                second_upload: false,
                ..views[second]
            };
            if !views[second].second_upload || twin == views[first] {
                pairs.push([first, second]);
            }
        }
    }
    pairs
}

#[test]
fn the_core_and_the_machines_reveal_the_same_for_three_silos() {
    assert_eq!(compare(3), (147, 48));
}

#[test]
fn the_core_and_the_machines_reveal_the_same_for_four_silos() {
    assert_eq!(compare(4), (58_996, 9_904));
}

#[test]
fn a_case_of_the_core_that_everybody_agrees_on_opens_exactly_the_survivors() {
    for count in 3..=7 {
        let rules = Rules::of(count);
        for view in rules.views() {
            let shown = Shown {
                first: [everybody(count), 0],
                other_early: 0,
            };
            let gains = rules.play([view, view], 0, shown);
            assert_eq!(gains.self_masks, view.survivors);
            assert_eq!(gains.mask_keys, view.cohort & !view.survivors);
            assert!(members(view.survivors).all(|seat| holds(view.cohort, seat)));
        }
    }
}
