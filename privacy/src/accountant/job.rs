// SPDX-License-Identifier: Apache-2.0
//! Releases of one kind: the noise of each, who takes part, and how many there are.

use thiserror::Error;

use super::{Adjacency, NoiseEvent};
use crate::loss::SamplingRate;
use crate::noise_plan::{NoisePlan, NoisePlanFault, View};

/// Who takes part in a release.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// Every patient.
    Everybody,
    /// Each patient on its own, with a probability.
    Poisson(SamplingRate),
    /// A fixed number of patients, all subsets alike; for patients replaced only.
    FixedSize(FixedSize),
}

/// A batch of fixed size out of a population of known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedSize {
    batch: u64,
    population: u64,
}

impl FixedSize {
    /// `batch` patients out of `population`.
    pub fn new(batch: u64, population: u64) -> Result<Self, JobFault> {
        if batch == 0 || batch > population {
            return Err(JobFault::Batch { batch, population });
        }
        Ok(Self { batch, population })
    }

    /// Patients in a batch.
    #[must_use]
    pub const fn batch(self) -> u64 {
        self.batch
    }

    /// Patients there are.
    #[must_use]
    pub const fn population(self) -> u64 {
        self.population
    }

    /// The same batch out of so many times the population.
    #[must_use]
    pub fn out_of_more(self, times: u32) -> Option<Self> {
        let population = self.population.checked_mul(u64::from(times))?;
        Self::new(self.batch, population).ok()
    }

    /// The part of the patients that a batch holds.
    #[must_use]
    pub fn fraction(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "numbers of patients")]
        let fraction = self.batch as f64 / self.population as f64;
        fraction
    }
}

/// Releases of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Job {
    /// The noise of each release.
    pub event: NoiseEvent,
    /// Who takes part in each.
    pub sampling: Sampling,
    /// How many there are, failed attempts that may have been seen included.
    pub attempts: u32,
}

impl Job {
    /// What a view faces in so many attempts of a plan, with all releases of each, for vectors of `dimension` coordinates.
    pub fn of_plan(
        plan: &NoisePlan,
        view: View,
        dimension: u64,
        attempts: u32,
    ) -> Result<Self, NoisePlanFault> {
        let releases = attempts.checked_mul(plan.releases_per_attempt());
        Ok(Self {
            event: NoiseEvent::of_plan(plan, view, dimension)?,
            sampling: plan.batch.sampling(),
            attempts: releases.ok_or(NoisePlanFault::LocalSteps)?,
        })
    }
}

/// Why numbers describe no job.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JobFault {
    /// A batch of nobody, or of more than there are.
    #[error("a batch of {batch} out of {population} patients cannot be drawn")]
    Batch {
        /// The size of the batch.
        batch: u64,
        /// The size of the population.
        population: u64,
    },
}

/// Why nothing is certified about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoCertificate {
    /// Replacement under Poisson sampling.
    #[error(
        "replacing a patient under Poisson sampling has no certificate: count patients as added or removed, or let every patient take part"
    )]
    ReplaceUnderPoisson,
    /// Addition or removal under sampling without replacement.
    #[error(
        "a batch of fixed size tells how many patients there are: count patients as replaced, or sample each on its own"
    )]
    AddRemoveUnderFixedSize,
    /// A mechanism whose sampled divergence is not known to be bounded by the formula.
    #[error("this noise has no certificate under sampling: let every patient take part")]
    SampledMechanism,
    /// What is sampled is too far from exact noise for so large an epsilon.
    #[error(
        "the distance of sampled noise from exact noise uses delta up at so large an epsilon: ask for one below 40"
    )]
    DistanceUsesDelta,
    /// Two jobs promise different things.
    #[error(
        "jobs that add or remove a patient and jobs that replace one do not add up: choose one adjacency"
    )]
    UnlikeAdjacency,
}

/// The adjacency that all jobs share; that of no jobs is add or remove.
pub(super) fn common_adjacency(jobs: &[Job]) -> Result<Adjacency, NoCertificate> {
    let mut adjacencies = jobs.iter().map(|job| job.event.adjacency());
    let first = adjacencies.next().unwrap_or(Adjacency::AddRemove);
    if adjacencies.all(|other| other == first) {
        Ok(first)
    } else {
        Err(NoCertificate::UnlikeAdjacency)
    }
}
