// SPDX-License-Identifier: Apache-2.0
//! Differential privacy: exact integer noise, accounting, calibration and the budget of a data set.
//!
//! The unit of protection is one patient of one hospital, added or removed; or, where a plan says so, one hospital as a whole,
//! its data exchanged for others. Noise is added once, to the
//! sum, by all silos together under their masks; what it is worth is computed for the eyes of an
//! attacker, from public numbers only, before anything is released.
//!
//! Five names to know:
//!
//! - [`noise_plan::NoisePlan`]: how much noise each silo adds, in integers, the same at every silo;
//! - [`contribution::noised_sum`]: clip, quantise, add up, add noise: all that leaves the patients' side;
//! - [`accountant::PrivacyStatement`]: the three epsilons that such a plan promises;
//! - [`calibration::calibrate`]: from the epsilon wanted to the noise that gives it;
//! - [`budget::Ledger`]: what has been spent on a data set, and what may still be.
//!
//! What this crate refuses to do: trust a floating-point sum with a patient's privacy, round a charge
//! down, lower a charge because more silos turned up than were promised, take a seeded generator for
//! a release, or touch a file, a clock or the network.
//!
//! Limits: a patient known to several hospitals is
//! protected less than the numbers say; replacement under Poisson sampling has an estimate and no
//! certificate, batches of fixed size a certificate for patients replaced and no estimate.

pub mod accountant;
pub mod batch;
pub mod budget;
pub mod calibration;
pub mod clipping;
pub mod contribution;
pub mod discrete_gaussian;
pub mod fixed_point;
pub mod loss;
pub mod noise_plan;
pub mod patient_split;
