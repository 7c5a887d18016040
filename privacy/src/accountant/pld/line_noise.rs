// SPDX-License-Identifier: Apache-2.0
//! Noise on the real line: Gaussian, with or without sampling, and Laplace.

use super::Direction;
use super::grid::GridLoss;
use crate::accountant::event::{Adjacency, NoiseEvent};

/// A Gaussian against a mixture of it with a shifted one; the loss rises along the line.
///
/// With sampling rate q and noise N, `Mixture(s)` is N with probability 1 - q and N + s otherwise: a patient
/// removed is `Mixture(1)` against N, added N against `Mixture(-1)`, replaced `Mixture(1)` against `Mixture(-1)`.
#[derive(Debug)]
pub(super) struct GaussianPair {
    rate: f64,
    deviation: f64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Removed,
    Added,
    Replaced,
}

impl GaussianPair {
    pub(super) fn new(event: &NoiseEvent, rate: f64, direction: Direction) -> Self {
        let (deviation, kind) = match (event.adjacency(), direction) {
            (Adjacency::AddRemove, Direction::Removed) => (event.multiplier(), Kind::Removed),
            (Adjacency::AddRemove, Direction::Added) => (event.multiplier(), Kind::Added),
            // Two Gaussians that are two clips apart.
            (Adjacency::Replace, _) if rate == 1.0 => (event.multiplier(), Kind::Removed),
            (Adjacency::Replace, _) => (event.over_clip(), Kind::Replaced),
        };
        Self {
            rate,
            deviation,
            kind,
        }
    }

    pub(super) fn span(&self, tail: f64) -> (f64, f64) {
        let (low, high) = self.line(tail);
        (self.loss(low), self.loss(high))
    }

    pub(super) fn fill(&self, grid: &mut GridLoss, tail: f64) {
        let (_, high) = self.line(tail);
        let mut right = self.place(grid.loss(0));
        grid.add_below(self.mass(f64::NEG_INFINITY, right));
        for index in 0..grid.masses().len() {
            if right >= high {
                break;
            }
            let left = right;
            right = self.place(grid.loss(index + 1));
            grid.deposit_cell(index, self.mass(left, right), self.other(left, right));
        }
        grid.add_infinite(self.mass(right, f64::INFINITY));
    }

    /// Where on the line all but `tail` of the first distribution lies.
    fn line(&self, tail: f64) -> (f64, f64) {
        let reach = (-2.0 * libm::log(tail)).sqrt() * self.deviation;
        let (least, greatest) = match self.kind {
            Kind::Removed | Kind::Replaced if self.rate == 1.0 => (1.0, 1.0),
            Kind::Removed | Kind::Replaced => (0.0, 1.0),
            Kind::Added => (0.0, 0.0),
        };
        (least - reach, greatest + reach)
    }

    fn loss(&self, x: f64) -> f64 {
        let doubled = 2.0 * self.deviation * self.deviation;
        let mixed = |exponent: f64| {
            // ln(1 - q + q e^y), for any y.
            if exponent > 0.0 {
                exponent + libm::log(self.rate + (1.0 - self.rate) * libm::exp(-exponent))
            } else {
                libm::log1p(self.rate * libm::expm1(exponent))
            }
        };
        match self.kind {
            Kind::Removed => mixed((2.0 * x - 1.0) / doubled),
            Kind::Added => -mixed((-2.0 * x - 1.0) / doubled),
            Kind::Replaced => mixed((2.0 * x - 1.0) / doubled) - mixed((-2.0 * x - 1.0) / doubled),
        }
    }

