// SPDX-License-Identifier: Apache-2.0
//! X25519 key agreement ([RFC 7748]).
//!
//! [RFC 7748]: https://www.rfc-editor.org/rfc/rfc7748

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use x25519_dalek::StaticSecret;

use crate::hex_bytes::{self, HexFault};
use crate::secret::{Secret, Secret32};

/// A private X25519 key; wiped on drop. It belongs to one attempt of one round.
pub struct AgreementSecret(Box<StaticSecret>);

impl AgreementSecret {
    /// The key with these 32 bytes as its scalar before clamping.
    pub fn from_seed(seed: &Secret32) -> Self {
        Self(Box::new(StaticSecret::from(*seed.expose())))
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(x25519_dalek::PublicKey::from(&*self.0).to_bytes())
    }

    /// The shared secret with the owner of `peer`. Derive keys from it; never use it as one.
    ///
    /// # Errors
    /// [`AgreementFault::NonContributory`] when the peer's key has small order, so that the result
    /// would not depend on our key.
    pub fn agree(&self, peer: &PublicKey) -> Result<Secret32, AgreementFault> {
        let shared = self
            .0
            .diffie_hellman(&x25519_dalek::PublicKey::from(peer.0));
        if !shared.was_contributory() {
            return Err(AgreementFault::NonContributory);
        }
        Ok(Secret::filled(|bytes| {
            bytes.copy_from_slice(shared.as_bytes());
        }))
    }
}

impl fmt::Debug for AgreementSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AgreementSecret(of {})", self.public_key())
    }
}

/// A public X25519 key as it was received: 32 bytes, checked only when it is used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes 32 bytes, unchecked.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 32 bytes, copied.
    pub const fn to_bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl AsRef<[u8]> for PublicKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex_bytes::format(&self.0, formatter)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = HexFault;

    fn from_str(text: &str) -> Result<Self, HexFault> {
        hex_bytes::parse(text).map(Self)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex_bytes::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex_bytes::deserialize(deserializer).map(Self)
    }
}

/// Why no secret could be agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgreementFault {
    /// The peer's key is one of the few that give a secret everyone knows.
    #[error("public key has small order and contributes nothing to the shared secret")]
    NonContributory,
}
