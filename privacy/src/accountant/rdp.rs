// SPDX-License-Identifier: Apache-2.0
//! Renyi differential privacy at integer orders, and the epsilon it certifies.

use super::event::{Adjacency, Mechanism, NoiseEvent};
use super::fixed_size::fixed_size_divergence;
use super::job::{FixedSize, Job, NoCertificate, Sampling, common_adjacency};
use super::mechanism_divergence::full_batch_divergence;
use super::poisson::poisson_divergence;
use crate::loss::{Delta, Epsilon, SamplingRate};

/// The orders that are accounted: 2 to 64, then sparse to 1024.
pub const ORDERS: [u32; 75] = orders();

/// An upper bound on the Renyi divergence at each of [`ORDERS`].
#[derive(Debug, Clone, PartialEq)]
pub struct RdpCurve {
    divergences: [f64; ORDERS.len()],
}

/// An epsilon that may be promised, and the order that proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// The epsilon, rounded up.
    pub epsilon: Epsilon,
    /// The delta it goes with.
    pub delta: Delta,
    /// The order at which it was smallest.
    pub order: u32,
}

impl RdpCurve {
    /// Nothing released.
    #[must_use]
    pub fn zero() -> Self {
        Self {
            divergences: [0.0; ORDERS.len()],
        }
    }

    /// All releases of a job.
    pub fn of_job(job: &Job) -> Result<Self, NoCertificate> {
        match job.sampling {
            Sampling::Everybody => Ok(Self::full_batch(&job.event, job.attempts)),
            Sampling::Poisson(rate) => Self::poisson(&job.event, rate, job.attempts),
            Sampling::FixedSize(batch) => Self::fixed_size(&job.event, batch, job.attempts),
        }
    }

    /// All releases of several jobs, which must promise the same.
    pub fn of_jobs(jobs: &[Job]) -> Result<Self, NoCertificate> {
        common_adjacency(jobs)?;
        jobs.iter().try_fold(
            Self::zero(),
            |sum, job| Ok(sum.compose(&Self::of_job(job)?)),
        )
    }

    /// `attempts` releases of a sum in which every patient takes part: `order/(2 z^2)` each for Gaussian noise.
    ///
    /// That holds for the discrete Gaussian with integer shifts as for the continuous one.
    #[must_use]
    pub fn full_batch(event: &NoiseEvent, attempts: u32) -> Self {
        Self::at_each_order(|order| f64::from(attempts) * full_batch_divergence(event, order))
    }

    /// `attempts` releases in which every patient takes part independently with probability `rate`.
    ///
    /// For Gaussian noise and patients added or removed only.
    pub fn poisson(
        event: &NoiseEvent,
        rate: SamplingRate,
        attempts: u32,
    ) -> Result<Self, NoCertificate> {
        if rate == SamplingRate::EVERYBODY {
            return Ok(Self::full_batch(event, attempts));
        }
        match (event.adjacency(), event.mechanism()) {
            (Adjacency::Replace, _) => Err(NoCertificate::ReplaceUnderPoisson),
            (
                Adjacency::AddRemove,
                Mechanism::Gaussian
                | Mechanism::DiscreteGaussian
                | Mechanism::SumOfDiscreteGaussians { .. },
            ) => {
                let divergence = poisson_divergence(rate.value(), event.multiplier());
                Ok(Self::at_each_order(|order| {
                    f64::from(attempts) * (divergence(order) + event.excess())
                }))
            }
            (
                Adjacency::AddRemove,
                Mechanism::Laplace | Mechanism::DiscreteLaplace | Mechanism::Skellam { .. },
            ) => Err(NoCertificate::SampledMechanism),
        }
    }

    /// `attempts` releases about a batch of fixed size.
    ///
    /// For Gaussian noise that is one Gaussian, and patients replaced only.
    pub fn fixed_size(
        event: &NoiseEvent,
        batch: FixedSize,
        attempts: u32,
    ) -> Result<Self, NoCertificate> {
        match (event.adjacency(), event.mechanism()) {
            (Adjacency::AddRemove, _) => Err(NoCertificate::AddRemoveUnderFixedSize),
            (Adjacency::Replace, Mechanism::Gaussian | Mechanism::DiscreteGaussian) => {
                let divergence = fixed_size_divergence(batch.fraction(), event.multiplier());
                // Sampling never costs more than the whole.
                Ok(Self::at_each_order(|order| {
                    f64::from(attempts) * divergence(order).min(full_batch_divergence(event, order))
                }))
            }
            (
                Adjacency::Replace,
                Mechanism::SumOfDiscreteGaussians { .. }
                | Mechanism::Laplace
                | Mechanism::DiscreteLaplace
                | Mechanism::Skellam { .. },
            ) => Err(NoCertificate::SampledMechanism),
        }
    }

    /// Both releases together: divergences add, even if the second was chosen after the first was seen.
    #[must_use]
    pub fn compose(&self, other: &Self) -> Self {
        let mut divergences = self.divergences;
        for (sum, term) in divergences.iter_mut().zip(other.divergences) {
            *sum += term;
        }
        Self { divergences }
    }

