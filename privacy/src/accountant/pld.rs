// SPDX-License-Identifier: Apache-2.0
//! The distribution of the privacy loss, composed numerically: the tight estimate beside the certificate.
//!
//! The loss of one release is rounded onto a grid by connecting the dots ([Doroshenko and others 2022]):
//! the mass of each cell is split between its ends so that both probabilities are kept, which never
//! lowers delta. Releases are composed by the fast Fourier transform, for a patient added and for one
//! removed; the larger epsilon counts. Before that the distribution is tilted towards the epsilon that is
//! wanted, so that its tail carries the full precision of a double. What lies beyond the grid and beyond
//! the transform is bounded and added to delta.
//!
//! Rounding of floating-point numbers is not bounded: an estimate, not a promise.
//!
//! [Doroshenko and others 2022]: https://arxiv.org/abs/2207.04380

mod composition;
mod grid;
mod integer_noise;
mod line_noise;

use thiserror::Error;

use self::composition::Composition;
use self::grid::GridLoss;
use self::integer_noise::IntegerPair;
use self::line_noise::{GaussianPair, LaplacePair};
use super::event::{Adjacency, Mechanism};
use super::job::{Job, NoCertificate, Sampling, common_adjacency};
use crate::loss::{Delta, Epsilon};

/// The smallest epsilon of the jobs together.
pub fn epsilon(jobs: &[Job], delta: Delta) -> Result<Epsilon, NoEstimate> {
    epsilon_at(jobs, delta, Fineness::ORDINARY)
}

/// The same on a grid whose cells are smaller by a factor: to see what the grid costs.
pub fn epsilon_on_finer_grid(
    jobs: &[Job],
    delta: Delta,
    factor: u32,
) -> Result<Epsilon, NoEstimate> {
    epsilon_at(jobs, delta, Fineness(f64::from(factor.max(1))))
}

/// The delta of the jobs together for an epsilon.
pub fn delta(jobs: &[Job], epsilon: Epsilon) -> Result<f64, NoEstimate> {
    largest(jobs, SMALLEST_DELTA, |pairs, tail| {
        Composition::for_epsilon(pairs, tail, epsilon.value(), Fineness::ORDINARY.0)
            .map(|composition| composition.delta(epsilon.value()))
    })
}

/// Why there is no such estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoEstimate {
    /// The losses of the jobs cannot be added.
    #[error(transparent)]
    Unlike(#[from] NoCertificate),
    /// Batches of fixed size have no known dominating pair.
    #[error("batches of fixed size have no tight estimate")]
    FixedSize,
    /// Laplace noise under sampling.
    #[error("Laplace noise under sampling has no tight estimate")]
    SampledLaplace,
    /// The numbers do not fit.
    #[error("the privacy loss is too large for a tight estimate")]
    TooLoud,
}

/// How much finer than needed for the accuracy promised.
#[derive(Debug, Clone, Copy)]
struct Fineness(f64);

impl Fineness {
    const ORDINARY: Self = Self(1.0);
}

/// A patient present against the same patient absent, or the reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Removed,
    Added,
}

/// Two distributions whose losses are those of a release.
#[derive(Debug)]
enum Pair {
    Gaussian(GaussianPair),
    Laplace(LaplacePair),
    Integer(IntegerPair),
}

/// A pair and how often it is released.
#[derive(Debug)]
struct Releases {
    pair: Pair,
    attempts: u32,
}

