// SPDX-License-Identifier: Apache-2.0
//! One release, as the accountant sees it.

use thiserror::Error;

use super::closeness::closeness;
use crate::loss::{ClippingNorm, NoiseMultiplier, QuantityFault};
use crate::noise_plan::{NoisePlan, NoisePlanFault, View};

/// Which two data sets the promise compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjacency {
    /// One patient is added or removed.
    AddRemove,
    /// One patient, or all data of one silo, is replaced by another, which doubles the sensitivity.
    Replace,
}

impl Adjacency {
    /// The word for it in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddRemove => "add-remove",
            Self::Replace => "replace",
        }
    }
}

/// The distribution that the noise is drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mechanism {
    /// The continuous Gaussian; the clip bounds the Euclidean norm.
    Gaussian,
    /// One Gaussian on the integers, for integer vectors; the clip bounds the Euclidean norm.
    DiscreteGaussian,
    /// The sum of one discrete Gaussian of each of several silos.
    SumOfDiscreteGaussians {
        /// How many are added up.
        shares: u32,
        /// Coordinates of the vector.
        dimension: u64,
    },
    /// The continuous Laplace distribution; the clip bounds the sum of absolute values.
    Laplace,
    /// The two-sided geometric distribution, for integers; the clip bounds the sum of absolute values.
    DiscreteLaplace,
    /// The difference of two Poisson variables, for integer vectors; the clip bounds the Euclidean norm.
    Skellam {
        /// A bound on the sum of absolute values of one patient's vector.
        absolute_sum: f64,
    },
}

/// Noise in a sum, and what one patient can change there.
///
/// Never made from a bare multiplier found somewhere: it carries the standard deviation of the sum that
/// the attacker faces, the clip and the adjacency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseEvent {
    mechanism: Mechanism,
    standard_deviation: f64,
    clip: ClippingNorm,
    adjacency: Adjacency,
    /// How many clipped vectors one patient has in the sum: one of each silo that knows the patient.
    vectors: u32,
}

/// Why numbers describe no release.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventFault {
    /// The noise relative to the sensitivity is out of range.
    #[error(transparent)]
    Quantity(#[from] QuantityFault),
    /// Noise on the integers protects integer vectors only.
    #[error("noise on the integers needs a whole clip from 1 to 65536, not `{clip}`")]
    NotWhole {
        /// The clip.
        clip: String,
    },
    /// A bound on the sum of absolute values below the Euclidean norm contradicts it.
    #[error("the bound on the sum of absolute values, `{absolute_sum}`, is below the clip")]
    AbsoluteSum {
        /// The bound.
        absolute_sum: String,
    },
    /// A sum of nothing.
    #[error("a sum needs at least one share of noise and one coordinate")]
    NoShares,
}

impl NoiseEvent {
    /// Gaussian noise of a standard deviation in a sum of vectors that are clipped to a norm.
    pub fn new(
        standard_deviation: f64,
        clip: ClippingNorm,
        adjacency: Adjacency,
    ) -> Result<Self, QuantityFault> {
        let event = Self {
            mechanism: Mechanism::Gaussian,
            standard_deviation,
            clip,
            adjacency,
            vectors: 1,
        };
        NoiseMultiplier::new(standard_deviation / event.sensitivity()).map(|_| event)
    }

    /// Noise of a mechanism, with the standard deviation of the whole sum.
    pub fn of_mechanism(
        mechanism: Mechanism,
        standard_deviation: f64,
        clip: ClippingNorm,
        adjacency: Adjacency,
    ) -> Result<Self, EventFault> {
        let whole = clip.value().fract() == 0.0 && clip.value() <= MOST_SHIFT;
        match mechanism {
            Mechanism::Gaussian | Mechanism::Laplace => {}
            Mechanism::SumOfDiscreteGaussians { shares, dimension }
                if shares == 0 || dimension == 0 =>
            {
                return Err(EventFault::NoShares);
            }
            Mechanism::Skellam { absolute_sum }
                if absolute_sum.is_nan() || absolute_sum < clip.value() =>
            {
                return Err(EventFault::AbsoluteSum {
                    absolute_sum: absolute_sum.to_string(),
                });
            }
            Mechanism::DiscreteGaussian
            | Mechanism::SumOfDiscreteGaussians { .. }
            | Mechanism::DiscreteLaplace
            | Mechanism::Skellam { .. } => {
                if !whole {
                    return Err(EventFault::NotWhole {
                        clip: clip.to_string(),
                    });
                }
            }
        }
        let event = Self::new(standard_deviation, clip, adjacency)?;
        Ok(Self { mechanism, ..event })
    }

    /// What a view faces in one attempt of a plan, for vectors of `dimension` coordinates.
    pub fn of_plan(plan: &NoisePlan, view: View, dimension: u64) -> Result<Self, NoisePlanFault> {
        #[expect(clippy::cast_precision_loss, reason = "a power of two below 2^31")]
        let clip = plan.clip_integer as f64;
        let clip = ClippingNorm::new(clip).map_err(|_| NoisePlanFault::NoiseOutOfRange)?;
        Ok(Self {
            mechanism: Mechanism::SumOfDiscreteGaussians {
                shares: plan.shares_seen(view),
                dimension,
            },
            standard_deviation: plan.multiplier(view)?.value() * clip.value(),
            clip,
            adjacency: plan.unit.adjacency(),
            vectors: plan.silos_per_patient,
        })
    }

