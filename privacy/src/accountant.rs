// SPDX-License-Identifier: Apache-2.0
//! What a study costs: from the noise an attacker faces to an epsilon that may be promised.
//!
//! A [`Job`] is a number of releases of one kind; [`certificate`] and [`estimate`] take any list of jobs
//! that promise the same. [`RdpCurve`] is the certificate: Renyi differential privacy at integer orders,
//! where it holds exactly for integer noise. [`pld`], [`gaussian`] and [`zcdp`] are estimates to show beside
//! it: the curve of the continuous Gaussian is no upper bound for discrete noise of small variance.

mod closeness;
mod distance;
mod event;
mod fixed_size;
pub mod gaussian;
mod job;
mod logarithms;
pub mod meaning;
mod mechanism_divergence;
pub mod pld;
mod poisson;
mod rdp;
mod statement;
mod together;
pub mod zcdp;

pub use distance::SamplerDistance;
pub(crate) use distance::price_of_distance;
pub use event::{Adjacency, EventFault, Mechanism, NoiseEvent};
pub use job::{FixedSize, Job, JobFault, NoCertificate, Sampling};
pub(crate) use rdp::conversion;
pub use rdp::{Certificate, ORDERS, RdpCurve};
pub use statement::{
    NoisedVectors, PrivacyStatement, Promise, estimate_of_plan, estimate_of_plans,
};
pub use together::{Estimate, EstimateMethod, certificate, estimate};
