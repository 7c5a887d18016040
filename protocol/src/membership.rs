// SPDX-License-Identifier: Apache-2.0
//! What a round needs to know of the roster.

use crate::id::SiloName;
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::VerifyingKey;
use std::collections::BTreeMap;

/// The pinned roster as the protocol sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The roster's version, from 1.
    pub epoch: u64,
    /// The digest of the roster that its members signed.
    pub roster_root: Digest,
    /// The key that signs every message of the coordinator.
    pub coordinator: VerifyingKey,
    /// The identity key of every silo.
    pub silos: BTreeMap<SiloName, VerifyingKey>,
    /// How many silos of the roster may collude with the coordinator (n_c).
    pub colluders: u32,
}
