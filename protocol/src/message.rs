// SPDX-License-Identifier: Apache-2.0
//! Every message of a round, in the order in which it is sent.

use crate::envelope::Envelope;
use crate::id::SiloName;
use crate::round_plan::RoundPlan;
use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::PublicKey;
use consilium_crypto::key_encapsulation::EncapsulationKey;
use serde::{Deserialize, Serialize};

/// What a silo says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SiloMessage {
    /// The three public keys of this attempt.
    AdvertiseKeys {
        /// Seals the shares that others deal to this silo, together with the encapsulation key.
        channel_public_key: PublicKey,
        /// Agrees the pairwise masks; rebuilt by the others when this silo drops.
        mask_public_key: PublicKey,
        /// Seals those shares against whoever will one day have a quantum computer.
        encapsulation_key: EncapsulationKey,
        /// Makes two advertisements of one silo differ.
        nonce: [u8; 32],
    },
    /// The public part of a deal. The ciphertexts, each behind an encapsulated secret, travel as attachments, in the KeyBook's order.
    ShareKeys {
        /// Commitment to the self-mask seed b.
        self_mask_commitment: Digest,
        /// Merkle root over all dealt shares.
        share_root: Digest,
    },
    /// Which dealers' shares arrived whole, by position in the KeyBook.
    DealReceipt {
        /// `true` for a good dealer.
        good: Vec<bool>,
    },
    /// The local result is ready to be masked.
    Ready,
    /// The masked vector that this silo uploads, signed before the first of its chunks.
    MaskedInput {
        /// Merkle root over the chunks.
        root: Digest,
        /// Bytes of all chunks.
        length: u64,
    },
    /// The one vote of this attempt.
    Vote {
        /// Digest of the proposed survivors and their upload roots.
        survivors: Digest,
        /// Commitment to the nonce that a later challenge is made of.
        nonce_commitment: Digest,
    },
    /// One share of one kind for every silo of the cohort.
    Reveal {
        /// In the cohort's order.
        shares: Vec<RevealedShare>,
    },
    /// The nonce that the vote committed to, once the sum is committed and logged.
    Nonce {
        /// H(S), as logged.
        sum: Digest,
        /// What the commitment hashes.
        nonce: [u8; 32],
    },
    /// The one answer to the challenge.
    Tag {
        /// H(S), as logged.
        sum: Digest,
        /// H(c).
        challenge: Digest,
        /// The masked inner product, modulo 2^61 - 1; in eight bytes, whatever it is.
        #[serde(with = "postcard::fixint::le")]
        tag: u64,
    },
    /// This silo computed its part of the sum again, from the signed uploads and the seeds, and found it equal.
    Replayed {
        /// H(S), as logged.
        sum: Digest,
        /// How many parts it computed; which ones follows from its place among the survivors.
        cover: u32,
    },
}

/// Which of a silo's two secrets a share belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecretKind {
    /// b, the seed of the self mask: revealed for survivors.
    SelfMask,
    /// rho, the seed of the mask key: revealed for dropouts.
    MaskKey,
}

/// A share as revealed, provable against the dealer's root.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealedShare {
    /// The dealer's position in the KeyBook.
    pub dealer: u32,
    /// Which secret.
    pub kind: SecretKind,
    /// Abscissa and value: 33 bytes, or 34 when there are more than 255 silos.
    #[serde(with = "crate::byte_string")]
    pub share: Vec<u8>,
    /// Merkle path to the dealer's root.
    pub path: Vec<Digest>,
}

impl std::fmt::Debug for RevealedShare {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "RevealedShare({}, {:?}, ..)",
            self.dealer, self.kind
        )
    }
}

