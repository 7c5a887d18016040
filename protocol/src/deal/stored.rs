// SPDX-License-Identifier: Apache-2.0
//! Opened shares in the file of an attempt's secrets: the dealer's position, then of either kind the share and its path,
//! each behind its length.

use super::DealtShares;
use crate::message::{RevealedShare, SecretKind};
use consilium_crypto::digest::Digest;

impl DealtShares {
    /// How many bytes [`Self::store`] writes.
    pub(crate) fn stored_length(&self) -> usize {
        let of_kind = |kind: &RevealedShare| 2 + kind.share.len() + 32 * kind.path.len();
        4 + of_kind(&self.self_mask) + of_kind(&self.mask_key)
    }

    /// Appends the stored form.
    pub(crate) fn store(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.self_mask.dealer.to_le_bytes());
        for kind in [&self.self_mask, &self.mask_key] {
            bytes.push(u8::try_from(kind.share.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(&kind.share);
            bytes.push(u8::try_from(kind.path.len()).unwrap_or(u8::MAX));
            for node in &kind.path {
                bytes.extend_from_slice(node.as_bytes());
            }
        }
    }

    /// Reads the stored form at the beginning of `bytes`, and what follows it.
    pub(crate) fn restore(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (dealer, rest) = bytes.split_first_chunk::<4>()?;
        let dealer = u32::from_le_bytes(*dealer);
        let (self_mask, rest) = restore_kind(dealer, SecretKind::SelfMask, rest)?;
        let (mask_key, rest) = restore_kind(dealer, SecretKind::MaskKey, rest)?;
        let dealt = Self {
            self_mask,
            mask_key,
        };
        Some((dealt, rest))
    }
}

fn restore_kind(dealer: u32, kind: SecretKind, bytes: &[u8]) -> Option<(RevealedShare, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (share, rest) = rest.split_at_checked(usize::from(*length))?;
    let (count, mut rest) = rest.split_first()?;
    let mut path = Vec::with_capacity(usize::from(*count));
    for _ in 0..*count {
        let (node, after) = rest.split_first_chunk::<32>()?;
        path.push(Digest::from_bytes(*node));
        rest = after;
    }
    let revealed = RevealedShare {
        dealer,
        kind,
        share: share.to_vec(),
        path,
    };
    Some((revealed, rest))
}
