// SPDX-License-Identifier: Apache-2.0
//! Masking one silo's vector: y = x + self mask + the signed pair masks, modulo 2^bits.

use crate::book::{Cohort, KeyBook};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::round_plan::RoundPlan;
use crate::secrets::Seeds;
use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::{AgreementFault, AgreementSecret, PublicKey};
use consilium_crypto::label::Label;
use consilium_crypto::mask::{MaskSet, Sign};
use consilium_crypto::merkle;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::transcript::{bulk_hash, derive_key};

/// Everything that a CPU pool needs to mask a vector, chunk by chunk and in any order.
pub struct MaskJob {
    plan: RoundPlan,
    input: Digest,
    masks: MaskSet,
}

impl MaskJob {
    /// The masks of an attempt, and for every other member of the cohort the root of the masks over tags.
    pub(crate) fn derive(
        plan: &RoundPlan,
        input: Digest,
        own: &SiloName,
        seeds: &Seeds,
        keys: &KeyBook,
        cohort: &Cohort,
    ) -> Result<(Self, Vec<(SiloName, Secret32)>), Fault> {
        let word_bits = plan.word_bits().map_err(Fault::UnsafePlan)?;
        let self_key = self_mask_key(cohort, own, &seeds.self_mask);
        let mut masks = MaskSet::new(word_bits);
        masks.push(Sign::Add, &self_key);
        let secret = seeds.mask_secret();
        let mut tag_roots = Vec::with_capacity(cohort.silos.len());
        let peers: Vec<&SiloName> = cohort.silos.iter().filter(|silo| *silo != own).collect();
        let public_keys = peers
            .iter()
            .map(|peer| keys.entry(peer).map(|entry| entry.mask))
            .collect::<Option<Vec<PublicKey>>>()
            .ok_or(Fault::BadList { list: "cohort" })?;
        for (peer, agreed) in peers.into_iter().zip(secret.agree_with_all(&public_keys)) {
            let pair = Pair::agreed(cohort, agreed, own, peer)?;
            masks.push(pair_sign(own, peer), &pair.mask_key());
            tag_roots.push((peer.clone(), pair.tag_root()));
        }
        let job = Self {
            plan: plan.clone(),
            input,
            masks,
        };
        Ok((job, tag_roots))
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
    bulk_hash(Label::UploadChunk, chunk)
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

/// What two silos of a cohort agreed, bound to X by everything that is derived from it.
pub(crate) struct Pair<'a> {
    cohort: &'a Cohort,
    shared: Secret32,
    lower: &'a SiloName,
    higher: &'a SiloName,
}

impl<'a> Pair<'a> {
    pub(crate) fn agree(
        cohort: &'a Cohort,
        secret: &AgreementSecret,
        peer_key: &PublicKey,
        own: &'a SiloName,
        peer: &'a SiloName,
    ) -> Result<Self, Fault> {
        Self::agreed(cohort, secret.agree(peer_key), own, peer)
    }

    /// What was agreed with `peer` along with others.
    fn agreed(
        cohort: &'a Cohort,
        agreed: Result<Secret32, AgreementFault>,
        own: &'a SiloName,
        peer: &'a SiloName,
    ) -> Result<Self, Fault> {
        let shared = agreed.map_err(|_| Fault::WeakKey { silo: peer.clone() })?;
        let (lower, higher) = if own < peer { (own, peer) } else { (peer, own) };
        Ok(Self {
            cohort,
            shared,
            lower,
            higher,
        })
    }

    /// The key and nonce of the pair's mask.
    pub(crate) fn mask_key(&self) -> Secret<[u8; 44]> {
        self.derive(Label::PairMask)
    }

    /// T: the root of the masks over the pair's tags.
    pub(crate) fn tag_root(&self) -> Secret32 {
        self.derive(Label::TagRoot)
    }

    fn derive<const N: usize>(&self, label: Label) -> Secret<[u8; N]> {
        let parts = [self.lower, self.higher].map(|silo| silo.as_str().as_bytes());
        derive_key(&self.cohort.digest, self.shared.expose(), label, &parts)
    }
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