    /// The distribution of the noise.
    #[must_use]
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Whom the promise compares.
    #[must_use]
    pub fn adjacency(&self) -> Adjacency {
        self.adjacency
    }

    /// The norm that one patient's vector is clipped to.
    #[must_use]
    pub fn clip(&self) -> ClippingNorm {
        self.clip
    }

    /// Standard deviation over clip: what people call the noise multiplier.
    #[must_use]
    pub fn over_clip(&self) -> f64 {
        self.standard_deviation / self.clip.value()
    }

    pub(super) fn standard_deviation(&self) -> f64 {
        self.standard_deviation
    }

    /// How far one change moves the sum, in the norm of the clip.
    pub(super) fn sensitivity(&self) -> f64 {
        self.times_moved() * self.clip.value()
    }

    /// The same in the sum of absolute values, for Skellam noise.
    pub(super) fn absolute_sensitivity(&self, absolute_sum: f64) -> f64 {
        self.times_moved() * absolute_sum
    }

    /// Standard deviation over sensitivity.
    pub(super) fn multiplier(&self) -> f64 {
        self.standard_deviation / self.sensitivity()
    }

    /// What the sum of discrete Gaussians adds to the Renyi divergence at every order from 2 on.
    pub(super) fn excess(&self) -> f64 {
        match self.mechanism {
            Mechanism::SumOfDiscreteGaussians { shares, dimension } => {
                let variance =
                    self.standard_deviation * self.standard_deviation / f64::from(shares.max(1));
                #[expect(clippy::cast_precision_loss, reason = "a factor of a vanishing term")]
                let coordinates = dimension as f64;
                3.0 * coordinates * closeness(variance, shares)
            }
            Mechanism::Gaussian
            | Mechanism::DiscreteGaussian
            | Mechanism::Laplace
            | Mechanism::DiscreteLaplace
            | Mechanism::Skellam { .. } => 0.0,
        }
    }

    fn times_moved(&self) -> f64 {
        let of_each_vector = match self.adjacency {
            Adjacency::AddRemove => 1.0,
            Adjacency::Replace => 2.0,
        };
        of_each_vector * f64::from(self.vectors)
    }
}

/// Keeps sums over the values between two shifted distributions short.
const MOST_SHIFT: f64 = 65_536.0;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::accountant::RdpCurve;
    use crate::loss::Delta;
    use crate::noise_plan::{MOST_SILOS, NoiseTerms};

    #[test]
    fn a_sum_of_few_narrow_shares_is_charged_for_its_distance_from_one_gaussian() {
        // Facts of `distributed_discrete_gaussian`: (variance of a share, shares, shift, delta, eps_exact).
        for (variance, shares, shift, delta, exact) in [
            (0.25_f64, 4, 1.0, 1e-5, 4.699_363_915_015_017_5),
            (1.0, 4, 1.0, 1e-5, 2.011_343_093_619_154),
            (16.0, 3, 5.0, 1e-6, 3.379_746_277_942_852),
        ] {
            let event = NoiseEvent::of_mechanism(
                Mechanism::SumOfDiscreteGaussians {
                    shares,
                    dimension: 1,
                },
                (variance * f64::from(shares)).sqrt(),
                ClippingNorm::new(shift).unwrap(),
                Adjacency::AddRemove,
            )
            .unwrap();
            let delta = Delta::new(delta).unwrap();
            let ours = RdpCurve::full_batch(&event, 1)
                .epsilon(delta)
                .epsilon
                .value();
            assert!(ours >= exact, "{ours} below the exact {exact}");
        }
    }

    #[test]
    fn replacing_a_patient_halves_the_multiplier() {
        let clip = ClippingNorm::new(0.5).unwrap();
        let added = NoiseEvent::new(2.0, clip, Adjacency::AddRemove).unwrap();
        let replaced = NoiseEvent::new(2.0, clip, Adjacency::Replace).unwrap();
        assert_eq!((added.multiplier(), replaced.multiplier()), (4.0, 2.0));
    }

    #[test]
    fn noise_on_the_integers_is_for_integer_vectors() {
        let made = |mechanism, clip: f64| {
            let clip = ClippingNorm::new(clip).unwrap();
            NoiseEvent::of_mechanism(mechanism, 3.0, clip, Adjacency::AddRemove)
        };
        assert!(made(Mechanism::Laplace, 0.5).is_ok());
        assert!(made(Mechanism::DiscreteGaussian, 3.0).is_ok());
        for mechanism in [
            Mechanism::DiscreteGaussian,
            Mechanism::DiscreteLaplace,
            Mechanism::Skellam { absolute_sum: 9.0 },
        ] {
            assert!(matches!(
                made(mechanism, 0.5),
                Err(EventFault::NotWhole { .. })
            ));
        }
        let too_small = made(Mechanism::Skellam { absolute_sum: 1.0 }, 2.0);
        assert!(matches!(too_small, Err(EventFault::AbsoluteSum { .. })));
    }

    #[test]
    fn the_excess_of_a_real_plan_vanishes() {
        let plan = NoisePlan::derive(&NoiseTerms {
            multiplier: NoiseMultiplier::new(0.5).unwrap(),
            silos: MOST_SILOS,
            dropouts: 333,
            colluders: 333,
            attempts: 10,
            patients_cap: 10,
            dimension: 1 << 32,
        })
        .unwrap();
        let event = NoiseEvent::of_plan(&plan, View::MasksHold, 1 << 32).unwrap();
        assert!(event.excess() < 1e-300);
    }
}
