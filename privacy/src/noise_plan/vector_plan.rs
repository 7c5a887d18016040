// SPDX-License-Identifier: Apache-2.0
//! The vector that the silos add up: how long, how wide, how encoded, how noised.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{NoisePlacement, NoisePlan, NoisePlanFault};
use crate::fixed_point::{FixedPoint, FixedPointFault, MOST_CLAMP};

/// One vector of a study; equal at every silo, so it holds integers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorPlan {
    /// Coordinates.
    pub dimension: u64,
    /// Bits of a word on the wire; sums are taken modulo `2^word_bits`.
    pub word_bits: u8,
    /// The largest magnitude that one silo may put into a coordinate, before shared noise.
    pub clamp: u64,
    /// Fractional bits of an encoded real; 0 with shared noise, where a patient's vector is scaled by `D/C`.
    pub fraction_bits: u8,
    /// The noise that each silo adds, if any.
    pub noise: Option<NoisePlan>,
}

impl VectorPlan {
    /// A vector without noise: the clamp is what `silos` silos may add up without a wrap.
    pub fn plain(
        dimension: u64,
        silos: u32,
        word_bits: u8,
        fraction_bits: u8,
    ) -> Result<Self, VectorPlanFault> {
        if dimension == 0 || silos == 0 {
            return Err(VectorPlanFault::Empty);
        }
        if !(8..=64).contains(&word_bits) {
            return Err(VectorPlanFault::WordBits { word_bits });
        }
        // The largest centred value, but below 2^60.
        let largest_sum = ((1_u64 << (word_bits - 1)) - 1).min(MOST_CLAMP - 1);
        let clamp = largest_sum / u64::from(silos);
        FixedPoint::new(fraction_bits, clamp)?;
        Ok(Self {
            dimension,
            word_bits,
            clamp,
            fraction_bits,
            noise: None,
        })
    }

    /// A vector with noise, of the smallest width that cannot wrap.
    pub fn noised(dimension: u64, noise: NoisePlan) -> Result<Self, VectorPlanFault> {
        if dimension == 0 {
            return Err(VectorPlanFault::Empty);
        }
        noise.validate()?;
        if noise.placement != NoisePlacement::Shared {
            return Err(VectorPlanFault::Contradiction);
        }
        Ok(Self {
            dimension,
            word_bits: noise.word_bits()?,
            clamp: noise.patients_cap.saturating_mul(noise.clip_integer),
            fraction_bits: 0,
            noise: Some(noise),
        })
    }

    /// A vector of what each silo made of its own noised sums: encoded as without noise, for the noise is inside already.
    pub fn noised_locally(
        dimension: u64,
        word_bits: u8,
        fraction_bits: u8,
        noise: NoisePlan,
    ) -> Result<Self, VectorPlanFault> {
        noise.validate()?;
        if noise.placement == NoisePlacement::Shared {
            return Err(VectorPlanFault::Contradiction);
        }
        Ok(Self {
            noise: Some(noise),
            ..Self::plain(dimension, noise.silos, word_bits, fraction_bits)?
        })
    }

    /// Whether a plan that came from elsewhere is one that this version would make for `silos` silos.
    pub fn validate(&self, silos: u32) -> Result<(), VectorPlanFault> {
        let expected = match &self.noise {
            Some(noise) if noise.silos != silos => return Err(VectorPlanFault::Contradiction),
            Some(noise) => match noise.placement {
                NoisePlacement::Shared => Self::noised(self.dimension, *noise)?,
                NoisePlacement::Local { .. } => Self::noised_locally(
                    self.dimension,
                    self.word_bits,
                    self.fraction_bits,
                    *noise,
                )?,
            },
            None => Self::plain(self.dimension, silos, self.word_bits, self.fraction_bits)?,
        };
        if expected == *self {
            Ok(())
        } else {
            Err(VectorPlanFault::Contradiction)
        }
    }

    /// How reals are encoded in a study without noise or with local noise.
    pub fn fixed_point(&self) -> Result<FixedPoint, FixedPointFault> {
        FixedPoint::new(self.fraction_bits, self.clamp)
    }
}

