// SPDX-License-Identifier: Apache-2.0
//! Ed25519 signatures ([RFC 8032]), always over a labelled hash except where another standard fixes
//! the signed bytes.
//!
//! [RFC 8032]: https://www.rfc-editor.org/rfc/rfc8032

mod list;
mod prepared;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hex_bytes::{self, HexFault};
use crate::label::Label;
use crate::secret::Secret32;
use crate::transcript;
pub use list::{Claim, FalseSignature, verify_all};
pub use prepared::PreparedKeys;

/// A private signing key; wiped on drop.
pub struct SigningKey {
    private: Ed25519KeyPair,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key that RFC 8032 derives from a 32-byte seed.
    #[expect(
        clippy::expect_used,
        reason = "any 32 bytes are a seed, and its public key is a point of large order"
    )]
    pub fn from_seed(seed: &Secret32) -> Self {
        let private = Ed25519KeyPair::from_seed_unchecked(seed.expose())
            .expect("any 32 bytes are a seed of Ed25519");
        let public = <&[u8; 32]>::try_from(private.public_key().as_ref())
            .ok()
            .and_then(|public| VerifyingKey::from_bytes(public).ok())
            .expect("every Ed25519 key has a public half");
        Self { private, public }
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public
    }

    /// Signs [`transcript::hash`] of the label and the parts.
    pub fn sign(&self, label: Label, parts: &[&[u8]]) -> Signature {
        self.sign_raw(transcript::hash(label, parts).as_bytes())
    }

    /// Signs `message` as it is. Only for formats that prescribe the signed bytes, such as C2SP
    /// signed notes, which begin with a context of their own.
    #[expect(clippy::expect_used, reason = "RFC 8032 gives 64 bytes")]
    pub fn sign_raw(&self, message: &[u8]) -> Signature {
        Signature::try_from(self.private.sign(message).as_ref())
            .expect("an Ed25519 signature has 64 bytes")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey(of {})", self.verifying_key())
    }
}

/// A public key: the one encoding of a point of the curve that has not small order. Written as 64 lower-case
/// hexadecimal digits; ordered by its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Checks and takes 32 bytes.
    ///
    /// # Errors
    /// [`KeyFault::NotAPoint`] or [`KeyFault::SmallOrder`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyFault> {
        if !is_reduced(bytes) {
            return Err(KeyFault::NotAPoint);
        }
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
        // SECURITY: the strict check leaves no room for two verifiers to disagree over a signature. The library refuses
        // an s that is not reduced and compares the bytes of R, so that R is in its one encoding.
        if has_small_order(signature) {
            return Err(SignatureFault);
        }
        UnparsedPublicKey::new(&ED25519, self.0.as_bytes())
            .verify(message, &signature.0)
            .map_err(|_| SignatureFault)
    }
}

/// Whether R of a signature is one of the eight points of small order, by its y-coordinate.
fn has_small_order(signature: &Signature) -> bool {
    let mut y = [0; 32];
    for (byte, of_nonce) in y.iter_mut().zip(signature.0) {
        *byte = of_nonce;
    }
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
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

/// Whether the y-coordinate of an encoded point is below 2^255 - 19.
fn is_reduced(point: &[u8; 32]) -> bool {
    let [lowest, between @ .., highest] = point;
    highest & 0x7f != 0x7f || between.iter().any(|byte| *byte != 0xff) || *lowest < 0xed
}

/// The y-coordinates of the points of order 4, 1, 2 and 8.
const SMALL_ORDER: [[u8; 32]; 5] = {
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    [
        [0; 32],
        one,
        minus_one,
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

/// Why bytes or a text are no verifying key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The text is not hexadecimal of the right length.
    #[error("verifying key is not written in hexadecimal")]
    NotHex(#[source] HexFault),
    /// The bytes are the encoding of no point of the curve.
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
