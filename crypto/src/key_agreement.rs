// SPDX-License-Identifier: Apache-2.0
//! X25519 key agreement ([RFC 7748]).
//!
//! [RFC 7748]: https://www.rfc-editor.org/rfc/rfc7748

use std::str::FromStr;
use std::{array, fmt};

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use consilium_curve_lanes::{EightLanes, LANES};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::hex_bytes::{self, HexFault};
use crate::secret::{Secret, Secret32};

/// A private X25519 key; wiped on drop. It belongs to one attempt of one round.
pub struct AgreementSecret {
    private: PrivateKey,
    /// The same key, for [`EightLanes`].
    scalar: Secret32,
    public: PublicKey,
}

impl AgreementSecret {
    /// The key with these 32 bytes as its scalar before clamping.
    #[expect(
        clippy::expect_used,
        reason = "any 32 bytes are a scalar, and its public key is a point"
    )]
    pub fn from_seed(seed: &Secret32) -> Self {
        let private = PrivateKey::from_private_key(&X25519, seed.expose())
            .expect("any 32 bytes are an X25519 key");
        let public = private
            .compute_public_key()
            .ok()
            .and_then(|public| public.as_ref().try_into().ok())
            .expect("every X25519 key has a public half of 32 bytes");
        Self {
            private,
            scalar: seed.duplicate(),
            public: PublicKey(public),
        }
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// The shared secret with the owner of `peer`. Derive keys from it; never use it as one.
    ///
    /// # Errors
    /// [`AgreementFault::NonContributory`] when the peer's key has small order, so that the result
    /// would not depend on our key.
    pub fn agree(&self, peer: &PublicKey) -> Result<Secret32, AgreementFault> {
        // SECURITY: the library refuses a result of zeros, which is what every point of small order gives.
        let fault = AgreementFault::NonContributory;
        let peer = UnparsedPublicKey::new(&X25519, peer.to_subject_public_key_info());
        agreement::agree(&self.private, peer, fault, |shared| {
            Secret::from_slice(shared).ok_or(fault)
        })
    }

    /// What [`Self::agree`] gives for each of many peers, in their order.
    ///
    /// COST: with AVX-512 IFMA in a third of the time.
    pub fn agree_with_all(&self, peers: &[PublicKey]) -> Vec<Result<Secret32, AgreementFault>> {
        let Some(lanes) = EightLanes::find() else {
            return peers.iter().map(|peer| self.agree(peer)).collect();
        };
        let mut agreed = Vec::with_capacity(peers.len());
        for peers in peers.chunks(LANES) {
            if peers.len() < FEWEST_IN_LANES {
                agreed.extend(peers.iter().map(|peer| self.agree(peer)));
                continue;
            }
            // Lanes to spare repeat a peer.
            let points = array::from_fn(|lane| {
                peers
                    .get(lane)
                    .or(peers.first())
                    .map_or([0; 32], |peer| peer.0)
            });
            let mut shared = lanes.multiply(self.scalar.expose(), &points);
            agreed.extend(shared.iter().zip(peers).map(|(shared, _)| {
                // SECURITY: every point of small order gives zeros, and no other does.
                let is_zero: bool = shared.ct_eq(&[0; 32]).into();
                let secret = Secret::filled(|secret| secret.copy_from_slice(shared));
                (!is_zero)
                    .then_some(secret)
                    .ok_or(AgreementFault::NonContributory)
            }));
            shared.zeroize();
        }
        agreed
    }
}

impl fmt::Debug for AgreementSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AgreementSecret(of {})", self.public_key())
    }
}

/// A public X25519 key as it was received: 32 bytes, checked only when it is used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes 32 bytes, unchecked.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 32 bytes, copied.
    pub const fn to_bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl PublicKey {
    /// Whether this is the one encoding of a point that contributes to every agreement.
    ///
    /// A second encoding of a key would pass for another key.
    pub fn is_usable(&self) -> bool {
        let is_canonical = self.0.iter().rev().lt(FIELD_PRIME.iter());
        is_canonical && !SMALL_ORDER.contains(&self.0)
    }
}

impl PublicKey {
    /// The encoding of [RFC 8410], section 4, which the library reads at once.
    ///
    /// COST: it tries to read this form out of 32 bare bytes, too, and fails after as many steps as they happen to look like it.
    ///
    /// [RFC 8410]: https://www.rfc-editor.org/rfc/rfc8410#section-4
    fn to_subject_public_key_info(self) -> [u8; 44] {
        let mut encoded = [0; 44];
        let (prefix, key) = encoded.split_at_mut(SUBJECT_PUBLIC_KEY_INFO.len());
        prefix.copy_from_slice(&SUBJECT_PUBLIC_KEY_INFO);
        key.copy_from_slice(&self.0);
        encoded
    }
}

impl AsRef<[u8]> for PublicKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex_bytes::format(&self.0, formatter)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = HexFault;

    fn from_str(text: &str) -> Result<Self, HexFault> {
        hex_bytes::parse(text).map(Self)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex_bytes::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex_bytes::deserialize(deserializer).map(Self)
    }
}

/// Why no secret could be agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgreementFault {
    /// The peer's key is one of the few that give a secret everyone knows.
    #[error("public key has small order and contributes nothing to the shared secret")]
    NonContributory,
}

/// What stands before the 32 bytes of a key: a sequence of the algorithm, which is id-X25519, and of a bit string with
/// no bit unused.
const SUBJECT_PUBLIC_KEY_INFO: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00,
];

/// Eight lanes take as long as two agreements one after the other, and a little.
const FEWEST_IN_LANES: usize = 3;

/// 2^255 - 19, the most significant byte first.
const FIELD_PRIME: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0x7f;
    bytes[31] = 0xed;
    bytes
};

/// The canonical u-coordinates of the points of order 1, 2, 4 and 8, on the curve and its twist: 0, 1, -1 and the
/// two of order 8 ([Bernstein's list](https://cr.yp.to/ecdh.html#validate)).
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
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f,
            0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16,
            0x5f, 0x49, 0xb8, 0x00,
        ],
        [
            0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83,
            0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd,
            0xd0, 0x9f, 0x11, 0x57,
        ],
    ]
};