impl Pair {
    fn of(job: &Job, direction: Direction) -> Result<Self, NoEstimate> {
        let rate = match job.sampling {
            Sampling::Everybody => 1.0,
            Sampling::Poisson(rate) => rate.value(),
            Sampling::FixedSize(_) => return Err(NoEstimate::FixedSize),
        };
        let event = &job.event;
        match event.mechanism() {
            Mechanism::Gaussian => Ok(Self::Gaussian(GaussianPair::new(event, rate, direction))),
            Mechanism::DiscreteGaussian | Mechanism::SumOfDiscreteGaussians { .. }
                if event.standard_deviation() > WIDE =>
            {
                Ok(Self::Gaussian(GaussianPair::new(event, rate, direction)))
            }
            Mechanism::DiscreteGaussian
            | Mechanism::SumOfDiscreteGaussians { .. }
            | Mechanism::DiscreteLaplace
            | Mechanism::Skellam { .. } => IntegerPair::new(event, rate, direction)
                .map(Self::Integer)
                .ok_or(NoEstimate::TooLoud),
            Mechanism::Laplace if rate < 1.0 => Err(NoEstimate::SampledLaplace),
            Mechanism::Laplace => Ok(Self::Laplace(LaplacePair::new(event))),
        }
    }

    /// The losses between which all but `tail` of either distribution lies.
    fn span(&self, tail: f64) -> (f64, f64) {
        match self {
            Self::Gaussian(pair) => pair.span(tail),
            Self::Laplace(pair) => pair.span(),
            Self::Integer(pair) => pair.span(tail),
        }
    }

    fn on_grid(&self, step: f64, tail: f64) -> Result<GridLoss, NoEstimate> {
        let (least, greatest) = self.span(tail);
        let mut grid = GridLoss::empty(step, least, greatest).ok_or(NoEstimate::TooLoud)?;
        match self {
            Self::Gaussian(pair) => pair.fill(&mut grid, tail),
            Self::Laplace(pair) => pair.fill(&mut grid),
            Self::Integer(pair) => pair.fill(&mut grid, tail),
        }
        Ok(grid)
    }
}

fn epsilon_at(jobs: &[Job], delta: Delta, fineness: Fineness) -> Result<Epsilon, NoEstimate> {
    largest(jobs, delta.value(), |pairs, tail| {
        Composition::for_delta(pairs, tail, delta.value(), fineness.0)?
            .epsilon(delta.value())
            .ok_or(NoEstimate::TooLoud)
    })
    .map(Epsilon::saturating)
}

/// The larger result of the two directions; both are the same for a patient replaced.
fn largest(
    jobs: &[Job],
    delta: f64,
    compute: impl Fn(&[Releases], f64) -> Result<f64, NoEstimate>,
) -> Result<f64, NoEstimate> {
    let directions: &[Direction] = match common_adjacency(jobs)? {
        Adjacency::AddRemove if jobs.iter().any(is_sampled) => {
            &[Direction::Removed, Direction::Added]
        }
        Adjacency::AddRemove | Adjacency::Replace => &[Direction::Removed],
    };
    let attempts: f64 = jobs.iter().map(|job| f64::from(job.attempts)).sum();
    if attempts == 0.0 {
        return Ok(0.0);
    }
    let tail = (delta * TAIL_SHARE / attempts).max(SMALLEST_TAIL);
    directions.iter().try_fold(0.0, |most: f64, direction| {
        let pairs = jobs
            .iter()
            .filter(|job| job.attempts > 0)
            .map(|job| {
                Ok(Releases {
                    pair: Pair::of(job, *direction)?,
                    attempts: job.attempts,
                })
            })
            .collect::<Result<Vec<_>, NoEstimate>>()?;
        Ok(most.max(compute(&pairs, tail)?))
    })
}

fn is_sampled(job: &Job) -> bool {
    job.sampling != Sampling::Everybody
}

/// Above it the integers are so close together that the noise is the continuous one, but for less than 2^-1000.
pub(super) const WIDE: f64 = 2_000.0;
/// The part of delta that is given to the tails of all releases together.
const TAIL_SHARE: f64 = 1e-8;
const SMALLEST_TAIL: f64 = 1e-200;
/// For the tails where no delta is given.
const SMALLEST_DELTA: f64 = 1e-15;

#[cfg(test)]
mod tests;
