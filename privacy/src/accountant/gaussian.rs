// SPDX-License-Identifier: Apache-2.0
//! The continuous Gaussian mechanism, exactly ([Balle and Wang 2018]): an estimate beside the certificate.
//!
//! `T` releases at multiplier `z` are one release at `mu = sqrt(T)/z`.
//!
//! [Balle and Wang 2018]: https://arxiv.org/abs/1805.06530

use crate::loss::{Delta, Epsilon, NoiseMultiplier};

/// The tight epsilon of `attempts` full-batch releases.
#[must_use]
pub fn estimate(multiplier: NoiseMultiplier, attempts: u32, delta: Delta) -> Epsilon {
    at_separation(f64::from(attempts).sqrt() / multiplier.value(), delta)
}

/// The same from the distance of the two Gaussians in standard deviations.
pub(super) fn at_separation(mu: f64, delta: Delta) -> Epsilon {
    if mu == 0.0 {
        return Epsilon::saturating(0.0);
    }
    Epsilon::saturating(epsilon(mu, delta.value()))
}

/// The smallest multiplier for one release of the continuous Gaussian.
#[must_use]
pub fn multiplier(target: Epsilon, delta: Delta) -> f64 {
    // delta falls as sigma grows.
    bisect(1e-6, 1e9, |sigma| {
        self::delta(1.0 / sigma, target.value()) > delta.value()
    })
}

/// The delta of a release at `mu` for an epsilon.
#[must_use]
pub fn delta(mu: f64, epsilon: f64) -> f64 {
    let near = mu / 2.0 - epsilon / mu;
    let far = mu / 2.0 + epsilon / mu;
    // exp(epsilon) Phi(-far) = density(near) * Phi(-far)/density(far): nothing overflows.
    tail(-near) - density(near) * tail_over_density(far)
}

/// P(Z <= x).
pub(super) fn probability_below(x: f64) -> f64 {
    tail(-x)
}

/// The x with P(Z <= x) = probability.
pub(super) fn quantile(probability: f64) -> f64 {
    bisect(-40.0, 40.0, |x| probability_below(x) < probability)
}

fn epsilon(mu: f64, target: f64) -> f64 {
    if delta(mu, 0.0) <= target {
        return 0.0;
    }
    bisect(0.0, mu * mu / 2.0 + 40.0 * mu, |epsilon| {
        delta(mu, epsilon) > target
    })
}

/// Where a predicate that is true at first turns false, from the far side.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle
        } else {
            high = middle
        }
    }
    high
}

/// P(Z > x).
fn tail(x: f64) -> f64 {
    libm::erfc(x * std::f64::consts::FRAC_1_SQRT_2) / 2.0
}

fn density(x: f64) -> f64 {
    libm::exp(-x * x / 2.0) / (2.0 * std::f64::consts::PI).sqrt()
}

/// Mills' ratio; by its asymptotic series where the tail itself would vanish.
fn tail_over_density(x: f64) -> f64 {
    if x < 30.0 {
        return tail(x) / density(x);
    }
    let inverse = 1.0 / (x * x);
    (1.0 - inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse * (1.0 - 7.0 * inverse)))) / x
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_epsilon_agrees_with_the_reference() {
        // Facts of the reference vectors `gaussian`: (sigma, T, delta, eps_exact).
        for (sigma, attempts, delta, exact) in [
            (0.5, 1, 1e-5, 9.997_256_146_434_3),
            (2.0, 1, 1e-5, 1.993_091_404_415_119_6),
            (10.0, 1, 1e-6, 0.396_857_377_644_083_63),
            (4.0, 16, 1e-5, 4.377_178_095_681_224_5),
            (20.0, 100, 1e-6, 2.254_084_650_219_741),
            (50.0, 500, 1e-3, 1.183_265_585_256_250_4),
        ] {
            let z = NoiseMultiplier::new(sigma).unwrap();
            let ours = estimate(z, attempts, Delta::new(delta).unwrap()).value();
            assert!((ours / exact - 1.0).abs() < 1e-9, "{ours} against {exact}");
        }
    }

    #[test]
    fn the_analytic_sigma_agrees_with_the_reference() {
        for (epsilon, delta, sigma) in [
            (0.1, 1e-5, 30.749_566_131_977_69),
            (1.0, 1e-6, 4.224_678_889_326_822),
            (8.0, 1e-5, 0.600_229_072_198_951_7),
        ] {
            let ours = multiplier(Epsilon::new(epsilon).unwrap(), Delta::new(delta).unwrap());
            assert!((ours / sigma - 1.0).abs() < 1e-9, "{ours} against {sigma}");
        }
    }

    #[test]
    fn loud_and_silent_releases_do_not_overflow() {
        let delta = Delta::new(1e-5).unwrap();
        let loud = estimate(NoiseMultiplier::new(1e-3).unwrap(), 100, delta).value();
        assert!((loud / 5e7 - 1.0).abs() < 0.01, "{loud}");
        let silent = estimate(NoiseMultiplier::new(1e6).unwrap(), 1, delta).value();
        assert_eq!(silent, 0.0);
    }
}
