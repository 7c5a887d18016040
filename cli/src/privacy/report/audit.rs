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
    /// The proven distance over the claimed one, as docs/privacy-attacks.md has it.
    pub(super) measured_ratio: f64,
    /// When that was.
    pub(super) measured_on: &'static str,
    /// What honest noise gives by calculation.
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
        measured_ratio: 0.9687,
        measured_on: "2026-11-25",
        expected_ratio: 0.965,
        accepted_ratios: [0.93, 1.0],
        confidence: "one-sided 99 % bounds of Clopper and Pearson; an honest release leaves the accepted range once in a thousand seeds",
    };

    pub(super) fn words(&self) -> String {
        format!(
            "{}: `{}` attacks it with {}. On {} it proved {} of the claimed distance, with {} expected of honest noise; it fails outside of {} to {} ({})",
            self.scope,
            self.command,
            self.attack,
            self.measured_on,
            self.measured_ratio,
            self.expected_ratio,
            self.accepted_ratios[0],
            self.accepted_ratios[1],
            self.confidence
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measurement_is_the_one_that_the_page_on_attacks_tells_of() {
        let page = include_str!("../../../../docs/privacy-attacks.md");
        let Audit {
            measured_ratio,
            command,
            accepted_ratios: [low, high],
            ..
        } = Audit::OF_THE_MECHANISM;
        assert!(page.contains(&format!("99 % bounds), ratio {measured_ratio}\n")));
        assert!(page.contains(command));
        assert!((low..=high).contains(&measured_ratio));
    }
}
