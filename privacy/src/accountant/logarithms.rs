// SPDX-License-Identifier: Apache-2.0
//! Sums and binomial coefficients as logarithms, where the numbers themselves would overflow.

/// ln(0!) to ln(1024!).
pub(super) struct LogFactorials(Vec<f64>);

impl LogFactorials {
    pub(super) fn new() -> Self {
        let mut sum = 0.0;
        let logs = std::iter::once(0.0).chain((1..=1024_u32).map(|n| {
            sum += libm::log(f64::from(n));
            sum
        }));
        Self(logs.collect())
    }

    /// ln C(n, k), for n up to 1024.
    pub(super) fn choose(&self, n: u32, k: u32) -> f64 {
        self.at(n) - self.at(k) - self.at(n - k)
    }

    fn at(&self, n: u32) -> f64 {
        usize::try_from(n)
            .ok()
            .and_then(|n| self.0.get(n).copied())
            .unwrap_or(f64::INFINITY)
    }
}

/// ln(exp(x) - 1) for x > 0.
pub(super) fn log_expm1(x: f64) -> f64 {
    if x > 30.0 {
        x + libm::log1p(-libm::exp(-x))
    } else {
        libm::log(libm::expm1(x))
    }
}

/// ln(1 + exp(x)).
pub(super) fn log1p_exp(x: f64) -> f64 {
    if x > 0.0 {
        x + libm::log1p(libm::exp(-x))
    } else {
        libm::log1p(libm::exp(x))
    }
}

/// ln of the sum of exponentials; minus infinity for none.
pub(super) fn log_sum_exp(logs: &[f64]) -> f64 {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + libm::log(logs.iter().map(|log| libm::exp(log - largest)).sum())
}
