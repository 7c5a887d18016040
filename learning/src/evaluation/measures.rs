// SPDX-License-Identifier: Apache-2.0
//! What a histogram says of a model, and between which bounds that holds.
//!
//! Each measure is the t at which some statistic of the true counts is zero: right (1 - t) - wrong t for an accuracy t. The
//! interval holds every t at which the noised statistic is within 1.96 standard deviations of zero (Fieller 1954): unlike a
//! quotient with an error, it stays true when there is more noise than there are patients, and is then as wide as what is
//! possible. Statistic and variance are quadratic in t, so its ends are roots.
//!
//! Uses + - * / and square root only.

use crate::result::{Interval, Measure};

/// c + b t + a t^2.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quadratic {
    c: f64,
    b: f64,
    a: f64,
}

/// A number of patients right, one wrong; each with this variance of its noise.
pub(super) fn accuracy(right: f64, wrong: f64, variances: [f64; 2]) -> Measure {
    let [of_right, of_wrong] = variances;
    // right - t (right + wrong)
    let noise = Quadratic {
        c: of_right,
        b: -2.0 * of_right,
        a: of_right + of_wrong,
    };
    let total = right + wrong;
    let sampling = Quadratic {
        c: 0.0,
        b: total.max(0.0),
        a: -total.max(0.0),
    };
    measure([right, total], noise, sampling, [0.0, 1.0])
}

/// The probability that someone of the second list of counts, by rising scores, stands above someone of the first; a half
/// when both are in one bin.
pub(super) fn area_under_curve(first: &[f64], second: &[f64], variance: f64) -> Measure {
    let (of_first, of_second): (f64, f64) = (first.iter().sum(), second.iter().sum());
    // For each bin: how many of the other list lie below or above, those of the same bin half.
    let below = cumulated(first);
    let mut above: Vec<f64> = second.iter().rev().copied().collect();
    above = cumulated(&above).into_iter().rev().collect();
    let ordered: f64 = second
        .iter()
        .zip(&below)
        .map(|(own, below)| own * below)
        .sum();
    // The statistic is the sum over all pairs of bins of (m - t) first second, m = 1, 1/2 or 0. Noise in one list shifts it by
    // what the other holds, and noise in both by the squares of all (m - t).
    let bins = approximate(first.len());
    let squares = |of_other: &[f64], total: f64| Quadratic {
        c: of_other.iter().map(|value| value * value).sum(),
        b: -2.0 * total * of_other.iter().sum::<f64>(),
        a: bins * total * total,
    };
    let (by_second, by_first) = (squares(&below, of_first), squares(&above, of_second));
    let pairs = Quadratic {
        c: bins * (bins - 1.0) / 2.0 + bins / 4.0,
        b: -bins * bins,
        a: bins * bins,
    };
    let noise = by_second
        .plus(by_first)
        .times(variance)
        .plus(pairs.times(variance * variance));
    // No distribution of scores has a larger error of sampling: t (1 - t) over the smaller number (Cortes and Mohri 2004).
    let most = of_first * of_second * of_first.max(of_second);
    let sampling = Quadratic {
        c: 0.0,
        b: most.max(0.0),
        a: -most.max(0.0),
    };
    if of_first <= 0.0 || of_second <= 0.0 {
        return Measure::unknown([0.0, 1.0], variance > 0.0);
    }
    measure([ordered, of_first * of_second], noise, sampling, [0.0, 1.0])
}

