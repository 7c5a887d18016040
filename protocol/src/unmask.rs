// SPDX-License-Identifier: Apache-2.0
//! Recovering the sum of the survivors' inputs from their masked vectors and the revealed seeds.

use crate::book::{Cohort, KeyBook, Survivors};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::mask_job::{chunk_digest, pair_mask_key, pair_sign, self_mask_key, upload_root};
use crate::round_plan::RoundPlan;
use crate::secrets::derive_mask_secret;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::mask::{MaskSet, Sign};
use consilium_crypto::packing;
use consilium_crypto::ring::WordBits;
use consilium_crypto::secret::Secret32;
use consilium_crypto::transcript::hash;
use std::collections::BTreeMap;

/// Where the uploaded chunks lie.
pub trait ChunkSource {
    /// The packed bytes of chunk `index` of a silo's upload.
    ///
    /// # Errors
    /// Whatever the storage reports.
    fn chunk(&self, silo: &SiloName, index: u64) -> std::io::Result<Vec<u8>>;
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
    /// The spool holds something else than the silo signed.
    #[error("the spooled upload of `{silo}` is not the one that it signed")]
    OtherUpload {
        /// Whose upload.
        silo: SiloName,
    },
}

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
    /// `self_masks` holds b of every survivor, `mask_keys` rho of every dropout of the cohort.
    pub(crate) fn new(
        plan: &RoundPlan,
        keys: &KeyBook,
        cohort: &Cohort,
        survivors: &Survivors,
        self_masks: &BTreeMap<SiloName, Secret32>,
        mask_keys: &BTreeMap<SiloName, Secret32>,
    ) -> Result<Self, Fault> {
        let word_bits = plan.word_bits().map_err(Fault::UnsafePlan)?;
        let mut masks = MaskSet::new(word_bits);
        for (silo, seed) in self_masks {
            let key = self_mask_key(cohort, silo, seed);
            masks.push(Sign::Subtract, &key);
        }
        for (dropped, seed) in mask_keys {
            let secret = derive_mask_secret(seed);
            for (survivor, _) in &survivors.uploads {
                let entry = keys
                    .entry(survivor)
                    .ok_or(Fault::BadList { list: "cohort" })?;
                let key = pair_mask_key(cohort, &secret, &entry.mask, dropped, survivor)?;
                // The survivor applied `pair_sign(survivor, dropped)`; the dropped silo's own sign undoes it.
                masks.push(pair_sign(dropped, survivor), &key);
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

    /// H(S) of the sum that [`Self::run`] returned.
    ///
    /// # Errors
    /// [`Fault::OtherSum`] when the sum has another length or width than the plan.
    pub fn digest(&self, sum: &[u64]) -> Result<Digest, Fault> {
        sum_digest(&self.plan, &self.cohort, sum)
    }

    /// Adds the survivors' vectors and removes the masks: `dimension` words modulo 2^bits.
    ///
    /// # Errors
    /// [`UnmaskFault`] when an upload cannot be read or is not the signed one.
    pub fn run(&self, source: &dyn ChunkSource) -> Result<Vec<u64>, UnmaskFault> {
        let mut sum = Vec::new();
        let mut digests: Vec<Vec<Digest>> = vec![Vec::new(); self.survivors.len()];
        for index in 0..self.plan.chunk_count() {
            let fields = self.plan.fields_in_chunk(index);
            let mut words = vec![0; fields];
            for ((silo, _), digests) in self.survivors.iter().zip(&mut digests) {
                let chunk = source
                    .chunk(silo, index)
                    .map_err(|source| UnmaskFault::Spool {
                        silo: silo.clone(),
                        source,
                    })?;
                digests.push(chunk_digest(&chunk));
                let upload = packing::unpack(self.word_bits, &chunk, fields)
                    .map_err(|_| UnmaskFault::OtherUpload { silo: silo.clone() })?;
                self.word_bits.add_assign(&mut words, &upload);
            }
            let first_field = index * u64::from(self.plan.chunk_fields);
            self.masks.apply(first_field, &mut words);
            sum.append(&mut words);
        }
        for ((silo, root), digests) in self.survivors.iter().zip(&digests) {
            if upload_root(digests) != *root {
                return Err(UnmaskFault::OtherUpload { silo: silo.clone() });
            }
        }
        Ok(sum)
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

/// H(S): over the attempt's transcript X and the packed sum, chunk by chunk.
///
/// # Errors
/// [`Fault::OtherSum`] when the sum has another length or width than the plan.
pub(crate) fn sum_digest(
    plan: &RoundPlan,
    cohort_digest: &Digest,
    sum: &[u64],
) -> Result<Digest, Fault> {
    let word_bits = plan.word_bits().map_err(Fault::UnsafePlan)?;
    let length = u64::try_from(sum.len()).unwrap_or(u64::MAX);
    if length != plan.vector.dimension || sum.iter().any(|word| *word > word_bits.mask()) {
        return Err(Fault::OtherSum);
    }
    let size = usize::try_from(plan.chunk_fields)
        .unwrap_or(usize::MAX)
        .max(1);
    let chunks: Vec<Digest> = sum
        .chunks(size)
        .map(|words| chunk_digest(&packing::pack(word_bits, words)))
        .collect();
    Ok(hash(
        Label::Sum,
        &[cohort_digest.as_bytes(), upload_root(&chunks).as_bytes()],
    ))
}
