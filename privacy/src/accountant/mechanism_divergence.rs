// SPDX-License-Identifier: Apache-2.0
//! The Renyi divergence of one release in which every patient takes part, by mechanism.

use super::{Mechanism, NoiseEvent};

/// An upper bound at an integer order from 2 on.
pub(super) fn full_batch_divergence(event: &NoiseEvent, order: u32) -> f64 {
    let order = f64::from(order);
    match event.mechanism() {
        Mechanism::Gaussian
        | Mechanism::DiscreteGaussian
        | Mechanism::SumOfDiscreteGaussians { .. } => {
            let z = event.multiplier();
            order / (2.0 * z * z) + event.excess()
        }
        // The variance of the Laplace distribution is twice the square of its scale.
        Mechanism::Laplace => laplace(order, std::f64::consts::FRAC_1_SQRT_2 * event.multiplier()),
        Mechanism::DiscreteLaplace => {
            discrete_laplace(order, discrete_laplace_rate(event), event.sensitivity())
        }
        Mechanism::Skellam { absolute_sum } => skellam(
            order,
            event.standard_deviation() * event.standard_deviation(),
            event.sensitivity(),
            event.absolute_sensitivity(absolute_sum),
        ),
    }
}

/// `a` where the probability of x falls as exp(-a |x|), from the variance 2t/(1-t)^2 with t = exp(-a).
pub(super) fn discrete_laplace_rate(event: &NoiseEvent) -> f64 {
    let variance = event.standard_deviation() * event.standard_deviation();
    // cosh(a) - 1 = 1/variance, so sinh(a/2) = sqrt(1/(2 variance)).
    2.0 * libm::asinh((0.5 / variance).sqrt())
}

/// [Mironov 2017], table II, for a scale in units of the sensitivity; never above the pure loss 1/scale.
///
/// [Mironov 2017]: https://arxiv.org/abs/1702.07476
fn laplace(order: f64, scale: f64) -> f64 {
    let near = (order - 1.0) / scale;
    if near > LARGEST_EXPONENT {
        // The other term is below the rounding.
        return (near + libm::log(order / (2.0 * order - 1.0))) / (order - 1.0);
    }
    // The weights sum to 1: what remains is the excess over 1, without cancellation at the first order.
    let excess = (order * libm::expm1(near) + (order - 1.0) * libm::expm1(-order / scale))
        / (2.0 * order - 1.0);
    (libm::log1p(excess.max(0.0)) / (order - 1.0)).min(1.0 / scale)
}

/// The same sum over the integers, with a shift of `shift`.
fn discrete_laplace(order: f64, rate: f64, shift: f64) -> f64 {
    let beyond = (order - 1.0) * rate * shift;
    if beyond > LARGEST_EXPONENT {
        return rate * shift;
    }
    let below = libm::exp(-rate * shift) * libm::expm1(-beyond);
    let outside = (below + libm::expm1(beyond)) / (1.0 + libm::exp(-rate));
    let normaliser = libm::tanh(rate / 2.0);
    let mut between = 0.0;
    let mut value = 1.0;
    while value < shift {
        between += libm::exp(-rate * (shift - value))
            * libm::expm1((order - 1.0) * rate * (2.0 * value - shift));
        value += 1.0;
    }
    let excess = outside + normaliser * between;
    (libm::log1p(excess.max(0.0)) / (order - 1.0)).min(rate * shift)
}

/// [Agarwal, Kairouz and Liu 2021], theorem 3.5, for the difference of two Poisson variables of together
/// this variance.
///
/// [Agarwal, Kairouz and Liu 2021]: https://arxiv.org/abs/2110.04995
fn skellam(order: f64, variance: f64, euclidean: f64, absolute: f64) -> f64 {
    let squared = euclidean * euclidean;
    let fine = ((2.0 * order - 1.0) * squared + 6.0 * absolute) / (4.0 * variance * variance);
    let coarse = 3.0 * absolute / (2.0 * variance);
    order * squared / (2.0 * variance) + fine.min(coarse)
}

/// Keeps exponentials in the range of a double.
const LARGEST_EXPONENT: f64 = 600.0;