/// The mean of a number over patients, where each bin's mean is known to lie between two bounds.
pub(super) fn mean(counts: &[f64], low: &[f64], high: &[f64], variance: f64) -> Measure {
    let most = high.iter().copied().fold(0.0, f64::max);
    let total: f64 = counts.iter().sum();
    let of = |means: &[f64]| {
        let sum: f64 = counts
            .iter()
            .zip(means)
            .map(|(count, mean)| count * mean)
            .sum();
        let squares: f64 = means.iter().map(|mean| mean * mean).sum();
        let spread: f64 = counts
            .iter()
            .zip(means)
            .map(|(count, mean)| count.max(0.0) * mean * mean)
            .sum();
        let noise = Quadratic {
            c: variance * squares,
            b: -2.0 * variance * means.iter().sum::<f64>(),
            a: variance * approximate(means.len()),
        };
        let sampling = Quadratic {
            c: spread,
            b: -2.0 * sum.max(0.0),
            a: total.max(0.0),
        };
        measure([sum, total], noise, sampling, [0.0, most])
    };
    let middle: Vec<f64> = low
        .iter()
        .zip(high)
        .map(|(low, high)| (low + high) / 2.0)
        .collect();
    let (least, most) = (of(low), of(high));
    let hull = |from: Option<Interval>, to: Option<Interval>| {
        from.zip(to).map(|([low, _], [_, high])| [low, high])
    };
    Measure {
        interval: match (variance > 0.0, least.value.zip(most.value)) {
            (true, _) => hull(least.interval, most.interval),
            // Without noise it is known but for where in its bin each patient is.
            (false, known) => known.map(|(low, high)| [low, high]),
        },
        population_interval: hull(least.population_interval, most.population_interval),
        ..of(&middle)
    }
}

/// t where `of[0] - t of[1]` is zero; `noise` and `sampling` are the variances of that.
fn measure(of: [f64; 2], noise: Quadratic, sampling: Quadratic, bounds: Interval) -> Measure {
    let [part, whole] = of;
    if whole <= 0.0 {
        return Measure::unknown(bounds, noise.a > 0.0);
    }
    let statistic = Quadratic {
        c: part * part,
        b: -2.0 * part * whole,
        a: whole * whole,
    };
    let [least, most] = bounds;
    let within = |variance: Quadratic| {
        let found = statistic.plus(variance.times(-NORMAL_97_5 * NORMAL_97_5));
        found.at_most_zero(bounds)
    };
    Measure {
        value: Some((part / whole).clamp(least, most)),
        interval: (noise.a > 0.0).then(|| within(noise)),
        population_interval: Some(within(noise.plus(sampling))),
    }
}

impl Quadratic {
    fn plus(self, other: Self) -> Self {
        Self {
            c: self.c + other.c,
            b: self.b + other.b,
            a: self.a + other.a,
        }
    }

    fn times(self, factor: f64) -> Self {
        Self {
            c: factor * self.c,
            b: factor * self.b,
            a: factor * self.a,
        }
    }

    /// The smallest interval within bounds that holds every place there at which this is not above zero.
    fn at_most_zero(self, [least, most]: Interval) -> Interval {
        let discriminant = self.b * self.b - 4.0 * self.a * self.c;
        // Opened downwards, it is above zero between its roots at most: what lies outside reaches both bounds.
        if self.a <= 0.0 || discriminant < 0.0 {
            return [least, most];
        }
        // The root of larger magnitude first, so that nothing is cancelled.
        let far = -(self.b + self.b.signum() * discriminant.sqrt()) / 2.0;
        let roots = if far == 0.0 {
            [0.0, 0.0]
        } else {
            [far / self.a, self.c / far]
        };
        let [one, other] = roots;
        [
            one.min(other).clamp(least, most),
            one.max(other).clamp(least, most),
        ]
    }
}

impl Measure {
    /// When the noise leaves nobody to count.
    fn unknown(bounds: Interval, is_noised: bool) -> Self {
        Self {
            value: None,
            interval: is_noised.then_some(bounds),
            population_interval: Some(bounds),
        }
    }
}

/// Everything before each place, and half of what is there.
fn cumulated(counts: &[f64]) -> Vec<f64> {
    let mut before = 0.0;
    counts
        .iter()
        .map(|count| {
            let here = before + count / 2.0;
            before += count;
            here
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a hundred bins at most")]
fn approximate(count: usize) -> f64 {
    count as f64
}

/// The 97.5 % point of the standard normal distribution, for two-sided 95 % intervals.
const NORMAL_97_5: f64 = 1.959_963_984_540_054;
