// SPDX-License-Identifier: Apache-2.0
//! ABSTRACT: the counting rule of freeze, vote, certificate and reveal, without keys, signatures, bytes or machines.
//!
//! It is small enough to be enumerated for six and seven silos, over all cohorts, all sets of colluders and two views of
//! each silo, and it is worth something because it is compared with the real machines, case by case, for three and four.
//! What it leaves out, the other tests hold: that nothing but these messages moves a machine, and that no signature or
//! share is forged.

mod against_machines;
mod up_to_seven;

use consilium_protocol::{SecretKind, Thresholds};

use crate::exhaustive::{holds, subsets};

/// The rules that a silo obeys, each of which can be taken away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) count: usize,
    pub(crate) colluders: u32,
    pub(crate) fewest: u32,
    pub(crate) quorum: u32,
    pub(crate) threshold: u32,
    pub(crate) votes: Votes,
}

/// How often a silo votes in one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Votes {
    Once,
    /// The rule taken away.
    ForEveryView,
}

/// A cohort and the survivors in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sets {
    pub(crate) cohort: u8,
    pub(crate) survivors: u8,
}

/// What the honest silos are shown of two views, as sets of seats. What colluders are shown says nothing: they sign
/// anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// By view: who is shown it first.
    pub(crate) first: [u8; 2],
    /// Who of them is shown the other one before the certificate of the first.
    pub(crate) other_early: u8,
}

/// What the liar gets out of one case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gains {
    /// By view.
    pub(crate) certified: [bool; 2],
    /// Honest silos of which threshold shares of the self mask are known.
    pub(crate) self_masks: u8,
    /// The same of the mask key.
    pub(crate) mask_keys: u8,
}

impl Rules {
    /// The rules of a plan for everybody that tolerates as many drops as is safe.
    pub(crate) fn of(count: usize) -> Self {
        let colluders = (count / 3) as u32;
        let thresholds = Thresholds::new(count as u32, colluders, None).unwrap();
        Self {
            count,
            colluders,
            fewest: thresholds.fewest(count) as u32,
            quorum: thresholds.quorum,
            threshold: thresholds.threshold,
            votes: Votes::Once,
        }
    }

    pub(crate) fn views(&self) -> Vec<Sets> {
        let cohorts = subsets(((1_u32 << self.count) - 1) as u8, self.fewest);
        let of = |cohort| {
            let survivors = subsets(cohort, self.fewest).into_iter();
            survivors.map(move |survivors| Sets { cohort, survivors })
        };
        cohorts.into_iter().flat_map(of).collect()
    }

    /// What two views get the liar.
    pub(crate) fn play(&self, views: [Sets; 2], colluders: u8, shown: Shown) -> Gains {
        // A silo masks for the first cohort that holds it and votes for the first set that does.
        let masked = [0, 1].map(|view| shown.first[view] & views[view].cohort & !colluders);
        let mut uploaded = [0, 1].map(|view| masked[view] | colluders);
        if views[0].cohort == views[1].cohort {
            uploaded = [uploaded[0] | uploaded[1]; 2];
        }
        let mut voted = [0, 1].map(|view| masked[view] & views[view].survivors);
        if self.votes == Votes::ForEveryView {
            let everybody = (voted[0] | voted[1]) & !colluders;
            voted = [0, 1].map(|view| everybody & views[view].survivors);
            uploaded = [0, 1].map(|view| uploaded[view] | voted[view]);
        }
        // A proposal can be said when all whom it lists have uploaded.
        let sayable = [0, 1].map(|view| views[view].survivors & !uploaded[view] == 0);
        let mut reveals = [0, 1].map(|view| masked[view] & voted[view]);
        for view in 0..2 {
            // Two freezes or two proposals before the certificate end the attempt for the silo.
            if views[0].cohort != views[1].cohort || sayable[1 - view] {
                reveals[view] &= !shown.other_early;
            }
        }
        let mut gains = Gains::default();
        for view in 0..2 {
            let voters = (voted[view] | colluders) & views[view].survivors;
            gains.certified[view] = sayable[view] && voters.count_ones() >= self.quorum;
        }
        let shares = |seat: usize, kind: SecretKind| {
            let mut shares = colluders.count_ones();
            for view in 0..2 {
                let alive = holds(views[view].survivors, seat);
                if gains.certified[view]
                    && holds(views[view].cohort, seat)
                    && alive == (kind == SecretKind::SelfMask)
                {
                    shares += reveals[view].count_ones();
                }
            }
            shares
        };
        if gains.certified == [false, false] {
            return gains;
        }
        let (mut self_masks, mut mask_keys) = (0, 0);
        for seat in (0..self.count).filter(|seat| !holds(colluders, *seat)) {
            let known = |kind| u8::from(shares(seat, kind) >= self.threshold) << seat;
            self_masks |= known(SecretKind::SelfMask);
            mask_keys |= known(SecretKind::MaskKey);
        }
        Gains {
            self_masks,
            mask_keys,
            ..gains
        }
    }

    /// The invariants, and which of them a case breaks.
    pub(crate) fn broken(
        &self,
        views: [Sets; 2],
        colluders: u8,
        gains: Gains,
    ) -> Option<&'static str> {
        if gains.self_masks & gains.mask_keys != 0 {
            return Some("threshold shares of both kinds of one peer");
        }
        for (view, certified) in views.iter().zip(gains.certified) {
            let honest = (view.survivors & !colluders).count_ones();
            let least = Self::of(self.count).quorum - self.colluders;
            if certified && honest < least {
                return Some("a release with fewer than quorum - n_c honest inputs");
            }
        }
        (gains.certified == [true, true]).then_some("two sums in one attempt")
    }
}
