// SPDX-License-Identifier: Apache-2.0
//! From public terms to the integers of a plan.

use super::{
    HALF_OVER_LN_2, LEAST_SCALE, MOST_CLIP_INTEGER, MOST_SCALE, NoisePlacement, NoisePlan,
    NoisePlanFault, Unit, approximate, honest_shares,
};
use crate::batch::Batch;
use crate::loss::NoiseMultiplier;

/// What a noise plan is derived from; every field is public and written in the study or the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseTerms {
    /// The multiplier that must hold when `dropouts` silos are missing and `colluders` are subtracted.
    pub multiplier: NoiseMultiplier,
    /// Silos invited, `n`.
    pub silos: u32,
    /// Silos that may drop out of a round, `n_d`.
    pub dropouts: u32,
    /// Silos that may collude, or add no noise, `n_c`.
    pub colluders: u32,
    /// Rounds plus spare attempts, `T`: each one releases a sum.
    pub attempts: u32,
    /// The public bound on the patients of one silo; 1 where the silo is the unit.
    pub patients_cap: u64,
    /// Coordinates of the vector.
    pub dimension: u64,
}

impl NoisePlan {
    /// Chooses the integers: `D` a power of two, at least 2^14 and 64 sqrt(dimension), and `k` at least 2^14.
    ///
    /// Uses only + - * / sqrt, so every silo derives the same plan.
    pub fn derive(terms: &NoiseTerms) -> Result<Self, NoisePlanFault> {
        Self::derive_placed(terms, NoisePlacement::Shared)
    }

    /// The same where every silo adds the whole noise at each of `steps` local steps.
    pub fn derive_local(terms: &NoiseTerms, steps: u32) -> Result<Self, NoisePlanFault> {
        Self::derive_placed(terms, NoisePlacement::Local { steps })
    }

    fn derive_placed(
        terms: &NoiseTerms,
        placement: NoisePlacement,
    ) -> Result<Self, NoisePlanFault> {
        let honest = honest_shares(terms.silos, terms.dropouts, terms.colluders)?;
        let honest = match placement {
            NoisePlacement::Shared => honest,
            NoisePlacement::Local { .. } => 1,
        };
        if terms.dimension == 0 || terms.dimension > MOST_COORDINATES {
            return Err(NoisePlanFault::Dimension {
                dimension: terms.dimension,
            });
        }
        let mut clip_integer = LEAST_SCALE
            .max(64 * ceiling_sqrt(terms.dimension))
            .next_power_of_two();
        loop {
            let scale = scale_for(terms.multiplier, clip_integer, honest)?;
            if scale >= LEAST_SCALE {
                let plan = Self {
                    clip_integer,
                    scale,
                    silos: terms.silos,
                    dropouts: terms.dropouts,
                    colluders: terms.colluders,
                    attempts: terms.attempts,
                    patients_cap: terms.patients_cap,
                    silos_per_patient: 1,
                    batch: Batch::Everybody,
                    placement,
                    unit: Unit::Patient,
                };
                plan.validate()?;
                return Ok(plan);
            }
            clip_integer *= 2;
        }
    }
}

/// `k = ceil(z D sqrt(2 ln 2/honest))`, with a margin above the rounding errors of the formula itself.
fn scale_for(
    multiplier: NoiseMultiplier,
    clip_integer: u64,
    honest: u32,
) -> Result<u64, NoisePlanFault> {
    let share = multiplier.value() * approximate(clip_integer)
        / (f64::from(honest) * HALF_OVER_LN_2).sqrt();
    let scale = (share * ROUNDING_UP).ceil();
    if scale <= approximate(MOST_SCALE) && clip_integer <= MOST_CLIP_INTEGER {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, whole, at most 2^30"
        )]
        Ok(scale as u64)
    } else {
        Err(NoisePlanFault::NoiseOutOfRange)
    }
}

fn ceiling_sqrt(value: u64) -> u64 {
    let root = value.isqrt();
    if root * root == value { root } else { root + 1 }
}

const ROUNDING_UP: f64 = 1.0 + 1e-12;
const MOST_COORDINATES: u64 = 1 << 32;
