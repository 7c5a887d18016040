// SPDX-License-Identifier: Apache-2.0
//! The sum of many independent losses, tilted towards the part of it that is asked about.
//!
//! With `K(t)` the logarithm of E[exp(t loss)] of all releases together, each release's distribution is
//! multiplied by exp(t loss) and made a distribution again, composed, and multiplied back by
//! exp(K(t) - t loss). `t` is where exp(K(t) - t epsilon), the Chernoff bound on delta, is smallest, with
//! the factor by which delta is less than the probability of a larger loss: there the tilted sum has its
//! bulk where the untilted one has its tail. (Without the factor no `t` is best once the largest loss
//! alone has a probability above delta.)

use realfft::RealFftPlanner;

use super::grid::GridLoss;
use super::{NoEstimate, Releases};

/// The upper part of the distribution of the summed loss, on a grid.
#[derive(Debug)]
pub(super) struct Composition {
    step: f64,
    /// The place of the first mass on the grid of losses.
    first: i64,
    masses: Vec<f64>,
    /// What is not on the grid and counts as an infinite loss.
    beyond: f64,
}

impl Composition {
    /// For the epsilon at a delta.
    pub(super) fn for_delta(
        pairs: &[Releases],
        tail: f64,
        delta: f64,
        fineness: f64,
    ) -> Result<Self, NoEstimate> {
        let coarse = Cumulant::coarse(pairs, tail)?;
        let log_delta = libm::log(delta);
        let (tilt, epsilon) = least(|tilt| (coarse.at(tilt) + log_share(tilt) - log_delta) / tilt);
        Self::tilted(pairs, tail, &coarse, tilt, epsilon, fineness)
    }

    /// For the delta at an epsilon.
    pub(super) fn for_epsilon(
        pairs: &[Releases],
        tail: f64,
        epsilon: f64,
        fineness: f64,
    ) -> Result<Self, NoEstimate> {
        let coarse = Cumulant::coarse(pairs, tail)?;
        let (tilt, _) = least(|tilt| coarse.at(tilt) + log_share(tilt) - tilt * epsilon);
        Self::tilted(pairs, tail, &coarse, tilt, epsilon, fineness)
    }

    fn tilted(
        pairs: &[Releases],
        tail: f64,
        coarse: &Cumulant,
        tilt: f64,
        epsilon: f64,
        fineness: f64,
    ) -> Result<Self, NoEstimate> {
        let attempts: f64 = pairs.iter().map(|pair| f64::from(pair.attempts)).sum();
        let here = coarse.at(tilt);
        // Outside lies less than exp(-TAIL) of the tilted sum: Chernoff again, on either side.
        let (upward, highest) = least(|more| (coarse.at(tilt + more) - here + TAIL) / more);
        let (_, lowest) = least(|less| (coarse.at(tilt - less) - here + TAIL) / less);
        // The epsilon that is looked for lies below the Chernoff bound, by less than this.
        let lowest = (-lowest).min(epsilon - 20.0 / tilt);
        let highest = highest.max(epsilon + 1e-9);
        let width = highest - lowest;
        if !width.is_finite() || highest > LARGEST_LOSS || lowest < -LARGEST_LOSS {
            return Err(NoEstimate::TooLoud);
        }
        // Splitting a cell adds about step^2/12 to the variance, and (t + 1)/2 times that to epsilon.
        let accurate =
            (24.0 * ERROR * epsilon.clamp(0.01, 10.0) / ((tilt + 1.0) * attempts)).sqrt();
        let step = (accurate / fineness)
            .min(width / LEAST_LENGTH)
            .max(width / MOST_LENGTH);
        let grids = pairs
            .iter()
            .map(|releases| Ok((releases.pair.on_grid(step, tail)?, releases.attempts)))
            .collect::<Result<Vec<_>, NoEstimate>>()?;
        let fine = Cumulant { grids };
        let total = fine.at(tilt);
        let reached = fine.at(tilt + upward) - total - upward * highest;
        // P(loss > highest) <= exp(K - t highest) P(tilted loss > highest).
        let cut_off = libm::exp(total - tilt * highest + reached.min(0.0));
        let length = length_for(width / step);
        let first = floor(lowest / step);
        let tilted = fine.transformed(tilt, length)?;
        let masses = tilted
            .iter()
            .cycle()
            .skip(wrapped(first, length))
            .take(length)
            .enumerate()
            .map(|(index, mass)| {
                let loss = approximate(first + signed(index)) * step;
                mass.max(0.0) * libm::exp(total - tilt * loss)
            })
            .collect();
        Ok(Self {
            step,
            first,
            masses,
            beyond: fine.infinite() + cut_off,
        })
    }