    /// The divergence at one of [`ORDERS`].
    #[must_use]
    pub fn at(&self, order: u32) -> Option<f64> {
        self.points()
            .find(|(candidate, _)| *candidate == order)
            .map(|(_, divergence)| divergence)
    }

    /// Every order with its divergence.
    pub fn points(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        ORDERS.into_iter().zip(self.divergences)
    }

    /// The smallest epsilon that an order certifies ([Canonne, Kamath and Steinke 2020], proposition 12).
    ///
    /// [Canonne, Kamath and Steinke 2020]: https://arxiv.org/abs/2004.00010
    #[must_use]
    pub fn epsilon(&self, delta: Delta) -> Certificate {
        let (order, epsilon) = self
            .points()
            .map(|(order, divergence)| (order, divergence + conversion(order, delta)))
            .fold((ORDERS[0], f64::INFINITY), |best, next| {
                if next.1 < best.1 { next } else { best }
            });
        // Rounded up by more than the arithmetic can have lost.
        let epsilon = Epsilon::saturating(epsilon * (1.0 + ROUNDING));
        Certificate {
            epsilon,
            delta,
            order,
        }
    }

    fn at_each_order(divergence: impl Fn(u32) -> f64) -> Self {
        Self {
            divergences: ORDERS.map(divergence),
        }
    }
}

/// What turns a divergence at an order into an epsilon: ln((a-1)/a) - (ln delta + ln a)/(a-1).
pub(crate) fn conversion(order: u32, delta: Delta) -> f64 {
    let a = f64::from(order);
    libm::log((a - 1.0) / a) - (libm::log(delta.value()) + libm::log(a)) / (a - 1.0)
}

const fn orders() -> [u32; 75] {
    const SPARSE: [u32; 12] = [72, 80, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024];
    let mut orders = [0; 75];
    let mut index = 0;
    let mut dense = 2;
    while dense <= 64 {
        orders[index] = dense;
        dense += 1;
        index += 1;
    }
    let mut sparse = 0;
    while sparse < SPARSE.len() {
        orders[index] = SPARSE[sparse];
        sparse += 1;
        index += 1;
    }
    orders
}

const ROUNDING: f64 = 1e-10;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::loss::ClippingNorm;

    fn event(multiplier: f64) -> NoiseEvent {
        NoiseEvent::new(multiplier, ClippingNorm::ONE, Adjacency::AddRemove).unwrap()
    }

    fn delta() -> Delta {
        Delta::new(1e-5).unwrap()
    }

    #[test]
    fn the_orders_rise_to_1024() {
        assert!(ORDERS.is_sorted_by(|first, second| first < second));
        assert_eq!((ORDERS[0], ORDERS[62], ORDERS[74]), (2, 64, 1024));
    }

    #[test]
    fn a_certificate_is_never_below_the_reference_on_finer_orders() {
        // (sigma, T, eps_rdp over fractional orders) of the reference vectors, delta 1e-5.
        for (sigma, attempts, reference) in [
            (0.5, 1, 10.725_284_317_042_941),
            (2.0, 1, 2.165_715_659_029_443),
            (4.0, 16, 4.728_425_533_861_44),
        ] {
            let ours = RdpCurve::full_batch(&event(sigma), attempts)
                .epsilon(delta())
                .epsilon
                .value();
            assert!(
                ours >= reference && ours <= 1.03 * reference,
                "{ours} against {reference}"
            );
        }
    }

    #[test]
    fn composition_adds_and_nothing_released_costs_nothing() {
        let once = RdpCurve::full_batch(&event(3.0), 1);
        let twice = once.compose(&once).compose(&RdpCurve::zero());
        assert_eq!(twice, RdpCurve::full_batch(&event(3.0), 2));
        assert_eq!(RdpCurve::zero().at(6), Some(0.0));
        assert_eq!(RdpCurve::zero().at(65), None);
    }

    #[test]
    fn the_most_extreme_events_stay_finite() {
        let loud =
            RdpCurve::full_batch(&event(1e-6), u32::MAX).epsilon(Delta::new(1e-300).unwrap());
        assert!(loud.epsilon.value() > 1e20);
        let quiet = RdpCurve::full_batch(&event(1e6), 1).epsilon(Delta::new(0.5).unwrap());
        assert_eq!(quiet.epsilon.value(), 0.0);
        let tiny = SamplingRate::new(1e-12).unwrap();
        let sampled = RdpCurve::poisson(&event(1e-6), tiny, u32::MAX).unwrap();
        assert!(
            sampled
                .points()
                .all(|(_, divergence)| divergence.is_finite())
        );
    }

    #[test]
    fn sampling_everybody_is_the_full_batch() {
        let full = RdpCurve::full_batch(&event(2.0), 7);
        assert_eq!(
            RdpCurve::poisson(&event(2.0), SamplingRate::EVERYBODY, 7),
            Ok(full.clone())
        );
        let nearly =
            RdpCurve::poisson(&event(2.0), SamplingRate::new(1.0 - 1e-12).unwrap(), 7).unwrap();
        for ((_, sampled), (order, whole)) in nearly.points().zip(full.points()) {
            assert!(
                (sampled / whole - 1.0).abs() < 1e-6,
                "order {order}: {sampled} against {whole}"
            );
        }
    }
}
