// SPDX-License-Identifier: Apache-2.0
//! What the protocol asks of the audit log. The implementation lives where logs are read.

use crate::id::AttemptId;
use consilium_crypto::digest::Digest;

/// Answers whether something stands in a log that a quorum of silos has cosigned.
pub trait LogVerifier {
    /// Whether this process's start, named by its nonce, is logged.
    fn start_is_logged(&self, nonce: &Digest, proof: &[u8]) -> bool;

    /// Whether H(S) of this attempt is logged.
    fn sum_is_logged(&self, id: AttemptId, sum: &Digest, proof: &[u8]) -> bool;

    /// Whether the last release that this silo knows of is logged, under a checkpoint that this silo too has cosigned. `proof` is `None` before the first.
    fn release_is_logged(&self, proof: Option<&[u8]>) -> bool;
}
