// SPDX-License-Identifier: Apache-2.0
//! What is minimised: losses with a gradient for each row.

pub mod logistic;
