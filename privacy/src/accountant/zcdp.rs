// SPDX-License-Identifier: Apache-2.0
//! Zero-concentrated differential privacy: one number, `rho`, whose curve is `order * rho`.

use super::closeness::closeness;
use crate::loss::{Delta, Epsilon, NoiseMultiplier, Rho};

/// The rho of `attempts` full-batch releases: `T/(2 z^2)`.
#[must_use]
pub fn rho(multiplier: NoiseMultiplier, attempts: u32) -> Rho {
    Rho::saturating(f64::from(attempts) / (2.0 * multiplier.value() * multiplier.value()))
}

/// The rho of both together.
#[must_use]
pub fn together(one: Rho, other: Rho) -> Rho {
    Rho::saturating(one.value() + other.value())
}

/// The rho of one release of integer vectors of norm at most `shift`, under the sum of `shares` discrete
/// Gaussians of this variance each ([Kairouz, Liu and Steinke 2021], theorem 1).
///
/// [Kairouz, Liu and Steinke 2021]: https://arxiv.org/abs/2102.06387
#[must_use]
pub fn rho_of_sum(variance_each: f64, shares: u32, shift: f64, dimension: u64) -> Rho {
    let tau = closeness(variance_each, shares);
    #[expect(clippy::cast_precision_loss, reason = "a factor of a vanishing term")]
    let coordinates = dimension as f64;
    let squared = shift * shift / (f64::from(shares) * variance_each);
    let first = squared + tau * coordinates / 2.0;
    let second = squared.sqrt() + tau * coordinates.sqrt();
    Rho::saturating(first.min(second * second) / 2.0)
}

/// The smallest delta over all real orders for an epsilon.
#[must_use]
pub fn delta(rho: Rho, epsilon: Epsilon) -> f64 {
    let at = |log_excess: f64| {
        let excess = libm::exp(log_excess);
        let order = 1.0 + excess;
        excess * (order * rho.value() - epsilon.value())
            - excess * libm::log1p(1.0 / excess)
            - libm::log(order)
    };
    libm::exp(at(minimiser(at))).min(1.0)
}

/// The smallest epsilon over all real orders ([Canonne, Kamath and Steinke 2020], corollary 13).
///
/// [Canonne, Kamath and Steinke 2020]: https://arxiv.org/abs/2004.00010
#[must_use]
pub fn epsilon(rho: Rho, delta: Delta) -> Epsilon {
    let log_delta = libm::log(delta.value());
    let at = |log_excess: f64| {
        let excess = libm::exp(log_excess);
        let order = 1.0 + excess;
        order * rho.value() - libm::log1p(1.0 / excess) - (log_delta + libm::log(order)) / excess
    };
    Epsilon::saturating(at(minimiser(at)).max(0.0))
}

/// Where a function with one valley is smallest, as ln(order - 1).
fn minimiser(function: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (-14.0_f64, 20.0_f64);
    for _ in 0..200 {
        let third = (high - low) / 3.0;
        if function(low + third) < function(high - third) {
            high -= third
        } else {
            low += third
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_agrees_with_the_reference() {
        // Facts of the reference vectors `zcdp_to_eps`.
        for (value, delta, expected) in [
            (0.005, 1e-6, 0.429_941_468_836_949_3),
            (0.1, 1e-5, 1.914_238_832_003_598),
            (1.0, 1e-6, 7.766_216_625_311_721),
            (2.56, 1e-10, 17.158_308_712_104_745),
        ] {
            let ours = epsilon(Rho::new(value).unwrap(), Delta::new(delta).unwrap()).value();
            assert!(
                (ours / expected - 1.0).abs() < 1e-9,
                "{ours} against {expected}"
            );
        }
    }

    #[test]
    fn delta_agrees_with_the_reference() {
        // Facts of `zcdp_to_delta`.
        for (value, expected) in [
            (0.1, 0.008_933_245_771_818_364),
            (1.0, 0.493_493_731_233_707_66),
        ] {
            let ours = delta(Rho::new(value).unwrap(), Epsilon::new(1.0).unwrap());
            assert!(
                (ours / expected - 1.0).abs() < 1e-9,
                "{ours} against {expected}"
            );
        }
    }

    #[test]
    fn the_rho_of_a_sum_agrees_with_the_reference() {
        // Facts of `distributed_discrete_gaussian` and `ddgauss_bound`.
        for (variance, shares, shift, dimension, expected) in [
            (0.25, 4, 1.0, 1, 0.866_900_098_757_755_9),
            (1.0, 4, 1.0, 1, 0.125_135_055_788_058_09),
            (16.0, 3, 5.0, 1, 0.260_416_666_666_666_7),
            (2.25, 4, 100.0, 1_000, 555.555_556_123_104_3),
            (100.0, 4, 4_000.0, 1_048_576, 20_000.0),
        ] {
            let ours = rho_of_sum(variance, shares, shift, dimension).value();
            assert!(
                (ours / expected - 1.0).abs() < 1e-9,
                "{ours} against {expected}"
            );
        }
    }

    #[test]
    fn rho_counts_every_attempt() {
        assert_eq!(rho(NoiseMultiplier::new(4.0).unwrap(), 16).value(), 0.5);
    }
}