    /// The smallest epsilon for a delta; `None` when the losses that count as infinite use it up.
    pub(super) fn epsilon(&self, delta: f64) -> Option<f64> {
        if self.beyond >= delta {
            return None;
        }
        // P(loss > here), and the same with each loss weighted by exp(here - loss).
        let (mut above, mut weighted) = (0.0, 0.0);
        for (index, mass) in self.masses.iter().enumerate().rev() {
            if self.beyond + above - weighted > delta {
                return Some(self.between(index + 1, above, weighted, delta));
            }
            above += mass;
            weighted = (weighted + mass) * libm::exp(-self.step);
        }
        // `weighted` now belongs to the place below the first.
        Some(if self.beyond + above - weighted > delta {
            self.between(0, above, weighted, delta)
        } else {
            self.loss(0).max(0.0)
        })
    }

    /// The delta for an epsilon.
    pub(super) fn delta(&self, epsilon: f64) -> f64 {
        let sum: f64 = self
            .masses
            .iter()
            .enumerate()
            .map(|(index, mass)| (self.loss(index), mass))
            .filter(|(loss, _)| *loss > epsilon)
            .map(|(loss, mass)| mass * -libm::expm1(epsilon - loss))
            .sum();
        (self.beyond + sum).min(1.0)
    }

    /// Between the place at `index - 1`, to which `above` and `weighted` belong, and the next.
    fn between(&self, index: usize, above: f64, weighted: f64, delta: f64) -> f64 {
        let here = approximate(self.first + signed(index) - 1) * self.step;
        (here + libm::log((self.beyond + above - delta) / weighted)).max(0.0)
    }

    fn loss(&self, index: usize) -> f64 {
        approximate(self.first + signed(index)) * self.step
    }
}

/// `K(t)` of all releases together.
#[derive(Debug)]
struct Cumulant {
    grids: Vec<(GridLoss, u32)>,
}

impl Cumulant {
    /// On grids of a few thousand steps each: good enough to choose the tilt by.
    fn coarse(pairs: &[Releases], tail: f64) -> Result<Self, NoEstimate> {
        let grids = pairs
            .iter()
            .map(|releases| {
                let (least, greatest) = releases.pair.span(tail);
                let step = ((greatest - least) / COARSE_LENGTH).max(1e-12);
                Ok((releases.pair.on_grid(step, tail)?, releases.attempts))
            })
            .collect::<Result<Vec<_>, NoEstimate>>()?;
        Ok(Self { grids })
    }

    fn at(&self, tilt: f64) -> f64 {
        self.grids
            .iter()
            .map(|(grid, attempts)| f64::from(*attempts) * log_moment(grid, tilt))
            .sum()
    }

    /// The probability that some release has an infinite loss.
    fn infinite(&self) -> f64 {
        let finite: f64 = self
            .grids
            .iter()
            .map(|(grid, attempts)| f64::from(*attempts) * libm::log1p(-grid.infinite().min(1.0)))
            .sum();
        -libm::expm1(finite)
    }

