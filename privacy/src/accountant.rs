// SPDX-License-Identifier: Apache-2.0
//! What a study costs: from the noise an attacker faces to an epsilon that may be promised.
//!
//! [`RdpCurve`] is the certificate: Renyi differential privacy at integer orders, where it holds
//! exactly for integer noise. [`gaussian`] and [`zcdp`] are estimates to show beside it: the curve of
//! the continuous Gaussian is no upper bound for discrete noise of small variance.

mod event;
pub mod gaussian;
mod poisson;
mod rdp;
mod statement;
pub mod zcdp;

pub use event::{Adjacency, NoiseEvent};
pub(crate) use rdp::conversion;
pub use rdp::{Certificate, ORDERS, RdpCurve};
pub use statement::{PrivacyStatement, Promise};
