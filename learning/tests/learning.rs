// SPDX-License-Identifier: Apache-2.0
//! Studies on real hospital data, run as a federation would run them, in one process.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads the data that are shipped"
)]

#[path = "learning/examples.rs"]
mod examples;
#[path = "learning/federation.rs"]
mod federation;
#[path = "learning/heart_disease.rs"]
mod heart_disease;
#[path = "learning/indomethacin.rs"]
mod indomethacin;
#[path = "learning/models.rs"]
mod models;
#[path = "learning/private.rs"]
mod private;
#[path = "learning/private_newton.rs"]
mod private_newton;
#[path = "learning/silo_unit.rs"]
mod silo_unit;
#[path = "learning/unfit.rs"]
mod unfit;
#[path = "learning/veterans.rs"]
mod veterans;
