// SPDX-License-Identifier: Apache-2.0
//! Recovering the sum of the survivors' inputs from their masked vectors and the revealed seeds.

use crate::book::{Cohort, DealBook, KeyBook, Survivors};
use crate::defence::{Defence, stands};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::mask_job::{Pair, chunk_digest, pair_sign, self_mask_key, upload_root};
use crate::message::SecretKind;
use crate::round_plan::RoundPlan;
use crate::secrets::derive_mask_secret;
use crate::sum_chunks::SumChunks;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::mask::{MaskSet, Sign};
use consilium_crypto::packing::PackedSum;
use consilium_crypto::ring::WordBits;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::transcript::hash;

/// Where the uploaded chunks lie.
pub trait ChunkSource {
    /// The packed bytes of chunk `index` of a silo's upload.
    ///
    /// # Errors
    /// Whatever the storage reports.
    fn chunk(&self, silo: &SiloName, index: u64) -> std::io::Result<Vec<u8>>;
}

/// Where a recovered sum goes, chunk by chunk and in order.
pub trait SumSink {
    /// Takes chunk `index`, packed for the wire.
    ///
    /// # Errors
    /// Whatever the storage reports.
    fn take(&mut self, index: u64, packed: Vec<u8>) -> std::io::Result<()>;
}

/// Why a sum could not be recovered.
#[derive(Debug, thiserror::Error)]
pub enum UnmaskFault {
    /// The storage failed.
    #[error("the upload of `{silo}` cannot be read from the spool")]
    Spool {
        /// Whose upload.
        silo: SiloName,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The storage of the sum failed.
    #[error("the sum cannot be written or read")]
    Sum(#[source] std::io::Error),
    /// The spool holds something else than the silo signed.
    #[error("the spooled upload of `{silo}` is not the one that it signed")]
    OtherUpload {
        /// Whose upload.
        silo: SiloName,
    },
    /// The sum at hand is not the committed one.
    #[error("the sum at hand is not the committed one")]
    OtherSum,
}

/// A seed as it is revealed and published: whose, which, and its bytes.
pub(crate) type PublicSeed = (SiloName, SecretKind, [u8; 32]);

/// Everything that a CPU pool needs to recover the sum, one chunk of all silos at a time.
pub struct UnmaskJob {
    plan: RoundPlan,
    word_bits: WordBits,
    cohort: Digest,
    survivors: Vec<(SiloName, Digest)>,
    /// Streams to undo: every survivor's self mask and every (dropped, survivor) pair mask.
    masks: MaskSet,
}

impl UnmaskJob {
    /// `seeds` holds b of every survivor and rho of every dropout, in the cohort's order; each is checked.
    pub(crate) fn new(
        plan: &RoundPlan,
        keys: &KeyBook,
        deals: &DealBook,
        cohort: &Cohort,
        survivors: &Survivors,
        seeds: &[PublicSeed],
    ) -> Result<Self, Fault> {
        let word_bits = plan.word_bits().map_err(Fault::UnsafePlan)?;
        if !cohort
            .silos
            .iter()
            .eq(seeds.iter().map(|(silo, _, _)| silo))
        {
            return Err(Fault::BadList { list: "seeds" });
        }
        let mut masks = MaskSet::new(word_bits);
        for (silo, kind, seed) in seeds {
            let seed = Secret::new(*seed);
            let expected = kind_of(survivors, silo);
            let committed = seed_is_committed(keys, deals, silo, expected, &seed);
            if *kind != expected || (stands(Defence::SeedsCommitted) && !committed) {
                return Err(Fault::OtherSeed { silo: silo.clone() });
            }
            match expected {
                SecretKind::SelfMask => {
                    masks.push(Sign::Subtract, &self_mask_key(cohort, silo, &seed));
                }
                SecretKind::MaskKey => {
                    let secret = derive_mask_secret(&seed);
                    for (survivor, _) in &survivors.uploads {
                        let entry = keys
                            .entry(survivor)
                            .ok_or(Fault::BadList { list: "cohort" })?;
                        let pair = Pair::agree(cohort, &secret, &entry.mask, silo, survivor)?;
                        // The survivor applied `pair_sign(survivor, silo)`; the dropped silo's own sign undoes it.
                        masks.push(pair_sign(silo, survivor), &pair.mask_key());
                    }
                }
            }
        }
        Ok(Self {
            plan: plan.clone(),
            word_bits,
            cohort: cohort.digest,
            survivors: survivors.uploads.clone(),
            masks,
        })
    }

    /// The attempt's parameters.
    #[must_use]
    pub fn plan(&self) -> &RoundPlan {
        &self.plan
    }

    /// Adds the survivors' vectors, removes the masks and hands the packed sum to `sink`. Gives H(S).
    ///
    /// # Errors
    /// [`UnmaskFault`] when an upload cannot be read or is not the signed one; what `sink` holds is worth nothing then.
    pub fn run(
        &self,
        source: &dyn ChunkSource,
        sink: &mut dyn SumSink,
    ) -> Result<Digest, UnmaskFault> {
        let mut digests: Vec<Vec<Digest>> = vec![Vec::new(); self.survivors.len()];
        let mut sum_digests = Vec::new();
        for index in 0..self.plan.chunk_count() {
            let packed = self.chunk(index, source, |at, chunk| {
                if let Some(digests) = digests.get_mut(at) {
                    digests.push(chunk_digest(chunk));
                }
                true
            })?;
            sum_digests.push(chunk_digest(&packed));
            sink.take(index, packed).map_err(UnmaskFault::Sum)?;
        }
        for ((silo, root), digests) in self.survivors.iter().zip(&digests) {
            if upload_root(digests) != *root {
                return Err(UnmaskFault::OtherUpload { silo: silo.clone() });
            }
        }
        Ok(committed_sum(&self.cohort, &sum_digests))
    }

    /// H(S) of a sum at hand.
    ///
    /// # Errors
    /// [`Fault::OtherSum`] when the sum has another length or width than the plan.
    pub fn digest(&self, sum: &SumChunks) -> Result<Digest, Fault> {
        sum.digest(&self.plan, &self.cohort)
    }

    /// One chunk of the sum, packed. `admit` sees each survivor's place and its packed chunk before it counts.
    pub(crate) fn chunk(
        &self,
        index: u64,
        source: &dyn ChunkSource,
        mut admit: impl FnMut(usize, &[u8]) -> bool,
    ) -> Result<Vec<u8>, UnmaskFault> {
        let mut sum = PackedSum::new(self.word_bits, self.plan.fields_in_chunk(index));
        for (at, (silo, _)) in self.survivors.iter().enumerate() {
            let chunk = source
                .chunk(silo, index)
                .map_err(|source| UnmaskFault::Spool {
                    silo: silo.clone(),
                    source,
                })?;
            if !admit(at, &chunk) || sum.add(&chunk).is_err() {
                return Err(UnmaskFault::OtherUpload { silo: silo.clone() });
            }
        }
        let first_field = index * u64::from(self.plan.chunk_fields);
        Ok(self.masks.pack_sum(first_field, &sum))
    }

    /// X.
    pub(crate) fn cohort(&self) -> &Digest {
        &self.cohort
    }

    /// U3 with the signed roots.
    pub(crate) fn survivors(&self) -> &[(SiloName, Digest)] {
        &self.survivors
    }
}

impl std::fmt::Debug for UnmaskJob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "UnmaskJob({}, {} streams)",
            self.plan.id,
            self.masks.len()
        )
    }
}

