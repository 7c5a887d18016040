// SPDX-License-Identifier: Apache-2.0
//! Differential privacy: exact integer noise, accounting, calibration and the budget of a data set.
//!
//! The unit is one patient of one hospital, added or removed.

pub mod accountant;
pub mod budget;
pub mod calibration;
pub mod clipping;
pub mod contribution;
pub mod discrete_gaussian;
pub mod fixed_point;
pub mod loss;
pub mod noise_plan;
