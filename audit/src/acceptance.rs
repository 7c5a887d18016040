// SPDX-License-Identifier: Apache-2.0
//! Acceptances: silos sign, with the key of a witness, that they have verified a released sum.
//!
//! A checkpoint says what the log holds and not that it is true: a coordinator could log the release of a sum that no
//! silo ever saw, have the log cosigned, and say that the study is complete. What goes on from a release therefore
//! needs the signatures of a threshold of its silos under the sum itself, and the threshold exceeds the silos that may
//! lie (Bonawitz et al. 2017, section 6.2, ask the same before shares are revealed).

use std::collections::{BTreeMap, BTreeSet};

use consilium_crypto::{
    digest::Digest,
    label::Label,
    signing::{Signature, SigningKey},
};
use serde::{Deserialize, Serialize};

use crate::{
    entry::AttemptReference,
    witness::{CosignatureVerifier, WitnessSet},
};

/// The reference under which an entry names its acceptances.
pub const ACCEPTANCES: &str = "acceptances";

/// What a silo signs: that it verified the sum with this digest as the release of this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedRelease<'a> {
    /// The shared log's name, which is that of the federation.
    pub origin: &'a str,
    /// The attempt.
    pub attempt: AttemptReference,
    /// H(S).
    pub sum: &'a Digest,
}

impl AcceptedRelease<'_> {
    /// The signature of a silo, by its witness key.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Signature {
        self.with_parts(|parts| key.sign(Label::ReleaseAccepted, parts))
    }

    /// Whether this silo signed it.
    #[must_use]
    pub fn is_signed_by(&self, silo: &CosignatureVerifier, signature: &Signature) -> bool {
        self.with_parts(|parts| {
            silo.key()
                .verify(Label::ReleaseAccepted, parts, signature)
                .is_ok()
        })
    }

    fn with_parts<T>(&self, call: impl FnOnce(&[&[u8]]) -> T) -> T {
        let AttemptReference {
            epoch,
            round,
            attempt,
        } = self.attempt;
        call(&[
            self.origin.as_bytes(),
            &epoch.to_be_bytes(),
            &round.to_be_bytes(),
            &attempt.to_be_bytes(),
            self.sum.as_bytes(),
        ])
    }
}

/// The acceptances of one release, by the names of the silos.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Acceptances(pub BTreeMap<String, Signature>);

impl Acceptances {
    /// The silos whose signatures are right.
    #[must_use]
    pub fn signers(
        &self,
        release: &AcceptedRelease<'_>,
        witnesses: &WitnessSet,
    ) -> BTreeSet<String> {
        self.0
            .iter()
            .filter(|(name, signature)| {
                witnesses
                    .member(name)
                    .is_some_and(|silo| release.is_signed_by(silo, signature))
            })
            .map(|(name, _)| name.clone())
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use consilium_crypto::{secret::Secret, transcript::sha256};

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Secret::new([seed; 32]))
    }

    #[test]
    fn only_a_witness_that_signed_this_attempt_and_sum_counts() {
        let names = ["1_UM", "2_IU", "3_UK"];
        let keys = names.iter().zip(1..);
        let keys = keys.map(|(name, seed)| ((*name).to_owned(), key(seed).verifying_key()));
        let witnesses = WitnessSet::new(keys, 2).unwrap();
        let (sum, other) = (sha256(b"sum"), sha256(b"another sum"));
        let attempt = AttemptReference {
            epoch: 1,
            round: 7,
            attempt: 2,
        };
        let release = AcceptedRelease {
            origin: "hub.example/log",
            attempt,
            sum: &sum,
        };
        let of = |release: AcceptedRelease<'_>, seed| release.sign(&key(seed));
        let signed = |signatures: Vec<(&str, Signature)>| {
            let signatures = signatures.into_iter();
            Acceptances(
                signatures
                    .map(|(name, signature)| (name.to_owned(), signature))
                    .collect(),
            )
            .signers(&release, &witnesses)
        };
        let (first, second) = (of(release, 1), of(release, 2));
        assert_eq!(
            signed(vec![("1_UM", first), ("2_IU", second)]),
            BTreeSet::from(["1_UM".to_owned(), "2_IU".to_owned()])
        );
        let elsewhere = [
            AcceptedRelease {
                origin: "other.example/log",
                ..release
            },
            AcceptedRelease {
                attempt: AttemptReference {
                    attempt: 3,
                    ..attempt
                },
                ..release
            },
            AcceptedRelease {
                sum: &other,
                ..release
            },
        ];
        for elsewhere in elsewhere {
            assert!(signed(vec![("1_UM", of(elsewhere, 1))]).is_empty());
        }
        assert!(signed(vec![("1_UM", second), ("4_Case", of(release, 4))]).is_empty());
    }
}
