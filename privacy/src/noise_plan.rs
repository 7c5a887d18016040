// SPDX-License-Identifier: Apache-2.0
//! How much noise each silo adds: the same integers for every silo, derived from public numbers only.
//!
//! `n` silos are invited, at most `n_d` drop out, at most `n_c` collude (silos that add no noise count
//! among these). Every silo adds a discrete Gaussian of variance `sigma_s^2 = z^2 D^2/(n - n_d - n_c)`,
//! so that the honest shares in *every* release add up to the noise that was promised. Dividing by `n`
//! instead would turn an epsilon of 3 into 3.53 when one of four silos drops.
//!
//! Under [`NoisePlacement::Local`] nothing is shared: every silo adds the whole noise, `z^2 D^2`, to each of its own
//! sums, and neither masks nor other silos are counted on.
//!
//! A plan says too who takes part in an attempt: everybody, or a [`Batch`] that each silo draws and tells nobody.
//!
//! Whom the noise hides is a patient or, as [`Unit::Silo`], everything that one silo contributes.
//!
//! A patient may be known to several silos: then one patient moves the sum by `D` for each of them.
//!
//! The plan carries the integers `k` and `D`, with `sigma_s^2 = k^2/(2 ln 2)`: the sampler draws exactly
//! that, the accountant counts on the real number below it.

mod derivation;
mod fault;
mod unit;
mod vector_plan;
mod view;

use serde::{Deserialize, Serialize};

pub use derivation::NoiseTerms;
pub use fault::NoisePlanFault;
pub use unit::Unit;
pub use vector_plan::{VectorPlan, VectorPlanFault};
pub use view::View;

use crate::accountant::SamplerDistance;
use crate::batch::Batch;
use crate::loss::SamplingRate;

/// The most silos of one round. Messages of everybody about everybody grow with the square of their number.
pub const MOST_SILOS: u32 = 1000;

/// On what the noise is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NoisePlacement {
    /// On each silo's one vector of an attempt; the shares of noise add up under the masks.
    Shared,
    /// On each silo's own sum, whole, at each of so many local steps of an attempt.
    Local {
        /// Local steps of one attempt.
        steps: u32,
    },
}

/// The noise of one study, in integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoisePlan {
    /// `D`: the integer norm that one patient's vector is clipped to.
    pub clip_integer: u64,
    /// `k`, where `sigma_s^2 = k^2/(2 ln 2)` is the variance of the noise that each silo samples.
    pub scale: u64,
    /// Silos invited, `n`.
    pub silos: u32,
    /// Silos that may drop out, `n_d`.
    pub dropouts: u32,
    /// Silos that may collude, `n_c`.
    pub colluders: u32,
    /// Attempts that the budget is charged for, `T`.
    pub attempts: u32,
    /// The public bound on the patients of one silo; 1, for its one vector, where the silo is the unit.
    pub patients_cap: u64,
    /// Silos that one patient may be known to, `m`: together they move the sum by `m D`.
    #[serde(default = "one_silo")]
    pub silos_per_patient: u32,
    /// Who takes part in an attempt.
    pub batch: Batch,
    /// On what the noise is added.
    pub placement: NoisePlacement,
    /// Whom it hides.
    #[serde(default)]
    pub unit: Unit,
}

impl NoisePlan {
    /// The same noise in attempts in which each patient takes part with this probability.
    ///
    /// All of them may be drawn, so bounds and widths stay as they are.
    #[must_use]
    pub fn with_sampling_rate(self, rate: SamplingRate) -> Self {
        Self {
            batch: Batch::of(rate),
            ..self
        }
    }

    /// The same noise for another unit: what is clipped to `D` is then a silo's one vector.
    #[must_use]
    pub fn with_unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    /// The same noise for patients who may be known to so many silos: it costs more.
    #[must_use]
    pub fn with_silos_per_patient(self, silos_per_patient: u32) -> Self {
        Self {
            silos_per_patient,
            ..self
        }
    }

    /// Whether the integers of a plan that came from elsewhere belong together.
    pub fn validate(&self) -> Result<(), NoisePlanFault> {
        honest_shares(self.silos, self.dropouts, self.colluders)?;
        if self.attempts == 0 {
            return Err(NoisePlanFault::NoAttempts);
        }
        if self.releases_per_attempt() == 0
            || self
                .attempts
                .checked_mul(self.releases_per_attempt())
                .is_none()
        {
            return Err(NoisePlanFault::LocalSteps);
        }
        // INVARIANT: one vector of each silo, in every attempt, with the noise on the sum of all of them.
        if self.unit == Unit::Silo
            && (self.patients_cap != 1
                || self.silos_per_patient != 1
                || self.batch != Batch::Everybody
                || self.placement != NoisePlacement::Shared)
        {
            return Err(NoisePlanFault::SiloUnit);
        }
        if self.silos_per_patient == 0 || self.silos_per_patient > self.silos {
            return Err(NoisePlanFault::SilosPerPatient {
                silos_per_patient: self.silos_per_patient,
                silos: self.silos,
            });
        }
        // INVARIANT: every silo draws for itself, and local noise hides one silo's sum: neither is one shift by m D.
        if self.silos_per_patient > 1
            && (self.batch != Batch::Everybody || self.placement != NoisePlacement::Shared)
        {
            return Err(NoisePlanFault::SeveralSilosApart);
        }
        if self.patients_cap == 0 || self.patients_cap > MOST_PATIENTS {
            return Err(NoisePlanFault::PatientsCap {
                patients_cap: self.patients_cap,
            });
        }
        if !self.clip_integer.is_power_of_two()
            || !(LEAST_SCALE..=MOST_CLIP_INTEGER).contains(&self.clip_integer)
        {
            return Err(NoisePlanFault::ClipInteger {
                clip_integer: self.clip_integer,
            });
        }
        // INVARIANT: k >= 2^14 makes sigma_s > 13,900: far above the 4 that sums of discrete Gaussians need.
        if !(LEAST_SCALE..=MOST_SCALE).contains(&self.scale) {
            return Err(NoisePlanFault::NoiseOutOfRange);
        }
        self.word_bits().map(|_| ())
    }

