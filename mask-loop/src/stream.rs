// SPDX-License-Identifier: Apache-2.0
//! One stream: a key and where its counter begins.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Whether a stream is added or subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Add the stream.
    Add,
    /// Subtract the stream.
    Subtract,
}

impl Sign {
    /// The sign that takes away what this one brought.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Add => Self::Subtract,
            Self::Subtract => Self::Add,
        }
    }
}

/// The key and first nonce of a stream. Wiped on drop; not printable, not clonable.
///
/// The round keys are not kept: expanding them takes a tenth of a microsecond, once for each stream
/// in every call, and a coordinator may hold tens of thousands of streams.
pub struct Stream {
    material: Box<Material>,
}

impl Stream {
    /// The stream of an AES-256 key and its first nonce.
    #[must_use]
    pub fn new(key: &[u8; 32], nonce: &[u8; 12]) -> Self {
        Self::filled(key, nonce)
    }

    /// The same of one derived string: 32 bytes of key, then 12 of nonce.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 44]) -> Self {
        let (key, nonce) = bytes.split_at(32);
        Self::filled(key, nonce)
    }

    fn filled(key: &[u8], nonce: &[u8]) -> Self {
        // Filled where it stays: nothing is left behind by a move.
        let mut material = Box::new(Material {
            key: [0; 32],
            nonce: [0; 12],
        });
        material.key.copy_from_slice(key);
        material.nonce.copy_from_slice(nonce);
        Self { material }
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.material.key
    }

    /// The nonce in the upper 96 bits, zeros below: the number of block 0.
    pub(crate) fn first_block(&self) -> u128 {
        let mut block = [0; 16];
        block[..12].copy_from_slice(&self.material.nonce);
        u128::from_be_bytes(block)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Stream(..)")
    }
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Material {
    key: [u8; 32],
    nonce: [u8; 12],
}
