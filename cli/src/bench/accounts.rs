// SPDX-License-Identifier: Apache-2.0
//! Where processor time and memory went.

use rustix::time::ClockId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a round spends processor time on. A step holds the handling of its messages on both sides, lists, signatures
/// and hashes included, except for the work on vectors, which has steps of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Open, the advertisements and the KeyBook's assembly.
    KeyAgreement,
    /// The deals, the DealBook and the receipts.
    Sharing,
    /// Readiness, the cohort's freeze and the agreement of every mask key.
    Freezing,
    /// Expanding the mask streams and adding them to a silo's vector.
    Expansion,
    /// Packing a silo's masked vector.
    Packing,
    /// Digests over the bytes of vectors.
    Digests,
    /// Writing vectors to files and reading them.
    Spool,
    /// Uploads' commitments, the survivors' proposal and the votes.
    Voting,
    /// The certificate, shares and the secrets rebuilt from them.
    Revealing,
    /// Adding the survivors' vectors and removing the masks.
    Unmasking,
    /// What shows that the sum is right: commitment, challenge, tags and release.
    Verification,
}

/// Seconds of processor time, by step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Steps {
    key_agreement: f64,
    sharing: f64,
    freezing: f64,
    expansion: f64,
    packing: f64,
    digests: f64,
    spool: f64,
    voting: f64,
    revealing: f64,
    unmasking: f64,
    verification: f64,
}

impl Steps {
    /// Runs `work` and adds what it took to a step.
    pub(super) fn timed<T>(&mut self, step: Step, work: impl FnOnce() -> T) -> T {
        let start = thread_seconds();
        let done = work();
        *self.of(step) += thread_seconds() - start;
        done
    }

    /// Moves time from one step to another, at most what the first has.
    pub(super) fn shift(&mut self, from: Step, to: Step, seconds: f64) {
        let seconds = seconds.min(*self.of(from));
        *self.of(from) -= seconds;
        *self.of(to) += seconds;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (step, seconds) in other.named() {
            *self.of(step) += seconds;
        }
    }

    pub(super) fn total(&self) -> f64 {
        self.named().into_iter().map(|(_, seconds)| seconds).sum()
    }

    /// Every step in the order of a round.
    pub(super) fn named(&self) -> [(Step, f64); 11] {
        [
            (Step::KeyAgreement, self.key_agreement),
            (Step::Sharing, self.sharing),
            (Step::Freezing, self.freezing),
            (Step::Expansion, self.expansion),
            (Step::Packing, self.packing),
            (Step::Digests, self.digests),
            (Step::Spool, self.spool),
            (Step::Voting, self.voting),
            (Step::Revealing, self.revealing),
            (Step::Unmasking, self.unmasking),
            (Step::Verification, self.verification),
        ]
    }

    fn of(&mut self, step: Step) -> &mut f64 {
        match step {
            Step::KeyAgreement => &mut self.key_agreement,
            Step::Sharing => &mut self.sharing,
            Step::Freezing => &mut self.freezing,
            Step::Expansion => &mut self.expansion,
            Step::Packing => &mut self.packing,
            Step::Digests => &mut self.digests,
            Step::Spool => &mut self.spool,
            Step::Voting => &mut self.voting,
            Step::Revealing => &mut self.revealing,
            Step::Unmasking => &mut self.unmasking,
            Step::Verification => &mut self.verification,
        }
    }
}

impl Step {
    /// The step that a message belongs to, by its name.
    pub(super) fn of_message(name: Option<&str>) -> Self {
        match name {
            Some("Open" | "AdvertiseKeys") => Self::KeyAgreement,
            Some("KeyBook" | "ShareKeys" | "DealBook" | "DealReceipt") => Self::Sharing,
            Some("Ready" | "CohortFreeze") => Self::Freezing,
            Some("MaskedInput" | "SurvivorProposal" | "Vote") => Self::Voting,
            Some("Certificate" | "Reveal") => Self::Revealing,
            _ => Self::Verification,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KeyAgreement => "key agreement",
            Self::Sharing => "sharing",
            Self::Freezing => "freezing the cohort",
            Self::Expansion => "expansion",
            Self::Packing => "packing",
            Self::Digests => "digests of vectors",
            Self::Spool => "spool",
            Self::Voting => "voting",
            Self::Revealing => "revealing",
            Self::Unmasking => "unmasking",
            Self::Verification => "verification",
        }
    }
}

/// Seconds of processor time that this thread has used.
pub(super) fn thread_seconds() -> f64 {
    seconds_of(ClockId::ThreadCPUTime)
}

/// Seconds of processor time that all threads of this process have used.
pub(super) fn process_seconds() -> f64 {
    seconds_of(ClockId::ProcessCPUTime)
}

fn seconds_of(clock: ClockId) -> f64 {
    let now = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds).as_secs_f64()
}

/// The most memory that this process ever held, where the system tells (Linux).
pub(super) fn peak_memory_bytes() -> Option<u64> {
    crate::executable::peak_memory_bytes("/proc/self/status")
}
