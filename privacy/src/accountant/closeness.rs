// SPDX-License-Identifier: Apache-2.0
//! How near a sum of discrete Gaussians is to one discrete Gaussian.

/// tau of [Kairouz, Liu and Steinke 2021]: how far, in log-probability per coordinate, a sum of `shares`
/// discrete Gaussians is from one discrete Gaussian of the summed variance.
///
/// [Kairouz, Liu and Steinke 2021]: https://arxiv.org/abs/2102.06387
pub(super) fn closeness(variance: f64, shares: u32) -> f64 {
    let exponent = 2.0 * std::f64::consts::PI * std::f64::consts::PI * variance;
    10.0 * (1..shares)
        .map(|k| libm::exp(-exponent * f64::from(k) / f64::from(k + 1)))
        .sum::<f64>()
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss
)]
mod tests {
    use super::*;
    use crate::noise_plan::MOST_SILOS;

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
    fn as_many_shares_as_a_round_may_have_are_as_near_as_is_charged() {
        // The exact sum, share by share in powers of two, against one discrete Gaussian of the whole variance.
        for variance in [1.0_f64, 2.25] {
            for shares in [2, 500, MOST_SILOS] {
                let whole = variance * f64::from(shares);
                let width = (12.0 * whole.sqrt()).ceil() as i64;
                let sum = sum_of_shares(variance, shares, width);
                let one = discrete_gaussian(whole, width);
                let seen = (5.0 * whole.sqrt()) as i64;
                let furthest = (-seen..=seen)
                    .map(|value| (value + width) as usize)
                    .map(|place| (sum[place] / one[place]).ln().abs())
                    .fold(0.0, f64::max);
                let tau = closeness(variance, shares);
                // A part in 10^10 for some thousand roundings; the distance itself is far above it at variance 1.
                assert!(
                    furthest <= tau + 1e-10,
                    "{furthest} beyond {tau} for {shares}"
                );
                assert!(variance > 1.0 || furthest > 1e-6, "{furthest}");
            }
        }
    }

    #[test]
    fn the_distance_of_a_real_share_vanishes_whatever_the_number_of_silos() {
        // k/(k + 1) is never below a half: tau <= 10 (n - 1) exp(-pi^2 sigma_s^2), nothing at all for shares of 2^14.
        for variance in [1.0, 16.0, 64.0] {
            let bound =
                10.0 * f64::from(MOST_SILOS - 1) * (-std::f64::consts::PI.powi(2) * variance).exp();
            let tau = closeness(variance, MOST_SILOS);
            assert!(tau > 0.0 && tau <= bound * (1.0 + 1e-12), "{tau} {bound}");
        }
        assert_eq!(closeness(f64::from(1 << 27), MOST_SILOS), 0.0);
    }

    fn discrete_gaussian(variance: f64, width: i64) -> Vec<f64> {
        let weights: Vec<f64> = (-width..=width)
            .map(|value| (-(value * value) as f64 / (2.0 * variance)).exp())
            .collect();
        let all: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / all).collect()
    }

    fn sum_of_shares(variance: f64, shares: u32, width: i64) -> Vec<f64> {
        let mut power = discrete_gaussian(variance, width);
        let mut sum: Option<Vec<f64>> = None;
        let mut left = shares;
        while left > 0 {
            if left % 2 == 1 {
                sum = Some(sum.map_or_else(|| power.clone(), |sum| added(&sum, &power)));
            }
            power = added(&power, &power);
            left /= 2;
        }
        sum.unwrap()
    }

    /// The distribution of the sum of two, between the same ends.
    fn added(left: &[f64], right: &[f64]) -> Vec<f64> {
        let width = left.len() / 2;
        (0..left.len())
            .map(|place| {
                let first = (place + width + 1).saturating_sub(right.len());
                (first..=(place + width).min(left.len() - 1))
                    .map(|other| left[other] * right[place + width - other])
                    .sum()
            })
            .collect()
    }
}