/// What the coordinator says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordinatorMessage {
    /// Opens an attempt. Attachments: proof that this silo's start is logged; proof of the last release, if any.
    Open {
        /// The public parameters.
        plan: Box<RoundPlan>,
    },
    /// All advertisements, sorted by silo.
    KeyBook {
        /// Envelopes of `AdvertiseKeys`.
        advertisements: Vec<Envelope>,
    },
    /// All public deals, sorted by silo. Attachments: this silo's ciphertexts in the same order.
    DealBook {
        /// Envelopes of `ShareKeys`.
        deals: Vec<Envelope>,
    },
    /// The silos whose inputs will be masked together (U2), with their receipts and readiness.
    CohortFreeze {
        /// Envelopes of `DealReceipt`, sorted by silo.
        receipts: Vec<Envelope>,
        /// Envelopes of `Ready`, sorted by silo.
        ready: Vec<Envelope>,
    },
    /// The silos whose uploads arrived (U3).
    SurvivorProposal {
        /// Envelopes of `MaskedInput`, sorted by silo.
        uploads: Vec<Envelope>,
    },
    /// A quorum of equal votes: the only thing that unlocks a reveal.
    Certificate {
        /// Envelopes of `Vote`, sorted by silo.
        votes: Vec<Envelope>,
    },
    /// H(S), logged before S is known to anybody else. Attachment: the log proof.
    SumCommitment {
        /// Digest of the sum.
        sum: Digest,
    },
    /// The nonces that make the challenge.
    Challenge {
        /// Envelopes of `Nonce` of all who voted, sorted by silo.
        nonces: Vec<Envelope>,
    },
    /// Tags are missing or do not add up: compute the sum again. Attachment: the log proof of H(S).
    Replay(Box<Release>),
    /// Everything that lets anybody check the released sum. Attachment: the log proof of H(S).
    Release(Box<Release>),
    /// The attempt ends without a result.
    Abandon {
        /// Why, in words.
        reason: String,
    },
}

/// The public trail of one released sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The attempt's parameters.
    pub plan: RoundPlan,
    /// K.
    pub key_book: Digest,
    /// D.
    pub deal_book: Digest,
    /// U2, sorted.
    pub cohort: Vec<SiloName>,
    /// U3 with the roots of their uploads, sorted.
    pub survivors: Vec<(SiloName, Digest)>,
    /// The certificate's votes.
    pub votes: Vec<Envelope>,
    /// H(S).
    pub sum: Digest,
    /// The revealed seeds: b of every survivor, rho of every dropout.
    pub seeds: Vec<(SiloName, SecretKind, [u8; 32])>,
    /// Why the sum is the sum of the signed uploads.
    pub verification: Verification,
}

/// How a released sum was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verification {
    /// By a challenge that every survivor answered: the tags add up to what the sum gives.
    Tags {
        /// Envelopes of `Nonce` of all who voted, sorted by silo.
        nonces: Vec<Envelope>,
        /// Envelopes of `Tag` of all survivors, sorted by silo.
        tags: Vec<Envelope>,
    },
    /// By survivors who computed it again; at least one honest one computed each part.
    Replay {
        /// How many parts each of them computed.
        cover: u32,
        /// Envelopes of `Replayed`, sorted by silo. Empty in a `Replay` message, which asks for them.
        replayed: Vec<Envelope>,
    },
}

impl SiloMessage {
    /// The message's name, for faults and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AdvertiseKeys { .. } => "AdvertiseKeys",
            Self::ShareKeys { .. } => "ShareKeys",
            Self::DealReceipt { .. } => "DealReceipt",
            Self::Ready => "Ready",
            Self::MaskedInput { .. } => "MaskedInput",
            Self::Vote { .. } => "Vote",
            Self::Reveal { .. } => "Reveal",
            Self::Nonce { .. } => "Nonce",
            Self::Tag { .. } => "Tag",
            Self::Replayed { .. } => "Replayed",
        }
    }
}

impl CoordinatorMessage {
    /// The message's name, for faults and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open { .. } => "Open",
            Self::KeyBook { .. } => "KeyBook",
            Self::DealBook { .. } => "DealBook",
            Self::CohortFreeze { .. } => "CohortFreeze",
            Self::SurvivorProposal { .. } => "SurvivorProposal",
            Self::Certificate { .. } => "Certificate",
            Self::SumCommitment { .. } => "SumCommitment",
            Self::Challenge { .. } => "Challenge",
            Self::Replay(_) => "Replay",
            Self::Release(_) => "Release",
            Self::Abandon { .. } => "Abandon",
        }
    }
}