    /// The inverse of the loss; infinite where no place has so small or large a loss.
    fn place(&self, loss: f64) -> f64 {
        let variance = self.deviation * self.deviation;
        match self.kind {
            Kind::Removed => variance * self.exponent(loss) + 0.5,
            Kind::Added => -(variance * self.exponent(-loss) + 0.5),
            Kind::Replaced if loss < 0.0 => -self.place(-loss),
            Kind::Replaced => {
                // q c y^2 + (1 - q)(1 - e^loss) y - e^loss q c = 0 with y = exp(x/variance), c = exp(-1/(2 variance)).
                let middle = (1.0 - self.rate) * libm::expm1(loss);
                let corner = self.rate * libm::exp(-0.5 / variance);
                let root = (middle * middle + 4.0 * libm::exp(loss) * corner * corner).sqrt();
                variance * (libm::log((middle + root) / (2.0 * self.rate)) + 0.5 / variance)
            }
        }
    }

    /// The y with ln(1 - q + q e^y) = loss.
    fn exponent(&self, loss: f64) -> f64 {
        if self.rate == 1.0 {
            loss
        } else if loss > 30.0 {
            loss + libm::log((1.0 - (1.0 - self.rate) * libm::exp(-loss)) / self.rate)
        } else {
            let ratio = (libm::expm1(loss) + self.rate) / self.rate;
            if ratio > 0.0 {
                libm::log(ratio)
            } else {
                f64::NEG_INFINITY
            }
        }
    }

    fn mass(&self, left: f64, right: f64) -> f64 {
        match self.kind {
            Kind::Removed | Kind::Replaced => self.mixture(left, right, 1.0),
            Kind::Added => self.plain(left, right),
        }
    }

    fn other(&self, left: f64, right: f64) -> f64 {
        match self.kind {
            Kind::Removed => self.plain(left, right),
            Kind::Added | Kind::Replaced => self.mixture(left, right, -1.0),
        }
    }

    fn mixture(&self, left: f64, right: f64, shift: f64) -> f64 {
        let shifted = self.rate * self.plain(left - shift, right - shift);
        if self.rate == 1.0 {
            shifted
        } else {
            (1.0 - self.rate) * self.plain(left, right) + shifted
        }
    }

    /// P(left < N <= right), from the nearer tail.
    fn plain(&self, left: f64, right: f64) -> f64 {
        if right <= left {
            return 0.0;
        }
        let (left, right) = (left / self.deviation, right / self.deviation);
        if left + right > 0.0 {
            tail_above(left) - tail_above(right)
        } else {
            tail_above(-right) - tail_above(-left)
        }
    }
}

/// Laplace noise, two distributions a sensitivity apart; the loss rises from -1/b to 1/b between them.
#[derive(Debug)]
pub(super) struct LaplacePair {
    /// In units of the sensitivity.
    scale: f64,
}

impl LaplacePair {
    pub(super) fn new(event: &NoiseEvent) -> Self {
        Self {
            scale: event.multiplier() * std::f64::consts::FRAC_1_SQRT_2,
        }
    }

    pub(super) fn span(&self) -> (f64, f64) {
        (-1.0 / self.scale, 1.0 / self.scale)
    }

    pub(super) fn fill(&self, grid: &mut GridLoss) {
        let b = self.scale;
        grid.deposit(1.0 / b, 0.5);
        grid.deposit(-1.0 / b, 0.5 * libm::exp(-1.0 / b));
        for index in 0..grid.masses().len() {
            // loss = (2 x - 1)/b for x between 0 and 1.
            let at = |loss: f64| ((loss * b + 1.0) / 2.0).clamp(0.0, 1.0);
            let (left, right) = (at(grid.loss(index)), at(grid.loss(index + 1)));
            if right > left {
                let mass = 0.5 * libm::exp((right - 1.0) / b) * -libm::expm1((left - right) / b);
                let other = 0.5 * libm::exp(-left / b) * -libm::expm1((left - right) / b);
                grid.deposit_cell(index, mass, other);
            }
        }
    }
}

/// P(Z > x).
fn tail_above(x: f64) -> f64 {
    0.5 * libm::erfc(x * std::f64::consts::FRAC_1_SQRT_2)
}
