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
//! The plan carries the integers `k` and `D`, with `sigma_s^2 = k^2/(2 ln 2)`: the sampler draws exactly
//! that, the accountant counts on the real number below it.

mod vector_plan;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use vector_plan::{VectorPlan, VectorPlanFault};

use crate::accountant::{NoCertificate, SamplerDistance};
use crate::batch::Batch;
use crate::loss::{NoiseMultiplier, SamplingRate};

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
    /// The public bound on the patients of one silo.
    pub patients_cap: u64,
    /// Coordinates of the vector.
    pub dimension: u64,
}

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
    /// The public bound on the patients of one silo.
    pub patients_cap: u64,
    /// Who takes part in an attempt.
    pub batch: Batch,
    /// On what the noise is added.
    pub placement: NoisePlacement,
}

/// Whose eyes the noise is measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// Nobody colludes and the masks hold: the noise of all `n - n_d` survivors is seen.
    MasksHold,
    /// `n_c` silos subtract their own noise: `n - n_d - n_c` shares remain. This view is charged.
    Colluders,
    /// The masks are broken: a silo has nothing but its own share.
    MasksBroken,
}

impl View {
    /// All three, in the order in which they are reported.
    pub const ALL: [Self; 3] = [Self::MasksHold, Self::Colluders, Self::MasksBroken];
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
                    batch: Batch::Everybody,
                    placement,
                };
                plan.validate()?;
                return Ok(plan);
            }
            clip_integer *= 2;
        }
    }

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

