// SPDX-License-Identifier: Apache-2.0
//! Where randomness enters: the operating system's generator, and no other.

use consilium_crypto::digest::Digest;
use consilium_crypto::random::RoundRandom;

/// A generator for one task, seeded by the operating system.
pub(crate) fn round_random() -> RoundRandom {
    match RoundRandom::from_operating_system() {
        Ok(random) => random,
        // SECURITY: without randomness there is nothing safe to do, and no caller could go on.
        Err(_) => std::process::abort(),
    }
}

/// A name that nobody has used before.
pub(crate) fn digest() -> Digest {
    Digest::from_bytes(bytes())
}

/// Thirty-two bytes of the operating system.
pub(crate) fn bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    // SECURITY: without randomness there is nothing safe to do, and no caller could go on.
    if getrandom::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    bytes
}

/// A number in `0..below`, for jitter only.
pub(crate) fn jitter(below: u64) -> u64 {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_err() {
        return 0;
    }
    u64::from_le_bytes(bytes).checked_rem(below).unwrap_or(0)
}