/// Why no vector plan exists, or a plan contradicts itself.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum VectorPlanFault {
    /// No coordinates or no silos.
    #[error("a vector needs at least one coordinate and one silo")]
    Empty,
    /// A width that the masks do not know.
    #[error("`word_bits` is {word_bits}, use 8 to 64")]
    WordBits {
        /// The width asked for.
        word_bits: u8,
    },
    /// The clamp or the width does not follow from the rest of the plan.
    #[error("the width or clamp of the vector does not follow from the study")]
    Contradiction,
    /// The encoding does not fit.
    #[error(transparent)]
    FixedPoint(#[from] FixedPointFault),
    /// The noise does not fit.
    #[error(transparent)]
    Noise(#[from] NoisePlanFault),
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::loss::NoiseMultiplier;
    use crate::noise_plan::{MOST_SILOS, NoiseTerms, View};

    fn noise() -> NoisePlan {
        NoisePlan::derive(&NoiseTerms {
            multiplier: NoiseMultiplier::new(7.0).unwrap(),
            silos: 4,
            dropouts: 1,
            colluders: 1,
            attempts: 22,
            patients_cap: 1_000,
            dimension: 5,
        })
        .unwrap()
    }

    #[test]
    fn the_sum_of_all_clamps_does_not_wrap() {
        for (silos, bits) in [(4, 16), (MOST_SILOS, 24), (3, 8), (MOST_SILOS, 63)] {
            let plan = VectorPlan::plain(7, silos, bits, 0).unwrap();
            let sum = u128::from(plan.clamp) * u128::from(silos);
            assert!(sum < 1 << (bits - 1));
            plan.validate(silos).unwrap();
        }
        let widest = VectorPlan::plain(7, 4, 64, 32).unwrap();
        assert_eq!(widest.clamp, ((1 << 60) - 1) / 4);
    }

    #[test]
    fn a_plan_with_a_lower_width_or_a_higher_clamp_is_refused() {
        let plan = VectorPlan::noised(5, noise()).unwrap();
        plan.validate(4).unwrap();
        for changed in [
            VectorPlan {
                word_bits: plan.word_bits - 8,
                ..plan
            },
            VectorPlan {
                clamp: plan.clamp + 1,
                ..plan
            },
            VectorPlan {
                fraction_bits: 1,
                ..plan
            },
        ] {
            assert_eq!(changed.validate(4), Err(VectorPlanFault::Contradiction));
        }
        assert_eq!(plan.validate(5), Err(VectorPlanFault::Contradiction));
        let plain = VectorPlan::plain(5, 4, 32, 8).unwrap();
        assert_eq!(
            VectorPlan {
                clamp: plain.clamp + 1,
                ..plain
            }
            .validate(4),
            Err(VectorPlanFault::Contradiction)
        );
        assert!(VectorPlan::plain(5, 4, 7, 0).is_err() && VectorPlan::plain(5, 0, 32, 0).is_err());
        assert!(VectorPlan::plain(5, 200, 8, 0).is_err());
    }

    #[test]
    fn local_noise_is_whole_and_its_vector_is_encoded_as_without_noise() {
        let terms = NoiseTerms {
            multiplier: NoiseMultiplier::new(7.0).unwrap(),
            silos: 4,
            dropouts: 1,
            colluders: 1,
            attempts: 22,
            patients_cap: 1_000,
            dimension: 5,
        };
        let local = NoisePlan::derive_local(&terms, 5).unwrap();
        assert_eq!((local.releases_per_attempt(), local.releases()), (5, 110));
        for view in View::ALL {
            let seen = local.multiplier(view).unwrap().value();
            assert!((seen / 7.0 - 1.0).abs() < 1e-4, "{view:?} {seen}");
        }
        let plan = VectorPlan::noised_locally(5, 64, 32, local).unwrap();
        plan.validate(4).unwrap();
        assert_eq!(
            VectorPlan {
                noise: None,
                ..plan
            },
            VectorPlan::plain(5, 4, 64, 32).unwrap()
        );
        // Neither kind of noise passes for the other, and no step is not one.
        assert!(VectorPlan::noised(5, local).is_err());
        assert!(VectorPlan::noised_locally(5, 64, 32, noise()).is_err());
        let shared = NoisePlan {
            placement: NoisePlacement::Shared,
            ..local
        };
        let exchanged = VectorPlan {
            noise: Some(shared),
            ..plan
        };
        assert_eq!(exchanged.validate(4), Err(VectorPlanFault::Contradiction));
        assert!(NoisePlan::derive_local(&terms, 0).is_err());
        assert!(NoisePlan::derive_local(&terms, u32::MAX).is_err());
    }

    #[test]
    fn a_plan_travels_in_json_and_in_binary() {
        let plan = VectorPlan::noised(5, noise()).unwrap();
        assert!(
            serde_json::to_string(&plan)
                .unwrap()
                .contains("\"placement\":\"shared\"")
        );
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<VectorPlan>(&json).unwrap(), plan);
        let bytes = postcard::to_allocvec(&plan).unwrap();
        assert_eq!(postcard::from_bytes::<VectorPlan>(&bytes).unwrap(), plan);
    }
}
