// SPDX-License-Identifier: Apache-2.0
//! Noise on the integers, in one coordinate that one patient shifts by a whole number.

use super::Direction;
use super::grid::GridLoss;
use crate::accountant::event::{Adjacency, Mechanism, NoiseEvent};
use crate::accountant::mechanism_divergence::discrete_laplace_rate;

/// Symmetric noise against the same noise shifted, or a mixture of both.
#[derive(Debug)]
pub(super) struct IntegerPair {
    /// ln P(0), ln P(1), and so on.
    log_masses: Vec<f64>,
    shift: i64,
    rate: f64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Removed,
    Added,
    Replaced,
}

impl IntegerPair {
    /// `None` when the noise is too wide or too narrow to be listed.
    pub(super) fn new(event: &NoiseEvent, rate: f64, direction: Direction) -> Option<Self> {
        let (moved, kind) = match (event.adjacency(), direction) {
            (Adjacency::AddRemove, Direction::Removed) => (event.sensitivity(), Kind::Removed),
            (Adjacency::AddRemove, Direction::Added) => (event.sensitivity(), Kind::Added),
            (Adjacency::Replace, _) if rate == 1.0 => (event.sensitivity(), Kind::Removed),
            (Adjacency::Replace, _) => (event.sensitivity() / 2.0, Kind::Replaced),
        };
        let deviation = event.standard_deviation();
        if !(moved.fract() == 0.0 && moved <= MOST_VALUES && deviation <= MOST_VALUES / 64.0) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
        let shift = moved as i64;
        let variance = deviation * deviation;
        let log_masses = match event.mechanism() {
            Mechanism::Gaussian | Mechanism::Laplace => return None,
            Mechanism::DiscreteGaussian => discrete_gaussian(variance),
            Mechanism::SumOfDiscreteGaussians { shares, .. } => {
                let each = variance / f64::from(shares);
                // Further apart than this, the sum is one discrete Gaussian but for less than 2^-700.
                if each > 50.0 {
                    discrete_gaussian(variance)
                } else {
                    sum_of_discrete_gaussians(each, shares)
                }
            }
            Mechanism::DiscreteLaplace => discrete_laplace(discrete_laplace_rate(event)),
            Mechanism::Skellam { .. } => skellam(variance),
        };
        Some(Self {
            log_masses,
            shift,
            rate,
            kind,
        })
    }

    pub(super) fn span(&self, tail: f64) -> (f64, f64) {
        let mut span = (f64::INFINITY, f64::NEG_INFINITY);
        self.for_each(tail, |mass, loss| {
            if mass > 0.0 && loss.is_finite() {
                span = (span.0.min(loss), span.1.max(loss));
            }
        });
        span
    }

    pub(super) fn fill(&self, grid: &mut GridLoss, tail: f64) {
        let mut listed = 0.0;
        self.for_each(tail, |mass, loss| {
            listed += mass;
            if loss.is_finite() {
                grid.deposit(loss, mass);
            } else if loss > 0.0 {
                grid.add_infinite(mass);
            }
        });
        // What is not listed is below `tail`, or rounding.
        grid.add_infinite((1.0 - listed).clamp(0.0, 2.0 * tail));
    }

    /// Calls with the probability and the loss of every value that is likely enough.
    fn for_each(&self, tail: f64, mut call: impl FnMut(f64, f64)) {
        let radius = self.radius(tail);
        for value in -radius - self.shift..=radius + self.shift {
            let here = self.log_mass(value);
            let above = self.mixed(here, self.log_mass(value - self.shift));
            let below = self.mixed(here, self.log_mass(value + self.shift));
            let (mass, other) = match self.kind {
                Kind::Removed => (above, here),
                Kind::Added => (here, below),
                Kind::Replaced => (above, below),
            };
            if mass > f64::NEG_INFINITY {
                call(libm::exp(mass), mass - other);
            }
        }
    }

    /// Beyond it lies less than `tail`, the decay being at least geometric.
    fn radius(&self, tail: f64) -> i64 {
        let threshold = libm::log(tail) - 12.0;
        let listed = self
            .log_masses
            .iter()
            .take_while(|log| **log > threshold)
            .count();
        i64::try_from(listed).unwrap_or(i64::MAX / 4)
    }

    fn log_mass(&self, value: i64) -> f64 {
        usize::try_from(value.abs())
            .ok()
            .and_then(|index| self.log_masses.get(index).copied())
            .unwrap_or(f64::NEG_INFINITY)
    }

    /// ln((1 - q) e^here + q e^shifted).
    fn mixed(&self, here: f64, shifted: f64) -> f64 {
        if self.rate == 1.0 {
            return shifted;
        }
        let (out, taking_part) = (
            here + libm::log1p(-self.rate),
            shifted + libm::log(self.rate),
        );
        let (most, least) = (out.max(taking_part), out.min(taking_part));
        if most == f64::NEG_INFINITY {
            most
        } else {
            most + libm::log1p(libm::exp(least - most))
        }
    }
}

fn discrete_gaussian(variance: f64) -> Vec<f64> {
    let logs = until_negligible(|x| -x * x / (2.0 * variance));
    normalised(logs)
}

fn discrete_laplace(rate: f64) -> Vec<f64> {
    normalised(until_negligible(|x| -rate * x))
}

/// By the ratios of neighbouring Bessel functions, from far out inwards.
fn skellam(variance: f64) -> Vec<f64> {
    let farthest = 60.0 * variance.sqrt() + 800.0;
    let mut ratios = Vec::new();
    let mut ratio = 0.0;
    let mut order = farthest.ceil();
    while order >= 1.0 {
        ratio = 1.0 / (2.0 * order / variance + ratio);
        ratios.push(ratio);
        order -= 1.0;
    }
    let mut log = 0.0;
    let logs = std::iter::once(0.0).chain(ratios.iter().rev().map(|ratio| {
        log += libm::log(*ratio);
        log
    }));
    normalised(logs.take_while(|log| *log > LEAST_LOG).collect())
}

fn sum_of_discrete_gaussians(variance_each: f64, shares: u32) -> Vec<f64> {
    let half: Vec<f64> = discrete_gaussian(variance_each)
        .into_iter()
        .map(libm::exp)
        .collect();
    let one: Vec<f64> = half
        .iter()
        .rev()
        .chain(half.iter().skip(1))
        .copied()
        .collect();
    let mut sum = one.clone();
    for _ in 1..shares {
        let mut next = vec![0.0; sum.len() + one.len() - 1];
        for (offset, mass) in sum.iter().enumerate() {
            for (place, other) in next.iter_mut().skip(offset).zip(&one) {
                *place += mass * other;
            }
        }
        sum = next;
    }
    let centre = sum.len() / 2;
    sum.into_iter().skip(centre).map(libm::log).collect()
}

fn until_negligible(log: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut logs = Vec::new();
    let mut x = 0.0;
    while log(x) > LEAST_LOG {
        logs.push(log(x));
        x += 1.0;
    }
    logs
}

/// For a symmetric distribution of which the half from zero on is given.
fn normalised(mut logs: Vec<f64>) -> Vec<f64> {
    let first = logs.first().copied().unwrap_or(0.0);
    // Small terms first.
    let sum: f64 = logs
        .iter()
        .skip(1)
        .rev()
        .map(|log| libm::exp(log - first))
        .sum();
    let total = first + libm::log1p(2.0 * sum);
    for log in &mut logs {
        *log -= total;
    }
    logs
}

const MOST_VALUES: f64 = 131_072.0;
/// Just above the smallest double.
const LEAST_LOG: f64 = -700.0;
