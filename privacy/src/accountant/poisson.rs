// SPDX-License-Identifier: Apache-2.0
//! Poisson sampling at integer orders ([Mironov, Talwar and Zhang 2019]), exact for integer shifts of a
//! discrete Gaussian:
//!
//! ```text
//! RDP(a) = 1/(a-1) ln sum_{j=0}^{a} C(a,j) (1-q)^(a-j) q^j exp(j(j-1)/(2 z^2))
//! ```
//!
//! This is the removal of a patient; adding one never diverges more.
//!
//! [Mironov, Talwar and Zhang 2019]: https://arxiv.org/abs/1908.10530

use super::logarithms::{LogFactorials, log_expm1, log_sum_exp, log1p_exp};

/// The divergence at an order from 2 to 1024, for a rate 0 < q < 1 and a multiplier z.
pub(super) fn poisson_divergence(rate: f64, multiplier: f64) -> impl Fn(u32) -> f64 {
    let log_factorials = LogFactorials::new();
    let log_in = libm::log(rate);
    let log_out = libm::log1p(-rate);
    move |order| {
        // The binomial terms sum to 1, so the sum is 1 + sum_{j>=2} (term)(exp(..) - 1): no cancellation.
        let logs: Vec<f64> = (2..=order)
            .map(|j| {
                let exponent = f64::from(j) * f64::from(j - 1) / (2.0 * multiplier * multiplier);
                log_factorials.choose(order, j)
                    + f64::from(order - j) * log_out
                    + f64::from(j) * log_in
                    + log_expm1(exponent)
            })
            .collect();
        log1p_exp(log_sum_exp(&logs)) / f64::from(order - 1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_agrees_with_the_reference_at_integer_orders() {
        // Facts of the reference vectors `rdp_curve_poisson`.
        let cases: [(f64, f64, [f64; 6]); 2] = [
            (
                0.01,
                1.0,
                [
                    0.000_171_813_422_074_551_62,
                    0.000_363_154_048_910_766_8,
                    0.000_893_643_907_606_041,
                    3.087_850_783_696_245,
                    11.246_275_937_048_072,
                    27.321_731_874_551_78,
                ],
            ),
            (
                0.2,
                0.8,
                [
                    0.140_482_836_623_843_3,
                    1.047_986_618_211_348_2,
                    4.410_723_734_274_335_5,
                    10.783_266_227_019_65,
                    23.338_644_735_551_892,
                    48.365_015_454_035_19,
                ],
            ),
        ];
        for (rate, multiplier, reference) in cases {
            let divergence = poisson_divergence(rate, multiplier);
            for (order, expected) in [2, 4, 8, 16, 32, 64].into_iter().zip(reference) {
                let ours = divergence(order);
                assert!(
                    (ours / expected - 1.0).abs() < 1e-10,
                    "order {order}: {ours} against {expected}"
                );
            }
        }
    }

    #[test]
    fn the_discrete_gaussian_is_covered_exactly() {
        // Facts of `rdp_poisson_discrete_gaussian`: (q, variance, shift, order, removal).
        for (rate, variance, shift, order, removal) in [
            (0.1, 1.0, 1.0, 2, 0.017_036_863_236_176_553),
            (0.3, 4.0, 2.0, 8, 2.626_492_306_746_687),
            (0.16, 100.0, 5.0, 16, 0.231_452_797_842_210_18),
        ] {
            let ours = poisson_divergence(rate, f64::sqrt(variance) / shift)(order);
            assert!(
                (ours / removal - 1.0).abs() < 1e-10,
                "{ours} against {removal}"
            );
        }
    }
}
