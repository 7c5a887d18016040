// SPDX-License-Identifier: Apache-2.0
//! Every silo has a view of its own: all that the liar can make of all of them together, in one attempt.

use consilium_protocol::{SecretKind, SiloMessage};
use std::collections::HashMap;

use super::liar::{Liar, holds, sets_of};
use super::loot::{Opened, unmasked};
use super::machines::State;

/// How far the liar takes one honest silo. Further than a vote it goes by a certificate or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Nowhere,
    ToUpload { cohort: u8 },
    ToVote { view: usize },
}

/// One way to treat all silos, and the view that it certifies. By seat; the colluders' entries are `Nowhere`.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) taken: Vec<Taken>,
    pub(crate) certified: Option<usize>,
}

/// How many cases there were, and how many of them certified a view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) cases: usize,
    pub(crate) certified: usize,
}

impl Liar {
    pub(crate) fn state(&self, seat: usize, taken: Taken) -> State {
        match taken {
            Taken::Nowhere => self.ready[seat],
            Taken::ToUpload { cohort } => self.uploaded[&(seat, cohort)].0,
            Taken::ToVote { view } => self.voted[&(seat, view)],
        }
    }

    /// The cohort that a silo has masked for.
    pub(crate) fn cohort_of(&self, taken: Taken) -> Option<u8> {
        match taken {
            Taken::Nowhere => None,
            Taken::ToUpload { cohort } => Some(cohort),
            Taken::ToVote { view } => Some(self.views[view].cohort),
        }
    }

    pub(crate) fn everywhere(&self, seat: usize) -> Vec<Taken> {
        if holds(self.colluders, seat) {
            return vec![Taken::Nowhere];
        }
        let cohorts = self.freezes.keys().filter(|cohort| holds(**cohort, seat));
        let views = (0..self.views.len()).filter(|view| holds(self.views[*view].survivors, seat));
        std::iter::once(Taken::Nowhere)
            .chain(cohorts.map(|cohort| Taken::ToUpload { cohort: *cohort }))
            .chain(views.map(|view| Taken::ToVote { view }))
            .collect()
    }

    /// Whether everybody whose upload a proposal lists has uploaded under its cohort.
    fn can_be_proposed(&self, view: usize, taken: &[Taken]) -> bool {
        let view = self.views[view];
        (0..self.count)
            .filter(|seat| holds(view.survivors & !self.colluders, *seat))
            .all(|seat| self.cohort_of(taken[seat]) == Some(view.cohort))
    }

    /// Every case that can be played.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let everywhere: Vec<Vec<Taken>> = (0..self.count).map(|at| self.everywhere(at)).collect();
        let total: usize = everywhere.iter().map(Vec::len).product();
        let mut cases = Vec::new();
        for number in 0..total {
            let mut rest = number;
            let mut taken = Vec::with_capacity(self.count);
            for options in &everywhere {
                taken.push(options[rest % options.len()]);
                rest /= options.len();
            }
            let mut views: Vec<usize> = taken
                .iter()
                .filter_map(|taken| match taken {
                    Taken::ToVote { view } => Some(*view),
                    Taken::Nowhere | Taken::ToUpload { .. } => None,
                })
                .collect();
            views.sort_unstable();
            views.dedup();
            if !views.iter().all(|view| self.can_be_proposed(*view, &taken)) {
                continue;
            }
            let certified: Vec<usize> = views
                .into_iter()
                .filter(|view| self.votes_for(*view, &taken).count_ones() >= self.quorum)
                .collect();
            assert!(certified.len() <= 1, "two views are certified: {taken:?}");
            let certified = certified.first().copied();
            cases.push(Case { taken, certified });
        }
        cases
    }

    /// Who votes for a view: those taken there, and the colluders for each in which they survive.
    pub(crate) fn votes_for(&self, view: usize, taken: &[Taken]) -> u8 {
        let colluders = self.views[view].survivors & self.colluders;
        let voters = (0..self.count).filter(|seat| taken[*seat] == Taken::ToVote { view });
        voters.fold(colluders, |voters, seat| voters | 1 << seat)
    }

    /// Shows the case's certificate to every honest silo; whose secrets the liar can rebuild then.
    fn open(&mut self, case: &Case, kinds: &mut Kinds) -> Opened {
        let mut opened = Opened::default();
        let Some(view) = case.certified else {
            return opened;
        };
        let voters = self.votes_for(view, &case.taken);
        let certificate = self.certificate(view, voters);
        // Every colluder was dealt one share of each kind by everybody.
        let mut shares = vec![[self.colluders.count_ones(); 2]; self.count];
        for seat in self.honest() {
            let state = self.state(seat, case.taken[seat]);
            let answer = self.machines.ask(seat, state, certificate);
            if !holds(voters, seat) {
                assert!(answer.sent.is_empty(), "silo {seat} reveals in {case:?}");
                continue;
            }
            let revealed = kinds.entry((seat, view, voters)).or_insert_with(|| {
                let reveal = answer.sent[0].envelope.peek_silo_message();
                let Some(SiloMessage::Reveal { shares }) = reveal else {
                    panic!("not a reveal: {reveal:?}")
                };
                let kinds = shares
                    .iter()
                    .map(|share| (share.dealer as usize, share.kind));
                kinds.collect()
            });
            for (dealer, kind) in revealed {
                shares[*dealer][usize::from(*kind == SecretKind::MaskKey)] += 1;
            }
        }
        for seat in self.honest() {
            let [self_mask, mask_key] = shares[seat].map(|count| count >= self.threshold);
            // INVARIANT: no peer ever has threshold shares of both kinds revealed.
            assert!(!(self_mask && mask_key), "silo {seat} is open in {case:?}");
            opened.self_masks |= u8::from(self_mask) << seat;
            opened.mask_keys |= u8::from(mask_key) << seat;
        }
        opened
    }
}