    /// The smallest width on offer in which the sum cannot wrap: 2^(bits-1) > n cap D + 12 sigma_s sqrt(n).
    pub fn word_bits(&self) -> Result<u8, NoisePlanFault> {
        let largest = self.largest_sum();
        WORD_WIDTHS
            .into_iter()
            .find(|bits| largest < 1_u128 << (bits - 1).min(MOST_SUM_BITS))
            .ok_or(NoisePlanFault::SumTooWide)
    }

    /// Whom the noise hides, in words.
    #[must_use]
    pub fn hidden(&self) -> String {
        match (self.unit, self.silos_per_patient) {
            (Unit::Silo, _) => "one hospital with all of its patients".to_owned(),
            (Unit::Patient, 0 | 1) => "one patient of one hospital".to_owned(),
            (Unit::Patient, several) => {
                format!("one patient, who may be known to {several} of the hospitals")
            }
        }
    }

    /// Noised sums that one attempt takes from a silo's patients.
    #[must_use]
    pub fn releases_per_attempt(&self) -> u32 {
        match self.placement {
            NoisePlacement::Shared => 1,
            NoisePlacement::Local { steps } => steps,
        }
    }

    /// Noised sums of all attempts: what the budget is charged for.
    #[must_use]
    pub fn releases(&self) -> u32 {
        self.attempts.saturating_mul(self.releases_per_attempt())
    }

    /// `sigma_s^2`, rounded down: what the accountant may count on.
    #[must_use]
    pub fn variance_below(&self) -> f64 {
        approximate(self.scale) * approximate(self.scale) * HALF_OVER_LN_2 * ROUNDING_DOWN
    }

    /// How far the noise of one attempt may be from exact: of a draw for each coordinate of each silo or, with local
    /// noise, of each step of one silo.
    #[must_use]
    pub fn distance_from_exact(&self, dimension: u64) -> SamplerDistance {
        let vectors = match self.placement {
            NoisePlacement::Shared => self.silos,
            NoisePlacement::Local { steps } => steps,
        };
        SamplerDistance::of_vectors(vectors, dimension)
    }

    /// The largest magnitude of a coordinate of the sum, but for a probability under 2^-100.
    fn largest_sum(&self) -> u128 {
        let silos = u128::from(match self.placement {
            NoisePlacement::Shared => self.silos,
            NoisePlacement::Local { .. } => 1,
        });
        // 12 sigma_s sqrt(n), rounded up.
        let noise = (144 * u128::from(variance_above(self.scale)) * silos).isqrt() + 1;
        let data = silos
            .saturating_mul(u128::from(self.patients_cap))
            .saturating_mul(u128::from(self.clip_integer));
        data.saturating_add(noise)
    }
}

fn honest_shares(silos: u32, dropouts: u32, colluders: u32) -> Result<u32, NoisePlanFault> {
    let honest = silos
        .checked_sub(dropouts)
        .and_then(|survivors| survivors.checked_sub(colluders));
    match honest {
        Some(honest) if honest > 0 && silos <= MOST_SILOS => Ok(honest),
        Some(_) | None => Err(NoisePlanFault::NobodyHonest {
            silos,
            dropouts,
            colluders,
        }),
    }
}

/// What plans said before a patient could be known to several silos.
fn one_silo() -> u32 {
    1
}

/// The integer above `k^2/(2 ln 2)`, by integer arithmetic.
fn variance_above(scale: u64) -> u64 {
    // At most 2^30, so the square times 2^64 stays far below 2^128.
    let scale = u128::from(scale.min(MOST_SCALE));
    let above = ((scale * scale * HALF_OVER_LN_2_ABOVE) >> 64) + 1;
    u64::try_from(above).unwrap_or(u64::MAX)
}

/// Exact for the powers of two, scales and dimensions of a plan: all are below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "below 2^53 in every validated plan"
)]
fn approximate(value: u64) -> f64 {
    value as f64
}

/// 1/(2 ln 2).
const HALF_OVER_LN_2: f64 = 0.721_347_520_444_481_7;
/// 2^64/(2 ln 2), rounded up.
const HALF_OVER_LN_2_ABOVE: u128 = 13_306_513_097_844_322_492;
const ROUNDING_DOWN: f64 = 1.0 - 1e-13;
const LEAST_SCALE: u64 = 1 << 14;
/// Keeps the variance below 2^60, where the sampler's arithmetic fits 128 bits.
const MOST_SCALE: u64 = 1 << 30;
const MOST_CLIP_INTEGER: u64 = 1 << 30;
const MOST_PATIENTS: u64 = 1 << 32;
/// The verification of a sum needs it below 2^60.
const MOST_SUM_BITS: u8 = 60;
pub(crate) const WORD_WIDTHS: [u8; 7] = [16, 20, 24, 32, 40, 48, 64];

#[cfg(test)]
mod tests;
