// SPDX-License-Identifier: Apache-2.0
//! Zero-concentrated differential privacy: one number, `rho`, whose curve is `order * rho`.

use crate::loss::{Delta, Epsilon, NoiseMultiplier, Rho};

/// The rho of `attempts` full-batch releases: `T/(2 z^2)`.
#[must_use]
pub fn rho(multiplier: NoiseMultiplier, attempts: u32) -> Rho {
    Rho::saturating(f64::from(attempts) / (2.0 * multiplier.value() * multiplier.value()))
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
    fn rho_counts_every_attempt() {
        assert_eq!(rho(NoiseMultiplier::new(4.0).unwrap(), 16).value(), 0.5);
    }
}
