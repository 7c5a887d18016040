// SPDX-License-Identifier: Apache-2.0
//! The privacy loss of one release on a grid of equal steps, never smaller than it is.

/// Probabilities of losses `step * (first + index)`, and of an infinite loss.
#[derive(Debug, Clone)]
pub(super) struct GridLoss {
    step: f64,
    first: i64,
    masses: Vec<f64>,
    infinite: f64,
}

impl GridLoss {
    /// A grid that covers the losses from `least` to `greatest`; `None` when it would be too long.
    pub(super) fn empty(step: f64, least: f64, greatest: f64) -> Option<Self> {
        let (first, last) = ((least / step).floor(), (greatest / step).ceil());
        let length = last - first + 1.0;
        if !(1.0..=MOST_CELLS).contains(&length) || first.abs() > FARTHEST {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and checked against the bounds above"
        )]
        let (first, length) = (first as i64, length as usize);
        Some(Self {
            step,
            first,
            masses: vec![0.0; length],
            infinite: 0.0,
        })
    }

    pub(super) fn first(&self) -> i64 {
        self.first
    }

    pub(super) fn masses(&self) -> &[f64] {
        &self.masses
    }

    pub(super) fn infinite(&self) -> f64 {
        self.infinite
    }

    /// The loss at a place of the grid.
    pub(super) fn loss(&self, index: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let place = (self.first + i64::try_from(index).unwrap_or(i64::MAX)) as f64;
        place * self.step
    }

    /// The mass of one outcome.
    pub(super) fn deposit(&mut self, loss: f64, mass: f64) {
        let place = (loss / self.step).floor();
        let upper = libm::expm1(place * self.step - loss) / libm::expm1(-self.step);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "small against 2^53; outside the grid it saturates"
        )]
        let index = (place - self.first as f64) as i64;
        self.split(index, mass, upper);
    }

    /// The masses `mass` and `other` of the cell above a place, of the distribution and of the one that it is
    /// compared with.
    pub(super) fn deposit_cell(&mut self, index: usize, mass: f64, other: f64) {
        if mass <= 0.0 {
            return;
        }
        let kept = other * libm::exp(self.loss(index)) / mass;
        let upper = (1.0 - kept) / -libm::expm1(-self.step);
        self.split(i64::try_from(index).unwrap_or(i64::MAX), mass, upper);
    }

    /// Mass below the grid is moved up to it, mass above it counts as an infinite loss.
    fn split(&mut self, index: i64, mass: f64, upper: f64) {
        let upper = upper.clamp(0.0, 1.0);
        self.put(index, mass * (1.0 - upper));
        self.put(index.saturating_add(1), mass * upper);
    }

    fn put(&mut self, index: i64, mass: f64) {
        let index = usize::try_from(index.max(0)).unwrap_or(usize::MAX);
        match self.masses.get_mut(index) {
            Some(place) => *place += mass,
            None => self.infinite += mass,
        }
    }

    pub(super) fn add_below(&mut self, mass: f64) {
        self.put(0, mass);
    }

    pub(super) fn add_infinite(&mut self, mass: f64) {
        self.infinite += mass;
    }
}

const MOST_CELLS: f64 = 8_388_608.0;
const FARTHEST: f64 = 1e12;
