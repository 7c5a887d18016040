// SPDX-License-Identifier: Apache-2.0
//! What an attack proves of the mechanism: the same code for every study, so the same facts in every report.

use serde::Serialize;

/// The canary audit of docs/privacy-attacks.md.
#[derive(Debug, Serialize)]
pub(super) struct Audit {
    pub(super) scope: &'static str,
    /// Repeats it.
    pub(super) command: &'static str,
    pub(super) attack: &'static str,
    /// The proven distance over the claimed one: what honest noise gives by calculation.
    pub(super) expected_ratio: f64,
    /// The audit fails outside of these.
    pub(super) accepted_ratios: [f64; 2],
    pub(super) confidence: &'static str,
}

impl Audit {
    pub(super) const OF_THE_MECHANISM: Self = Self {
        scope: "measured for the mechanism, not for this study",
        command: "just audit-privacy",
        attack: "a canary of norm D through the real path, 10,000 rounds with it and 10,000 without, one silo gone and one colluding, at a noise multiplier of 0.5",
        expected_ratio: 0.965,
        accepted_ratios: [0.93, 1.0],
        confidence: "one-sided 99 % bounds of Clopper and Pearson; an honest release leaves the accepted range once in a thousand seeds",
    };

    pub(super) fn words(&self) -> String {
        format!(
            "{}: `{}` attacks it with {}. It proves {} of the claimed distance by calculation and fails outside of {} to {} ({})",
            self.scope,
            self.command,
            self.attack,
            self.expected_ratio,
            self.accepted_ratios[0],
            self.accepted_ratios[1],
            self.confidence
        )
    }
}
