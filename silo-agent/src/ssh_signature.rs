// SPDX-License-Identifier: Apache-2.0
//! Signatures that people make with `ssh-keygen -Y sign`: their keys stay where they are, on a token for instance.
//!
//! ```text
//! blob    "SSHSIG" u32 1, string key, string namespace, string reserved, string hash, string signature
//! signed  "SSHSIG", string namespace, string reserved, string hash, string H(message)
//! ```
//!
//! As in `PROTOCOL.sshsig` of OpenSSH; of its keys Ed25519 only.

use std::fmt;
use std::str::FromStr;

use consilium_crypto::signing::{Signature, VerifyingKey};
use data_encoding::BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256, Sha512};

/// A public key as it stands in `id_ed25519.pub`, without the comment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SshPublicKey(VerifyingKey);

/// Why a key or a signature is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SshFault {
    /// Not the line of an Ed25519 key.
    #[error("a key is written as in `id_ed25519.pub`: `ssh-ed25519 AAAAC3…`")]
    Key,
    /// Not what `ssh-keygen -Y sign` writes.
    #[error("this is no signature by `ssh-keygen -Y sign` with an Ed25519 key")]
    Form,
    /// Made for something else.
    #[error("the signature was made for `{found}`, sign with `-n {expected}`")]
    Namespace {
        /// As signed.
        found: String,
        /// As needed.
        expected: &'static str,
    },
    /// By another key or over other bytes.
    #[error("the signature is not by this key over this statement")]
    Signature,
}

impl SshPublicKey {
    /// Whether an armoured signature is by this key, over this message, for this purpose.
    pub fn verify(
        &self,
        namespace: &'static str,
        message: &[u8],
        armoured: &str,
    ) -> Result<(), SshFault> {
        let blob = unarmoured(armoured).ok_or(SshFault::Form)?;
        let parts = Parts::read(&blob).ok_or(SshFault::Form)?;
        if parts.namespace != namespace.as_bytes() {
            return Err(SshFault::Namespace {
                found: String::from_utf8_lossy(parts.namespace).into_owned(),
                expected: namespace,
            });
        }
        let hashed = match parts.hash {
            b"sha512" => Sha512::digest(message).to_vec(),
            b"sha256" => Sha256::digest(message).to_vec(),
            _ => return Err(SshFault::Form),
        };
        let mut signed = MAGIC.to_vec();
        for part in [parts.namespace, b"", parts.hash, &hashed] {
            push_string(&mut signed, part);
        }
        // The key of the settings, whatever the blob says.
        self.0
            .verify_raw(&signed, &Signature::from_bytes(parts.signature))
            .map_err(|_| SshFault::Signature)
    }
}

impl FromStr for SshPublicKey {
    type Err = SshFault;

    fn from_str(text: &str) -> Result<Self, SshFault> {
        let mut words = text.split_whitespace();
        let blob = match (words.next(), words.next()) {
            (Some(KIND), Some(blob)) => BASE64.decode(blob.as_bytes()).map_err(|_| SshFault::Key),
            _ => Err(SshFault::Key),
        }?;
        let mut rest = blob.as_slice();
        let kind = take_string(&mut rest).ok_or(SshFault::Key)?;
        let key = take_string(&mut rest).and_then(|key| <&[u8; 32]>::try_from(key).ok());
        match (kind == KIND.as_bytes(), key, rest.is_empty()) {
            (true, Some(key), true) => VerifyingKey::from_bytes(key)
                .map(Self)
                .map_err(|_| SshFault::Key),
            _ => Err(SshFault::Key),
        }
    }
}

impl fmt::Display for SshPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = Vec::new();
        push_string(&mut blob, KIND.as_bytes());
        push_string(&mut blob, &self.0.to_bytes());
        write!(formatter, "{KIND} {}", BASE64.encode(&blob))
    }
}

impl Serialize for SshPublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SshPublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// What a signature's blob says.
struct Parts<'a> {
    namespace: &'a [u8],
    hash: &'a [u8],
    signature: [u8; 64],
}

impl<'a> Parts<'a> {
    fn read(blob: &'a [u8]) -> Option<Self> {
        let mut rest = blob
            .strip_prefix(MAGIC)?
            .strip_prefix(&1_u32.to_be_bytes())?;
        take_string(&mut rest)?;
        let namespace = take_string(&mut rest)?;
        if !take_string(&mut rest)?.is_empty() {
            return None;
        }
        let hash = take_string(&mut rest)?;
        let mut signature = take_string(&mut rest)?;
        let kind = take_string(&mut signature)?;
        let bytes = take_string(&mut signature)?;
        let is_whole = rest.is_empty() && signature.is_empty() && kind == KIND.as_bytes();
        Some(Self {
            namespace,
            hash,
            signature: is_whole.then(|| bytes.try_into().ok()).flatten()?,
        })
    }
}

fn unarmoured(text: &str) -> Option<Vec<u8>> {
    let inner = text
        .trim()
        .strip_prefix("-----BEGIN SSH SIGNATURE-----")?
        .strip_suffix("-----END SSH SIGNATURE-----")?;
    let base64: String = inner.split_whitespace().collect();
    BASE64.decode(base64.as_bytes()).ok()
}

/// A length of four bytes and as many bytes.
fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (string, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(string)
}

fn push_string(into: &mut Vec<u8>, string: &[u8]) {
    let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(string);
}

const MAGIC: &[u8] = b"SSHSIG";
const KIND: &str = "ssh-ed25519";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests;
