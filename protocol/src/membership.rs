// SPDX-License-Identifier: Apache-2.0
//! What a round needs to know of the roster.

use crate::id::SiloName;
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::{PreparedKeys, VerifyingKey};
use std::collections::BTreeMap;
use std::ops::Deref;

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
    pub silos: SiloKeys,
    /// How many silos of the roster may collude with the coordinator (n_c).
    pub colluders: u32,
}

/// The identity key of every silo of a roster, collected once for its lifetime.
///
/// COST: the keys are prepared when they are collected, because lists signed by them are verified in every phase of every
/// round.
#[derive(Clone, Debug)]
pub struct SiloKeys {
    keys: BTreeMap<SiloName, VerifyingKey>,
    prepared: PreparedKeys,
}

impl SiloKeys {
    pub(crate) fn prepared(&self) -> &PreparedKeys {
        &self.prepared
    }
}

impl FromIterator<(SiloName, VerifyingKey)> for SiloKeys {
    fn from_iter<I: IntoIterator<Item = (SiloName, VerifyingKey)>>(keys: I) -> Self {
        let keys: BTreeMap<SiloName, VerifyingKey> = keys.into_iter().collect();
        let prepared = PreparedKeys::new(keys.values().copied());
        Self { keys, prepared }
    }
}

impl Deref for SiloKeys {
    type Target = BTreeMap<SiloName, VerifyingKey>;

    fn deref(&self) -> &Self::Target {
        &self.keys
    }
}

impl PartialEq for SiloKeys {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys
    }
}

impl Eq for SiloKeys {}
