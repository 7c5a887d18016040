// SPDX-License-Identifier: Apache-2.0
//! What noise costs that is sampled, and not exact.
//!
//! Releases that are (epsilon, delta)-private with exact noise are (epsilon, delta + (1 + e^epsilon) distance)-private
//! with noise at that distance from it, in total variation of all releases together.

use super::{Certificate, RdpCurve};
use crate::budget::DeltaAmount;
use crate::loss::{Delta, Epsilon};

/// How far what is sampled is from exact noise, in total variation; nothing, or so little that it is added up.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct SamplerDistance(f64);

impl SamplerDistance {
    /// Exact noise.
    pub const NONE: Self = Self(0.0);

    /// 2^-96 for every coordinate of so many vectors of noise: the sampler is nearer than that.
    #[must_use]
    pub fn of_vectors(vectors: u32, dimension: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "at most 2^32 in every plan")]
        let coordinates = dimension as f64;
        Self(f64::from(vectors) * coordinates * PER_SAMPLE)
    }

    /// The distance of several attempts together.
    #[must_use]
    pub fn times(self, attempts: u32) -> Self {
        Self(self.0 * f64::from(attempts))
    }

    /// The distance of both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The distance itself, in total variation.
    #[must_use]
    pub fn total_variation(self) -> f64 {
        self.0
    }

    /// What it takes of delta where so large an epsilon is certified.
    #[must_use]
    pub fn delta_taken(self, epsilon: Epsilon) -> f64 {
        self.0 * price_of_distance(epsilon)
    }

    /// The distance as a ledger adds it up.
    #[must_use]
    pub fn charged(self) -> DeltaAmount {
        DeltaAmount::rounded_up(self.0)
    }

    /// What is left of delta for exact noise; `None` when nothing is.
    fn rest_of(self, delta: Delta, epsilon: Epsilon) -> Option<Delta> {
        // Rounded down: the difference may be nearer to delta than doubles are to each other.
        let rest = (delta.value() - self.delta_taken(epsilon)).next_down();
        Delta::new(rest).ok()
    }
}

impl RdpCurve {
    /// The smallest epsilon that is certified with noise as it is sampled; `None` where the distance uses delta up, as it
    /// does from an epsilon of about 48 on.
    ///
    /// The price of the distance depends on epsilon itself: an epsilon is taken once the rest of delta certifies it.
    #[must_use]
    pub fn epsilon_as_sampled(
        &self,
        delta: Delta,
        distance: SamplerDistance,
    ) -> Option<Certificate> {
        let mut certificate = self.epsilon(delta);
        if distance == SamplerDistance::NONE {
            return Some(certificate);
        }
        for _ in 0..MOST_STEPS {
            let next = self.epsilon(distance.rest_of(delta, certificate.epsilon)?);
            if next.epsilon <= certificate.epsilon {
                return Some(Certificate {
                    delta,
                    ..certificate
                });
            }
            // Half as far again: the steps shrink towards the epsilon that certifies itself and would not reach it.
            let step = next.epsilon.value() - certificate.epsilon.value();
            certificate = Certificate {
                epsilon: Epsilon::saturating(next.epsilon.value() + step / 2.0),
                ..next
            };
        }
        None
    }
}

/// `1 + e^epsilon`: delta for each unit of distance.
pub(crate) fn price_of_distance(epsilon: Epsilon) -> f64 {
    1.0 + libm::exp(epsilon.value())
}

/// 2^-96.
const PER_SAMPLE: f64 = 1.0 / 79_228_162_514_264_337_593_543_950_336.0;
const MOST_STEPS: u32 = 100;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::accountant::{Adjacency, NoiseEvent};
    use crate::loss::ClippingNorm;

    fn curve(multiplier: f64, attempts: u32) -> RdpCurve {
        let event = NoiseEvent::new(multiplier, ClippingNorm::ONE, Adjacency::AddRemove).unwrap();
        RdpCurve::full_batch(&event, attempts)
    }

    #[test]
    fn a_distance_is_charged_upwards() {
        // 4 silos, 5 coordinates, 22 attempts: 440/2^96 = 5.5535...e-27.
        let distance = SamplerDistance::of_vectors(4, 5).times(22);
        assert_eq!(
            distance.charged().to_string(),
            "0.000000000000000000000000005554"
        );
        assert_eq!(SamplerDistance::NONE.charged(), DeltaAmount::ZERO);
    }

    #[test]
    fn where_the_distance_uses_delta_up_nothing_is_certified() {
        let distance = SamplerDistance(1e-6);
        let certificate = curve(1.0, 100).epsilon_as_sampled(Delta::new(1e-5).unwrap(), distance);
        assert_eq!(certificate, None);
    }

    proptest! {
        #[test]
        fn the_rest_of_delta_certifies_the_epsilon_that_is_named(
            multiplier in 0.3_f64..100.0,
            attempts in 1_u32..1_000,
            delta_exponent in 2.0_f64..12.0,
            distance_exponent in 6.0_f64..40.0,
        ) {
            let curve = curve(multiplier, attempts);
            let delta = Delta::new(10_f64.powf(-delta_exponent)).unwrap();
            let distance = SamplerDistance(10_f64.powf(-distance_exponent));
            let exact = curve.epsilon(delta).epsilon;
            if let Some(Certificate { epsilon: sampled, .. }) = curve.epsilon_as_sampled(delta, distance) {
                prop_assert!(sampled >= exact);
                // By the formula itself, apart from how the epsilon was found.
                let rest = delta.value() - distance.0 * (1.0 + sampled.value().exp());
                let certified = curve.epsilon(Delta::new(rest).unwrap()).epsilon.value();
                prop_assert!(certified <= sampled.value() * (1.0 + 1e-12), "{} {}", certified, sampled);
            }
        }
    }
}
