// SPDX-License-Identifier: Apache-2.0
//! Ed25519 signatures ([RFC 8032]), always over a labelled hash except where another standard fixes
//! the signed bytes.
//!
//! [RFC 8032]: https://www.rfc-editor.org/rfc/rfc8032

mod list;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use ed25519_dalek::Signer;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hex_bytes::{self, HexFault};
use crate::label::Label;
use crate::secret::Secret32;
use crate::transcript;
pub use list::{Claim, FalseSignature, verify_all};

/// A private signing key; wiped on drop.
pub struct SigningKey(Box<ed25519_dalek::SigningKey>);

impl SigningKey {
    /// The key that RFC 8032 derives from a 32-byte seed.
    pub fn from_seed(seed: &Secret32) -> Self {
        Self(Box::new(ed25519_dalek::SigningKey::from_bytes(
            seed.expose(),
        )))
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs [`transcript::hash`] of the label and the parts.
    pub fn sign(&self, label: Label, parts: &[&[u8]]) -> Signature {
        self.sign_raw(transcript::hash(label, parts).as_bytes())
    }

    /// Signs `message` as it is. Only for formats that prescribe the signed bytes, such as C2SP
    /// signed notes, which begin with a context of their own.
    pub fn sign_raw(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey(of {})", self.verifying_key())
    }
}

/// A public key that is a point of the curve and not of small order. Written as 64 lower-case
/// hexadecimal digits; ordered by its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Checks and takes 32 bytes.
    ///
    /// # Errors
    /// [`KeyFault::NotAPoint`] or [`KeyFault::SmallOrder`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyFault> {
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyFault::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyFault::SmallOrder);
        }
        Ok(Self(key))
    }

    /// The 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Checks a signature made by [`SigningKey::sign`] over the same label and parts.
    ///
    /// # Errors
    /// [`SignatureFault`] when it does not verify.
    pub fn verify(
        &self,
        label: Label,
        parts: &[&[u8]],
        signature: &Signature,
    ) -> Result<(), SignatureFault> {
        self.verify_raw(transcript::hash(label, parts).as_bytes(), signature)
    }

    /// Checks a signature over `message` as it is.
    ///
    /// # Errors
    /// [`SignatureFault`] when it does not verify.
    pub fn verify_raw(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureFault> {
        // SECURITY: the strict check leaves no room for two verifiers to disagree over a signature.
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0
            .verify_strict(message, &signature)
            .map_err(|_| SignatureFault)
    }
}

impl Ord for VerifyingKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl PartialOrd for VerifyingKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<[u8]> for VerifyingKey {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex_bytes::format(self.0.as_bytes(), formatter)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VerifyingKey({self})")
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        Self::from_bytes(&hex_bytes::parse(text).map_err(KeyFault::NotHex)?)
    }
}

impl Serialize for VerifyingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex_bytes::serialize(self.0.as_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for VerifyingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = hex_bytes::deserialize(deserializer)?;
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

/// A signature as it was received; only [`VerifyingKey::verify`] says what it is worth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Takes 64 bytes, unchecked.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    pub const fn to_bytes(&self) -> [u8; 64] {
        self.0
    }
}

impl AsRef<[u8]> for Signature {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Signature {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex_bytes::format(&self.0, formatter)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signature({self})")
    }
}

impl FromStr for Signature {
    type Err = HexFault;

    fn from_str(text: &str) -> Result<Self, HexFault> {
        hex_bytes::parse(text).map(Self)
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex_bytes::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex_bytes::deserialize(deserializer).map(Self)
    }
}

/// Why bytes or a text are no verifying key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The text is not hexadecimal of the right length.
    #[error("verifying key is not written in hexadecimal")]
    NotHex(#[source] HexFault),
    /// The bytes decode to no point of the curve.
    #[error("verifying key is not a point of edwards25519")]
    NotAPoint,
    /// The point is one of the eight under which anything verifies.
    #[error("verifying key has small order, ask its owner to generate another")]
    SmallOrder,
}

/// A signature that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify under the given key")]
pub struct SignatureFault;
