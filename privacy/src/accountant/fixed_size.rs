// SPDX-License-Identifier: Apache-2.0
//! Batches of fixed size without replacement, for patients replaced ([Wang, Balle and Kasiviswanathan 2019],
//! theorem 27): a bound at integer orders from the moments of the Gaussian itself.
//!
//! With q the part of the patients in a batch and r the ratio of the two densities of a full batch,
//!
//! ```text
//! RDP(a) <= 1/(a-1) ln(1 + sum_{j=2}^{a} C(a,j) q^j t_j)
//! t_2 = min(4 (exp(1/z^2) - 1), 2 exp(1/z^2))
//! t_j = min(4 sqrt(B(2 floor(j/2)) B(2 ceil(j/2))), 2 exp(j(j-1)/(2 z^2))),   B(l) = E[(r - 1)^l]
//! ```
//!
//! [Wang, Balle and Kasiviswanathan 2019]: https://arxiv.org/abs/1808.00087

use super::logarithms::{LogFactorials, log_expm1, log_sum_exp, log1p_exp};

/// The divergence at an order from 2 to 1024, for a fraction 0 < q <= 1 and standard deviation over sensitivity z.
pub(super) fn fixed_size_divergence(fraction: f64, multiplier: f64) -> impl Fn(u32) -> f64 {
    let log_factorials = LogFactorials::new();
    let log_fraction = libm::log(fraction);
    let moments: Vec<f64> = (1..=MOST_MOMENT / 2)
        .map(|half| log_even_moment(2 * half, multiplier))
        .collect();
    let moment = move |j: u32| {
        let half = usize::try_from(j / 2).unwrap_or(usize::MAX);
        half.checked_sub(1)
            .and_then(|index| moments.get(index).copied())
            .unwrap_or(f64::INFINITY)
    };
    move |order| {
        let logs: Vec<f64> = (2..=order)
            .map(|j| {
                let exponent = f64::from(j) * f64::from(j - 1) / (2.0 * multiplier * multiplier);
                let plain = std::f64::consts::LN_2 + exponent;
                let fine = if j == 2 {
                    2.0 * std::f64::consts::LN_2 + log_expm1(exponent)
                } else {
                    2.0 * std::f64::consts::LN_2 + (moment(j) + moment(j + j % 2)) / 2.0
                };
                log_factorials.choose(order, j) + f64::from(j) * log_fraction + fine.min(plain)
            })
            .collect();
        log1p_exp(log_sum_exp(&logs)) / f64::from(order - 1)
    }
}

/// ln E[(r - 1)^l] for an even l: the integrand is positive and analytic, so the trapezoidal rule is exact
/// to rounding at this step, where an alternating sum of exponentials would cancel.
fn log_even_moment(even: u32, multiplier: f64) -> f64 {
    let farthest = f64::from(even) / multiplier + 12.0;
    let farthest = farthest.max(f64::from(even).sqrt() + 14.0);
    if farthest > 1e4 {
        return f64::INFINITY;
    }
    let mut logs = Vec::new();
    let mut x = -farthest;
    while x <= farthest {
        let loss = x / multiplier - 0.5 / (multiplier * multiplier);
        let distance = libm::fabs(libm::expm1(loss));
        if distance > 0.0 {
            logs.push(f64::from(even) * libm::log(distance) - x * x / 2.0);
        }
        x += STEP;
    }
    log_sum_exp(&logs) + libm::log(STEP / (2.0 * std::f64::consts::PI).sqrt())
}

const STEP: f64 = 0.05;
/// Higher moments are not looked at: the plain bound is used there.
const MOST_MOMENT: u32 = 64;
