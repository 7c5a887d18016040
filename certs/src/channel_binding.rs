// SPDX-License-Identifier: Apache-2.0
//! Ties a signature to the TLS connection it travels on.
//!
//! Both ends of a TLS 1.3 connection can compute the same 32 bytes ([RFC 9266], `tls-exporter`), and
//! nobody else can. A silo signs them in its first message, so that a proxy which ends its TLS
//! connection and opens another is found out: the two ends then hold different bytes.
//!
//! [RFC 9266]: https://www.rfc-editor.org/rfc/rfc9266

use consilium_crypto::label::Label;
use consilium_crypto::signing::{Signature, SignatureFault, SigningKey, VerifyingKey};
use rustls::ConnectionCommon;

/// The exporter label of RFC 9266; the exporter context is empty and the output 32 bytes long.
pub const CHANNEL_BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// The 32 bytes that only the two ends of one TLS connection know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelBinding([u8; 32]);

impl ChannelBinding {
    /// Takes bytes exported elsewhere, under [`CHANNEL_BINDING_LABEL`] with an empty context.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Exports the binding of a connection whose handshake is complete.
    pub fn of_connection<Side>(connection: &ConnectionCommon<Side>) -> Result<Self, rustls::Error> {
        connection
            .export_keying_material([0; 32], CHANNEL_BINDING_LABEL, Some(b""))
            .map(Self)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Signs the binding together with whatever else the first message says.
    pub fn sign(&self, key: &SigningKey, statement: &[&[u8]]) -> Signature {
        key.sign(Label::ChannelBinding, &self.parts(statement))
    }

    /// Checks a signature made by [`sign`](Self::sign) at the other end of the same connection.
    pub fn verify(
        &self,
        key: &VerifyingKey,
        statement: &[&[u8]],
        signature: &Signature,
    ) -> Result<(), SignatureFault> {
        key.verify(Label::ChannelBinding, &self.parts(statement), signature)
    }

    fn parts<'a>(&'a self, statement: &[&'a [u8]]) -> Vec<&'a [u8]> {
        std::iter::once(self.0.as_slice())
            .chain(statement.iter().copied())
            .collect()
    }
}
