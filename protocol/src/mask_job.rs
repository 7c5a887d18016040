// SPDX-License-Identifier: Apache-2.0
//! Masking one silo's vector: y = x + self mask + the signed pair masks, modulo 2^bits.

use crate::book::{Cohort, KeyBook};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::round_plan::RoundPlan;
use crate::secrets::AttemptSecrets;
use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::label::Label;
use consilium_crypto::mask::{MaskSet, Sign};
use consilium_crypto::merkle;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::transcript::{derive_key, hash};

/// Everything that a CPU pool needs to mask a vector, chunk by chunk and in any order.
pub struct MaskJob {
    plan: RoundPlan,
    input: Digest,
    masks: MaskSet,
}

impl MaskJob {
    pub(crate) fn new(
        plan: &RoundPlan,
        input: Digest,
        own: &SiloName,
        secrets: &AttemptSecrets,
        keys: &KeyBook,
        cohort: &Cohort,
    ) -> Result<Self, Fault> {
        let word_bits = plan.word_bits().map_err(Fault::UnsafePlan)?;
        let self_key = self_mask_key(cohort, own, &secrets.self_mask);
        let mut masks = MaskSet::new(word_bits);
        masks.push(Sign::Add, &self_key);
        let secret = secrets.mask_secret();
        for peer in cohort.silos.iter().filter(|silo| *silo != own) {
            let entry = keys.entry(peer).ok_or(Fault::BadList { list: "cohort" })?;
            let key = pair_mask_key(cohort, &secret, &entry.mask, own, peer)?;
            masks.push(pair_sign(own, peer), &key);
        }
        Ok(Self {
            plan: plan.clone(),
            input,
            masks,
        })
    }

    /// The attempt's parameters.
    #[must_use]
    pub fn plan(&self) -> &RoundPlan {
        &self.plan
    }

    /// The digest of the vector that these masks are for.
    ///
    /// SECURITY: the driver masks no other vector, or it would not be the one that this silo journalled.
    #[must_use]
    pub fn input(&self) -> Digest {
        self.input
    }

    /// Masks the words of chunk `index` and packs them for the wire.
    ///
    /// `words` holds `plan.fields_in_chunk(index)` ring elements.
    #[must_use]
    pub fn mask_chunk(&self, index: u64, words: &[u64]) -> Vec<u8> {
        let first_field = index * u64::from(self.plan.chunk_fields);
        self.masks.pack(first_field, words)
    }
}

impl std::fmt::Debug for MaskJob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "MaskJob({}, {} streams)",
            self.plan.id,
            self.masks.len()
        )
    }
}

/// The digest of one chunk of an upload.
#[must_use]
pub fn chunk_digest(chunk: &[u8]) -> Digest {
    hash(Label::UploadChunk, &[chunk])
}

/// The Merkle root over the digests of an upload's chunks.
#[must_use]
pub fn upload_root(chunks: &[Digest]) -> Digest {
    let leaves: Vec<Digest> = chunks
        .iter()
        .map(|digest| merkle::leaf_hash(digest.as_bytes()))
        .collect();
    merkle::root(&leaves)
}

/// The silo earlier in the alphabet adds a pair's mask, the later one subtracts it.
pub(crate) fn pair_sign(own: &SiloName, peer: &SiloName) -> Sign {
    if own < peer {
        Sign::Add
    } else {
        Sign::Subtract
    }
}

/// The key and nonce of the mask of a pair, bound to X.
pub(crate) fn pair_mask_key(
    cohort: &Cohort,
    secret: &AgreementSecret,
    peer_key: &PublicKey,
    own: &SiloName,
    peer: &SiloName,
) -> Result<Secret<[u8; 44]>, Fault> {
    let shared = secret
        .agree(peer_key)
        .map_err(|_| Fault::WeakKey { silo: peer.clone() })?;
    let (lower, higher) = if own < peer { (own, peer) } else { (peer, own) };
    let parts = [lower.as_str().as_bytes(), higher.as_str().as_bytes()];
    Ok(derive_key::<44>(
        &cohort.digest,
        shared.expose(),
        Label::PairMask,
        &parts,
    ))
}

/// The key and nonce of a silo's own mask, bound to X.
pub(crate) fn self_mask_key(cohort: &Cohort, silo: &SiloName, seed: &Secret32) -> Secret<[u8; 44]> {
    derive_key::<44>(
        &cohort.digest,
        seed.expose(),
        Label::SelfMask,
        &[silo.as_str().as_bytes()],
    )
}