    /// The tilted sum; the loss at place i of the grid stands at i modulo the length.
    fn transformed(&self, tilt: f64, length: usize) -> Result<Vec<f64>, NoEstimate> {
        let mut planner = RealFftPlanner::<f64>::new();
        let (forward, inverse) = (
            planner.plan_fft_forward(length),
            planner.plan_fft_inverse(length),
        );
        let mut sum: Vec<(f64, f64)> = vec![(0.0, 0.0); length / 2 + 1];
        let mut spectrum = forward.make_output_vec();
        for (grid, attempts) in &self.grids {
            let mut buffer = vec![0.0; length];
            let log_moment = log_moment(grid, tilt);
            for (index, mass) in grid.masses().iter().enumerate() {
                let place = wrapped(grid.first() + signed(index), length);
                if let Some(sum) = buffer.get_mut(place) {
                    *sum += mass * libm::exp(tilt * grid.loss(index) - log_moment);
                }
            }
            forward
                .process(&mut buffer, &mut spectrum)
                .map_err(|_| NoEstimate::TooLoud)?;
            let times = f64::from(*attempts);
            for ((log, angle), value) in sum.iter_mut().zip(&spectrum) {
                *log += times * 0.5 * libm::log(value.re * value.re + value.im * value.im);
                *angle += times * libm::atan2(value.im, value.re);
            }
        }
        let last = sum.len() - 1;
        for (index, (value, (log, angle))) in spectrum.iter_mut().zip(&sum).enumerate() {
            let magnitude = libm::exp(*log);
            value.re = magnitude * libm::cos(*angle);
            // Real at both ends, for the transform of real numbers.
            value.im = if index == 0 || index == last {
                0.0
            } else {
                magnitude * libm::sin(*angle)
            };
        }
        let mut output = inverse.make_output_vec();
        inverse
            .process(&mut spectrum, &mut output)
            .map_err(|_| NoEstimate::TooLoud)?;
        let scale = 1.0 / approximate(signed(length));
        for value in &mut output {
            *value *= scale;
        }
        Ok(output)
    }
}

fn log_moment(grid: &GridLoss, tilt: f64) -> f64 {
    let exponent = |index: usize| tilt * grid.loss(index);
    let likely = || {
        grid.masses()
            .iter()
            .enumerate()
            .filter(|(_, mass)| **mass > 0.0)
    };
    // exp() of anything within 600 of the largest term is a double, and the rest does not matter.
    let largest = likely()
        .map(|(index, mass)| exponent(index) + libm::log(*mass))
        .fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = likely()
        .map(|(index, mass)| mass * libm::exp((exponent(index) - largest).min(700.0)))
        .sum();
    largest + libm::log(sum)
}

/// The logarithm of the largest (1 - exp(-x)) exp(-t x), where x is how far a loss exceeds epsilon
/// ([Canonne, Kamath and Steinke 2020], proposition 12).
///
/// [Canonne, Kamath and Steinke 2020]: https://arxiv.org/abs/2004.00010
fn log_share(tilt: f64) -> f64 {
    -tilt * libm::log1p(1.0 / tilt) - libm::log1p(tilt)
}

/// The argument from 1e-4 to 1e3 at which a function with one valley is smallest, and its value.
fn least(function: impl Fn(f64) -> f64) -> (f64, f64) {
    let at = |log: f64| function(libm::exp(log));
    let (mut low, mut high) = (-9.2_f64, 6.9_f64);
    let part = 0.618_033_988_749_894_9;
    let mut first = high - part * (high - low);
    let mut second = low + part * (high - low);
    let (mut at_first, mut at_second) = (at(first), at(second));
    for _ in 0..40 {
        if at_first < at_second {
            (high, second, at_second) = (second, first, at_first);
            first = high - part * (high - low);
            at_first = at(first);
        } else {
            (low, first, at_first) = (first, second, at_second);
            second = low + part * (high - low);
            at_second = at(second);
        }
    }
    let argument = libm::exp(f64::midpoint(low, high));
    (argument, function(argument))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between LEAST_LENGTH and MOST_LENGTH"
)]
fn length_for(cells: f64) -> usize {
    ((cells + 2.0) as usize).next_power_of_two()
}

#[expect(clippy::cast_possible_truncation, reason = "a place on a grid")]
fn floor(place: f64) -> i64 {
    place.floor() as i64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "places on a grid, far below 2^53"
)]
fn approximate(place: i64) -> f64 {
    place as f64
}

fn signed(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

fn wrapped(place: i64, length: usize) -> usize {
    usize::try_from(place.rem_euclid(signed(length))).unwrap_or(0)
}

/// What the grid may add to an epsilon of 1.
const ERROR: f64 = 2e-6;
/// exp(-35) is below the rounding of the transform.
const TAIL: f64 = 35.0;
const LARGEST_LOSS: f64 = 600.0;
const COARSE_LENGTH: f64 = 4_000.0;
const LEAST_LENGTH: f64 = 60_000.0;
const MOST_LENGTH: f64 = 4_000_000.0;
