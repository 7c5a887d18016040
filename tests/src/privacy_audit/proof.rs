// SPDX-License-Identifier: Apache-2.0
//! What counted guesses prove about the noise.

use std::f64::consts::SQRT_2;

/// How often guesses of one kind came true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Guesses `present`.
    pub present: u32,
    /// Guesses in all.
    pub all: u32,
}

impl Count {
    /// Takes one guess in.
    pub fn add(&mut self, present: bool) {
        self.present += u32::from(present);
        self.all += 1;
    }

    /// Takes other guesses in.
    pub fn merge(&mut self, other: Self) {
        self.present += other.present;
        self.all += other.all;
    }
}

/// The distance between the two cases, in standard deviations of the noise, that guesses prove: the normal quantile of
/// the lower bound of the true positive rate, less that of the upper bound of the false positive rate. Each bound is
/// that of Clopper and Pearson, one-sided at 99 %, so both hold together with at least 98 %.
#[must_use]
pub fn proven_distance(when_present: Count, when_absent: Count) -> f64 {
    quantile(lower_bound(when_present, ERROR)) - quantile(upper_bound(when_absent, ERROR))
}

/// The rate at which the canary must have been drawn, by the guesses about noise of `distance` between a canary that is in
/// the sum and one that is not. No test with false positives `a` can have more true ones than
/// `a + rate (Phi(distance + Phi^-1(a)) - a)`, which grows with `a`; the bounds are those of [`proven_distance`].
#[must_use]
pub fn proven_rate(when_present: Count, when_absent: Count, distance: f64) -> f64 {
    let accused = upper_bound(when_absent, ERROR);
    let found_if_drawn = probability_below(distance + quantile(accused));
    (lower_bound(when_present, ERROR) - accused) / (found_if_drawn - accused)
}

/// The one-sided lower bound of Clopper and Pearson: the rate at which so many or more come with the probability `error`.
#[must_use]
pub fn lower_bound(count: Count, error: f64) -> f64 {
    if count.present == 0 {
        return 0.0;
    }
    bisect(0.0, 1.0, |rate| {
        at_least(count.present, count.all, rate) < error
    })
}

/// The one-sided upper bound of Clopper and Pearson.
#[must_use]
pub fn upper_bound(count: Count, error: f64) -> f64 {
    1.0 - lower_bound(
        Count {
            present: count.all - count.present,
            all: count.all,
        },
        error,
    )
}

/// The largest epsilon that `correct` of `guesses` refute at `delta`, with confidence `1 - error`: [Steinke, Nasr and
/// Jagielski 2023], theorem 5.2, over `canaries` patients each in or out by a fair coin. 0 if they refute none.
///
/// [Steinke, Nasr and Jagielski 2023]: https://arxiv.org/abs/2305.08846
#[must_use]
pub fn refuted_epsilon(canaries: u32, guesses: u32, correct: u32, delta: f64, error: f64) -> f64 {
    let most = 60.0;
    bisect(0.0, most, |epsilon| {
        chance_of_so_many(canaries, guesses, correct, epsilon, delta) < error
    })
}

/// The most probable that so many correct guesses are under a promise of epsilon and delta.
fn chance_of_so_many(canaries: u32, guesses: u32, correct: u32, epsilon: f64, delta: f64) -> f64 {
    let rate = 1.0 / (1.0 + (-epsilon).exp());
    let beyond = at_least(correct, guesses, rate);
    let (mut below, mut slack) = (0.0, 0.0_f64);
    for fewer in 1..=correct {
        below += mass(correct - fewer, guesses, rate);
        slack = slack.max(below / f64::from(fewer));
    }
    (beyond + slack * delta * 2.0 * f64::from(canaries)).min(1.0)
}

/// The probability that a binomial count is `least` or more.
fn at_least(least: u32, all: u32, rate: f64) -> f64 {
    let most_probable = f64::from(all) * rate;
    let mut sum = 0.0;
    for count in least..=all {
        let term = mass(count, all, rate);
        sum += term;
        // COST: beyond the most probable count terms fall faster than a geometric series does.
        if f64::from(count) > most_probable + 1.0 && term < NEGLIGIBLE * sum {
            break;
        }
    }
    sum.min(1.0)
}

fn mass(count: u32, all: u32, rate: f64) -> f64 {
    if rate <= 0.0 || rate >= 1.0 {
        let certain = if rate <= 0.0 { 0 } else { all };
        return f64::from(u8::from(count == certain));
    }
    let (successes, failures) = (f64::from(count), f64::from(all - count));
    let ways = libm::lgamma(f64::from(all) + 1.0)
        - libm::lgamma(successes + 1.0)
        - libm::lgamma(failures + 1.0);
    (ways + successes * rate.ln() + failures * (-rate).ln_1p()).exp()
}

/// The standard normal quantile.
fn quantile(probability: f64) -> f64 {
    bisect(-40.0, 40.0, |at| probability_below(at) < probability)
}

fn probability_below(at: f64) -> f64 {
    libm::erfc(-at / SQRT_2) / 2.0
}

/// Where `is_below` ceases to hold.
fn bisect(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Of a sum, far below what a double holds of it.
const NEGLIGIBLE: f64 = 1e-20;

/// Of each one-sided bound.
const ERROR: f64 = 0.01;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn the_bounds_are_those_of_clopper_and_pearson() {
        // All of n, and none of n, have closed forms.
        near(
            lower_bound(
                Count {
                    present: 100,
                    all: 100,
                },
                0.01,
            ),
            0.01_f64.powf(0.01),
        );
        near(
            upper_bound(
                Count {
                    present: 0,
                    all: 100,
                },
                0.01,
            ),
            1.0 - 0.01_f64.powf(0.01),
        );
        near(
            lower_bound(
                Count {
                    present: 0,
                    all: 100,
                },
                0.01,
            ),
            0.0,
        );
        // One of two: 1 - (1 - p)^2 = 0.01.
        near(
            lower_bound(Count { present: 1, all: 2 }, 0.01),
            1.0 - 0.99_f64.sqrt(),
        );
    }

    #[test]
    fn a_rate_is_proven_as_far_as_the_guesses_reach() {
        let count = |present| Count {
            present,
            all: 1_000_000,
        };
        // At the distance 2 and the threshold 2: false positives Phi(-2), true ones a half of those drawn.
        let absent = count(22_750);
        for rate in [0.1, 0.5, 1.0] {
            let found = rate * 500_000.0 + (1.0 - rate) * 22_750.0;
            let proven = proven_rate(count(found as u32), absent, 2.0);
            assert!((0.95..1.0).contains(&(proven / rate)), "{proven} of {rate}");
        }
        assert!(proven_rate(absent, absent, 2.0) < 0.0);
    }

    #[test]
    fn the_quantile_is_that_of_the_normal_distribution() {
        near(quantile(0.5), 0.0);
        near(quantile(0.841_344_746_068_542_9), 1.0);
        near(quantile(0.01), -2.326_347_874_040_841);
    }

    #[test]
    fn without_delta_an_epsilon_is_refuted_as_a_binomial_rate_is() {
        let epsilon = refuted_epsilon(1_000, 200, 190, 0.0, 0.01);
        let rate = lower_bound(
            Count {
                present: 190,
                all: 200,
            },
            0.01,
        );
        near(epsilon, (rate / (1.0 - rate)).ln());
        assert!(refuted_epsilon(1_000, 200, 190, 1e-5, 0.01) < epsilon);
        near(refuted_epsilon(1_000, 200, 90, 0.0, 0.01), 0.0);
    }
}
