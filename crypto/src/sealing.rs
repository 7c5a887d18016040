// SPDX-License-Identifier: Apache-2.0
//! AES-256-GCM for keys that seal exactly one message.
//!
//! The nonce is zero, which is safe only because a key is never used twice: both functions consume
//! it. Derive one key per message.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};

use crate::secret::{Secret, Secret32};

/// How many bytes a sealed message is longer than its plaintext.
pub const TAG_LENGTH: usize = 16;

/// Encrypts `plaintext` and authenticates it together with `associated_data`. The result is the
/// ciphertext followed by the tag.
pub fn seal(key: Secret32, associated_data: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let cipher = Aes256Gcm::new(key.expose().into());
    let mut sealed = Vec::with_capacity(plaintext.len() + TAG_LENGTH);
    sealed.extend_from_slice(plaintext);
    #[expect(
        clippy::expect_used,
        reason = "the only failure is a message above 64 GiB"
    )]
    let tag = cipher
        .encrypt_inout_detached(
            &Nonce::default(),
            associated_data,
            sealed.as_mut_slice().into(),
        )
        .expect("message is shorter than 64 GiB");
    sealed.extend_from_slice(&tag);
    sealed
}

/// Decrypts what [`seal`] made with the same key and associated data.
///
/// # Errors
/// [`SealingFault`] when anything differs; the plaintext is then not computed.
pub fn open(
    key: Secret32,
    associated_data: &[u8],
    ciphertext: &[u8],
) -> Result<Secret<Vec<u8>>, SealingFault> {
    let (body, tag) = ciphertext
        .split_last_chunk::<TAG_LENGTH>()
        .ok_or(SealingFault)?;
    let cipher = Aes256Gcm::new(key.expose().into());
    let mut plaintext = Secret::new(body.to_vec());
    cipher
        .decrypt_inout_detached(
            &Nonce::default(),
            associated_data,
            plaintext.expose_mut().as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .map_err(|_| SealingFault)?;
    Ok(plaintext)
}

/// A sealed message that does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed message is damaged, or was sealed under another key or for another context")]
pub struct SealingFault;
