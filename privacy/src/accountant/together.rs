// SPDX-License-Identifier: Apache-2.0
//! All releases of a study, or of several, as one privacy loss.

use super::event::Mechanism;
use super::job::{Job, NoCertificate, Sampling, common_adjacency};
use super::pld::{self, NoEstimate};
use super::{Certificate, RdpCurve, gaussian};
use crate::loss::{Delta, Epsilon};

/// The epsilon of all jobs together, as it may be promised.
pub fn certificate(jobs: &[Job], delta: Delta) -> Result<Certificate, NoCertificate> {
    Ok(RdpCurve::of_jobs(jobs)?.epsilon(delta))
}

/// What the epsilon of all jobs together is probably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The epsilon.
    pub epsilon: Epsilon,
    /// How it was computed.
    pub method: EstimateMethod,
}

/// How an estimate was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EstimateMethod {
    /// The closed form of the continuous Gaussian.
    GaussianExact,
    /// The distribution of the privacy loss.
    Pld,
}

impl EstimateMethod {
    /// The word for it in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GaussianExact => "gaussian-exact",
            Self::Pld => "pld-connect-the-dots",
        }
    }
}

/// The closed form where it applies, the distribution of the privacy loss otherwise.
pub fn estimate(jobs: &[Job], delta: Delta) -> Result<Estimate, NoEstimate> {
    common_adjacency(jobs)?;
    let separations: Option<Vec<f64>> = jobs.iter().map(squared_separation).collect();
    if let Some(separations) = separations {
        return Ok(Estimate {
            epsilon: gaussian::at_separation(separations.iter().sum::<f64>().sqrt(), delta),
            method: EstimateMethod::GaussianExact,
        });
    }
    Ok(Estimate {
        epsilon: pld::epsilon(jobs, delta)?,
        method: EstimateMethod::Pld,
    })
}

/// mu^2 of a job that is Gaussian noise without sampling: such jobs add up to one Gaussian.
fn squared_separation(job: &Job) -> Option<f64> {
    let z = job.event.multiplier();
    let continuous = match job.event.mechanism() {
        Mechanism::Gaussian => true,
        Mechanism::DiscreteGaussian | Mechanism::SumOfDiscreteGaussians { .. } => {
            job.event.standard_deviation() > pld::WIDE
        }
        Mechanism::Laplace | Mechanism::DiscreteLaplace | Mechanism::Skellam { .. } => false,
    };
    (continuous && job.sampling == Sampling::Everybody).then(|| f64::from(job.attempts) / (z * z))
}
