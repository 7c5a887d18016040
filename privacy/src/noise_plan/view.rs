// SPDX-License-Identifier: Apache-2.0
//! The noise that is certain in a release, in the eyes of three attackers.

use serde::{Deserialize, Serialize};

use super::{
    HALF_OVER_LN_2, NoisePlacement, NoisePlan, NoisePlanFault, ROUNDING_DOWN, approximate,
};
use crate::loss::NoiseMultiplier;

/// Whose eyes the noise is measured with.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// Nobody colludes and the masks hold: the noise of all `n - n_d` survivors is seen.
    MasksHold,
    /// `n_c` silos subtract their own noise: `n - n_d - n_c` shares remain. This view is charged unless an officer chose the next.
    #[default]
    Colluders,
    /// The masks are broken: a silo has nothing but its own share.
    MasksBroken,
}

impl View {
    /// All three, in the order in which they are reported.
    pub const ALL: [Self; 3] = [Self::MasksHold, Self::Colluders, Self::MasksBroken];

    /// The word for it in ledgers and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MasksHold => "masks_hold",
            Self::Colluders => "colluders",
            Self::MasksBroken => "masks_broken",
        }
    }
}

impl NoisePlan {
    /// The noise multiplier that a view faces; rounded down, for the accountant.
    pub fn multiplier(&self, view: View) -> Result<NoiseMultiplier, NoisePlanFault> {
        let shares = f64::from(self.shares_seen(view));
        let standard_deviation = approximate(self.scale) * (shares * HALF_OVER_LN_2).sqrt();
        NoiseMultiplier::new(standard_deviation / approximate(self.clip_integer) * ROUNDING_DOWN)
            .map_err(|_| NoisePlanFault::NoiseOutOfRange)
    }

    /// How many independent shares of noise a view is certain to face.
    ///
    /// With local noise it is one in every view: what masks and other silos hide beyond a silo's own noise is not counted.
    #[must_use]
    pub fn shares_seen(&self, view: View) -> u32 {
        match (self.placement, view) {
            (NoisePlacement::Shared, View::MasksHold) => self.silos.saturating_sub(self.dropouts),
            (NoisePlacement::Shared, View::Colluders) => self
                .silos
                .saturating_sub(self.dropouts)
                .saturating_sub(self.colluders),
            (NoisePlacement::Shared, View::MasksBroken) | (NoisePlacement::Local { .. }, _) => 1,
        }
    }
}