/// Why no noise plan exists for these terms, or a plan contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoisePlanFault {
    /// Nobody honest would be left to add noise.
    #[error(
        "{silos} silos cannot lose {dropouts} and distrust {colluders}: no honest noise would be left, invite more silos"
    )]
    NobodyHonest {
        /// Silos invited.
        silos: u32,
        /// Dropouts tolerated.
        dropouts: u32,
        /// Colluders tolerated.
        colluders: u32,
    },
    /// A study without a single attempt.
    #[error("a noised study needs at least one attempt")]
    NoAttempts,
    /// No local step, or more releases than are counted.
    #[error("local noise needs at least one step, and attempts times steps below 2^32")]
    LocalSteps,
    /// No coordinates, or more than 2^32.
    #[error("a vector of {dimension} coordinates cannot be noised, use 1 to 2^32")]
    Dimension {
        /// The number of coordinates.
        dimension: u64,
    },
    /// A cap on patients outside 1 to 2^32.
    #[error("`most_patients_per_silo` is {patients_cap}, use 1 to 2^32")]
    PatientsCap {
        /// The cap.
        patients_cap: u64,
    },
    /// The clip integer is not a power of two in its range.
    #[error("clip integer {clip_integer} is not a power of two from 2^14 to 2^30")]
    ClipInteger {
        /// The clip integer.
        clip_integer: u64,
    },
    /// The noise does not fit the sampler or the accountant.
    #[error(
        "the noise multiplier is too large or too small for this vector, choose another epsilon or fewer rounds"
    )]
    NoiseOutOfRange,
    /// The sum would need more than 2^60.
    #[error("the sum does not fit 64-bit words, lower `most_patients_per_silo`")]
    SumTooWide,
    /// Nothing is certified about such noise in such batches.
    #[error(transparent)]
    NotCertified(#[from] NoCertificate),
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

/// The integer above `k^2/(2 ln 2)`, by integer arithmetic.
fn variance_above(scale: u64) -> u64 {
    // At most 2^30, so the square times 2^64 stays far below 2^128.
    let scale = u128::from(scale.min(MOST_SCALE));
    let above = ((scale * scale * HALF_OVER_LN_2_ABOVE) >> 64) + 1;
    u64::try_from(above).unwrap_or(u64::MAX)
}

fn ceiling_sqrt(value: u64) -> u64 {
    let root = value.isqrt();
    if root * root == value { root } else { root + 1 }
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
const ROUNDING_UP: f64 = 1.0 + 1e-12;
const ROUNDING_DOWN: f64 = 1.0 - 1e-13;
const LEAST_SCALE: u64 = 1 << 14;
/// Keeps the variance below 2^60, where the sampler's arithmetic fits 128 bits.
const MOST_SCALE: u64 = 1 << 30;
const MOST_CLIP_INTEGER: u64 = 1 << 30;
const MOST_SILOS: u32 = 500;
const MOST_COORDINATES: u64 = 1 << 32;
const MOST_PATIENTS: u64 = 1 << 32;
/// The verification of a sum needs it below 2^60.
const MOST_SUM_BITS: u8 = 60;
pub(crate) const WORD_WIDTHS: [u8; 7] = [16, 20, 24, 32, 40, 48, 64];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::discrete_gaussian::DiscreteGaussian;

    fn terms(multiplier: f64, silos: u32, dropouts: u32, colluders: u32) -> NoiseTerms {
        NoiseTerms {
            multiplier: NoiseMultiplier::new(multiplier).unwrap(),
            silos,
            dropouts,
            colluders,
            attempts: 22,
            patients_cap: 1_000,
            dimension: 5,
        }
    }

    #[test]
    fn the_share_grows_with_dropouts_and_colluders_as_the_reference_says() {
        // Facts of the reference vectors `dropout_share`: (n, n_d, n_c, z) -> sigma of a share.
        for (n, n_d, n_c, z, share) in [
            (4, 0, 0, 1.0, 0.5),
            (4, 0, 1, 1.0, 0.577_350_269_189_625_7),
            (8, 2, 2, 2.0, 1.0),
        ] {
            let plan = NoisePlan::derive(&terms(z, n, n_d, n_c)).unwrap();
            let broken = plan.multiplier(View::MasksBroken).unwrap().value();
            assert!(
                (share..share * 1.0001).contains(&broken),
                "{broken} against {share}"
            );
        }
    }

    #[test]
    fn the_three_views_see_the_shares_that_are_certain() {
        let plan = NoisePlan::derive(&terms(2.0, 10, 3, 2)).unwrap();
        let shares = View::ALL.map(|view| plan.shares_seen(view));
        assert_eq!(shares, [7, 5, 1]);
        let seen = View::ALL.map(|view| plan.multiplier(view).unwrap().value());
        assert!((seen[0] / seen[2] - 7_f64.sqrt()).abs() < 1e-12);
        assert!(seen[1] >= 2.0 && seen[1] < 2.0002);
    }

    #[test]
    fn the_variance_is_the_integer_above_the_scale() {
        // k = 2^14: 2^28 * .72134752044448170368 = 193635250.58...
        assert_eq!(variance_above(1 << 14), 193_635_251);
        for scale in [1 << 14, 20_001, 1 << 20, MOST_SCALE] {
            let real = scale as f64 * scale as f64 * HALF_OVER_LN_2;
            let above = variance_above(scale) as f64;
            assert!(
                above >= real * (1.0 - 1e-15) && above <= real * (1.0 + 1e-15) + 1.001,
                "{scale}"
            );
        }
    }

    #[test]
    fn widths_leave_room_for_every_patient_and_twelve_sigma() {
        let plan = NoisePlan::derive(&terms(1.0, 4, 1, 1)).unwrap();
        let sigma = plan.variance_below().sqrt();
        let largest = 4.0 * 1_000.0 * plan.clip_integer as f64 + 12.0 * sigma * 2.0;
        let bits = plan.word_bits().unwrap();
        assert!(largest < 2_f64.powi(i32::from(bits) - 1));
        let narrower = WORD_WIDTHS
            .into_iter()
            .rev()
            .find(|width| *width < bits)
            .unwrap();
        assert!(largest >= 2_f64.powi(i32::from(narrower) - 1));
        assert_eq!(bits, 32);
    }

    #[test]
    fn impossible_terms_are_refused() {
        assert!(matches!(
            NoisePlan::derive(&terms(1.0, 3, 2, 1)),
            Err(NoisePlanFault::NobodyHonest { .. })
        ));
        assert!(matches!(
            NoisePlan::derive(&terms(1.0, 3, 4, 0)),
            Err(NoisePlanFault::NobodyHonest { .. })
        ));
        assert!(matches!(
            NoisePlan::derive(&terms(1e6, 3, 0, 1)),
            Err(NoisePlanFault::NoiseOutOfRange)
        ));
        assert!(matches!(
            NoisePlan::derive(&terms(1e-6, 3, 0, 1)),
            Err(NoisePlanFault::NoiseOutOfRange)
        ));
        let zero = NoiseTerms {
            attempts: 0,
            ..terms(1.0, 4, 1, 1)
        };
        assert_eq!(NoisePlan::derive(&zero), Err(NoisePlanFault::NoAttempts));
        let wide = NoiseTerms {
            patients_cap: 1 << 32,
            dimension: 1 << 30,
            silos: 500,
            ..terms(10.0, 4, 1, 1)
        };
        assert_eq!(NoisePlan::derive(&wide), Err(NoisePlanFault::SumTooWide));
    }

    #[test]
    fn a_plan_from_elsewhere_with_too_little_noise_is_refused() {
        let plan = NoisePlan::derive(&terms(1.0, 4, 1, 1)).unwrap();
        for scale in [3, LEAST_SCALE - 1, MOST_SCALE + 1] {
            let thin = NoisePlan { scale, ..plan };
            assert_eq!(thin.validate(), Err(NoisePlanFault::NoiseOutOfRange));
        }
        let odd = NoisePlan {
            clip_integer: 20_000,
            ..plan
        };
        assert!(matches!(
            odd.validate(),
            Err(NoisePlanFault::ClipInteger { .. })
        ));
    }

    proptest! {
        #[test]
        fn no_plan_gives_less_noise_than_was_asked_for(
            z in 0.05_f64..500.0,
            silos in 2_u32..500,
            lost in 0.0_f64..1.0,
            dimension in 1_u64..1_000_000,
        ) {
            let lost = (f64::from(silos - 1) * lost) as u32;
            let asked = NoiseTerms { dimension, ..terms(z, silos, lost / 2, lost - lost / 2) };
            let plan = NoisePlan::derive(&asked).unwrap();
            let given = plan.multiplier(View::Colluders).unwrap().value();
            prop_assert!(given >= z && given <= z * 1.0001, "{} for {}", given, z);
            let shares = f64::from(plan.shares_seen(View::Colluders));
            let sampled = plan.scale as f64 * (shares * HALF_OVER_LN_2).sqrt() / plan.clip_integer as f64;
            prop_assert!(sampled >= given, "the accountant counts on more than is sampled");
            prop_assert!(DiscreteGaussian::new(plan.scale).is_ok());
            prop_assert!(plan.clip_integer as f64 >= 64.0 * (dimension as f64).sqrt());
            prop_assert_eq!(plan.validate(), Ok(()));
        }
    }
}
