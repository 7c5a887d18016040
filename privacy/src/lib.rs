// SPDX-License-Identifier: Apache-2.0
//! Differential privacy: exact integer noise, accounting, calibration and the budget of a data set.
//!
//! The unit is one patient of one hospital, added or removed.

pub mod clipping;
pub mod fixed_point;
pub mod loss;
pub mod noise_plan;