/// By (silo, view, voters): what it reveals.
type Kinds = HashMap<(usize, usize, u8), Vec<(usize, SecretKind)>>;

fn every_split(count: usize, size: u32) -> Tally {
    let mut tally = Tally::default();
    let mut runs = 0;
    for colluders in sets_of(count, size) {
        let mut liar = Liar::new(count, colluders);
        let mut kinds = Kinds::new();
        let mut combinations: HashMap<(Vec<Option<u8>>, Opened), Vec<u8>> = HashMap::new();
        for case in liar.cases() {
            let opened = liar.open(&case, &mut kinds);
            let cohorts: Vec<Option<u8>> = case
                .taken
                .iter()
                .map(|taken| liar.cohort_of(*taken))
                .collect();
            let open = combinations
                .entry((cohorts.clone(), opened))
                .or_insert_with(|| unmasked(&cohorts, colluders, opened));
            tally.cases += 1;
            match case.certified {
                None => assert!(open.is_empty(), "{case:?} opens {open:?}"),
                Some(view) => {
                    // INVARIANT: no release with fewer than quorum - n_c honest inputs, and nothing but the one sum.
                    tally.certified += 1;
                    let honest = liar.views[view].survivors & !colluders;
                    assert_eq!(*open, vec![honest], "{case:?}");
                    assert!(honest.count_ones() >= liar.quorum - size);
                }
            }
        }
        runs += liar.machines.runs();
    }
    println!("{count} silos, {size} colluding: {tally:?}, {runs} answers of real machines");
    tally
}

#[test]
fn no_split_of_three_silos_opens_more_than_one_sum_of_a_quorum() {
    let expected = Tally {
        cases: 36,
        certified: 6,
    };
    assert_eq!(every_split(3, 1), expected);
}

#[test]
fn no_split_of_four_silos_opens_more_than_one_sum_of_a_quorum() {
    let expected = Tally {
        cases: 3_436,
        certified: 592,
    };
    assert_eq!(every_split(4, 1), expected);
}

#[test]
fn no_split_of_five_silos_opens_more_than_one_sum_of_a_quorum() {
    let expected = Tally {
        cases: 62_270,
        certified: 1_220,
    };
    assert_eq!(every_split(5, 1), expected);
}

#[test]
fn no_split_of_four_silos_with_two_colluders_opens_more_than_one_sum_of_a_quorum() {
    let expected = Tally {
        cases: 72,
        certified: 12,
    };
    assert_eq!(every_split(4, 2), expected);
}

#[test]
fn no_split_of_five_silos_with_two_colluders_opens_more_than_one_sum_of_a_quorum() {
    let expected = Tally {
        cases: 18_620,
        certified: 2_020,
    };
    assert_eq!(every_split(5, 2), expected);
}
