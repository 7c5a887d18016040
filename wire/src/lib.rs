// SPDX-License-Identifier: Apache-2.0
//! The gRPC contract: protobuf at the edge, and nothing of it further inward.
//!
//! - [`v1`]: the generated messages, clients and servers of `proto/consilium/v1`.
//! - [`client::connect`]: a channel over mutual TLS, with the connection's exporter value for channel binding.
//! - [`server::TlsIncoming`] and [`server::Services`]: the accepting side, one port for the three services.
//! - [`convert`]: the protocol's types, in and out.
//! - [`StudyId`]: what a study is called in every frame.
//! - [`limits`]: how large anything may be.
//!
//! What it refuses: plaintext, TLS below 1.3 (by the configurations that the certs crate makes), messages above
//! [`limits::MESSAGE_BYTES`], compression (lengths must not depend on values).
//!
//! The code in `src/generated` is committed; `cargo xtask generate --check` compares it with the proto files.

pub mod client;
pub mod convert;
pub mod limits;
pub mod server;
mod study_id;

pub use study_id::{StudyId, StudyIdFault};

/// The generated code of package `consilium.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated code; the proto files carry the documentation"
)]
#[rustfmt::skip]
pub mod v1 {
    include!("generated/consilium.v1.rs");
}

/// The value that a TLS connection exports (RFC 9266, `tls-exporter`): equal at both ends, different for every
/// connection. A silo signs it first thing, so that a proxy which opens the TLS in between is detected.
pub type ChannelBinding = [u8; 32];

/// The exporter label of RFC 9266.
pub(crate) const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// The application protocol that both ends offer.
pub(crate) const APPLICATION_PROTOCOL: &[u8] = b"h2";