/// Which secret of a silo of the cohort may be known.
pub(crate) fn kind_of(survivors: &Survivors, silo: &SiloName) -> SecretKind {
    if survivors.contains(silo) {
        SecretKind::SelfMask
    } else {
        SecretKind::MaskKey
    }
}

/// Whether a seed is the one that its owner committed to in public.
pub(crate) fn seed_is_committed(
    keys: &KeyBook,
    deals: &DealBook,
    silo: &SiloName,
    kind: SecretKind,
    seed: &Secret32,
) -> bool {
    match kind {
        SecretKind::SelfMask => {
            let commitment = keys.self_mask_commitment(silo, seed.expose());
            let committed = deals.entry(silo).map(|deal| deal.self_mask_commitment);
            committed == Some(commitment)
        }
        SecretKind::MaskKey => {
            let public_key = derive_mask_secret(seed).public_key();
            let advertised = keys.entry(silo).map(|entry| entry.mask);
            advertised == Some(public_key)
        }
    }
}

/// H(S) of the digests of the packed sum's chunks, bound to X.
pub(crate) fn committed_sum(cohort_digest: &Digest, chunks: &[Digest]) -> Digest {
    hash(
        Label::Sum,
        &[cohort_digest.as_bytes(), upload_root(chunks).as_bytes()],
    )
}
