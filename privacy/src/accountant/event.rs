// SPDX-License-Identifier: Apache-2.0
//! One release, as the accountant sees it.

use crate::loss::{ClippingNorm, NoiseMultiplier, QuantityFault};
use crate::noise_plan::{NoisePlan, NoisePlanFault, View};

/// Which two data sets the promise compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjacency {
    /// One patient is added or removed.
    AddRemove,
    /// One patient is replaced by another, which doubles the sensitivity.
    Replace,
}

/// Gaussian noise in a sum, relative to what one patient can change.
///
/// Never made from a bare multiplier found somewhere: it says whose noise, which clip and which
/// adjacency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseEvent {
    multiplier: f64,
    excess: f64,
}

impl NoiseEvent {
    /// Noise of a standard deviation in a sum of vectors that are clipped to a norm.
    pub fn new(
        standard_deviation: f64,
        clip: ClippingNorm,
        adjacency: Adjacency,
    ) -> Result<Self, QuantityFault> {
        let sensitivity = match adjacency {
            Adjacency::AddRemove => clip.value(),
            Adjacency::Replace => 2.0 * clip.value(),
        };
        Ok(Self::add_remove(NoiseMultiplier::new(
            standard_deviation / sensitivity,
        )?))
    }

    /// A multiplier as defined: standard deviation over clipping norm, one patient added or removed.
    #[must_use]
    pub fn add_remove(multiplier: NoiseMultiplier) -> Self {
        Self {
            multiplier: multiplier.value(),
            excess: 0.0,
        }
    }

    /// What a view faces in one attempt of a plan, for vectors of `dimension` coordinates.
    pub fn of_plan(plan: &NoisePlan, view: View, dimension: u64) -> Result<Self, NoisePlanFault> {
        let tau = closeness(plan.variance_below(), plan.shares_seen(view));
        #[expect(clippy::cast_precision_loss, reason = "a factor of a vanishing term")]
        let coordinates = dimension as f64;
        Ok(Self {
            excess: 3.0 * coordinates * tau,
            ..Self::add_remove(plan.multiplier(view)?)
        })
    }

    /// Standard deviation over sensitivity.
    pub(super) fn multiplier(self) -> f64 {
        self.multiplier
    }

    /// What the sum of discrete Gaussians adds to the Renyi divergence at every order from 2 on.
    pub(super) fn excess(self) -> f64 {
        self.excess
    }
}

/// tau of [Kairouz, Liu and Steinke 2021]: how far, in log-probability per coordinate, a sum of `shares`
/// discrete Gaussians is from one discrete Gaussian of the summed variance.
///
/// [Kairouz, Liu and Steinke 2021]: https://arxiv.org/abs/2102.06387
fn closeness(variance: f64, shares: u32) -> f64 {
    let exponent = 2.0 * std::f64::consts::PI * std::f64::consts::PI * variance;
    10.0 * (1..shares)
        .map(|k| libm::exp(-exponent * f64::from(k) / f64::from(k + 1)))
        .sum::<f64>()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::accountant::RdpCurve;
    use crate::loss::Delta;
    use crate::noise_plan::NoiseTerms;

    #[test]
    fn closeness_agrees_with_the_reference() {
        // Facts of the reference vectors `distributed_discrete_gaussian` and `ddgauss_bound`.
        for (variance, shares, tau) in [
            (0.25, 4, 1.467_600_395_031_023_5),
            (1.0, 4, 0.000_540_223_152_232_349_6),
            (16.0, 3, 2.624_002_960_077_217_7e-68),
            (2.25, 4, 2.270_195_161_910_871_4e-9),
        ] {
            let ours = closeness(variance, shares);
            assert!((ours / tau - 1.0).abs() < 1e-9, "{ours} against {tau}");
        }
        assert_eq!(closeness(0.25, 1), 0.0);
    }

    #[test]
    fn a_sum_of_few_narrow_shares_is_charged_for_its_distance_from_one_gaussian() {
        // Facts of `distributed_discrete_gaussian`: (variance of a share, shares, shift, delta, eps_exact).
        for (variance, shares, shift, delta, exact) in [
            (0.25_f64, 4, 1.0, 1e-5, 4.699_363_915_015_017_5),
            (1.0, 4, 1.0, 1e-5, 2.011_343_093_619_154),
            (16.0, 3, 5.0, 1e-6, 3.379_746_277_942_852),
        ] {
            let multiplier = (variance * f64::from(shares)).sqrt() / shift;
            let excess = 3.0 * closeness(variance, shares);
            let event = NoiseEvent { multiplier, excess };
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
    fn the_excess_of_a_real_plan_vanishes() {
        let plan = NoisePlan::derive(&NoiseTerms {
            multiplier: NoiseMultiplier::new(0.5).unwrap(),
            silos: 500,
            dropouts: 166,
            colluders: 166,
            attempts: 10,
            patients_cap: 10,
            dimension: 1 << 32,
        })
        .unwrap();
        let event = NoiseEvent::of_plan(&plan, View::MasksHold, 1 << 32).unwrap();
        assert!(event.excess() < 1e-300);
    }
}
