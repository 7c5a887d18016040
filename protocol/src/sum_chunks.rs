// SPDX-License-Identifier: Apache-2.0
//! A sum as it travels and is kept: packed, chunk by chunk. Nothing holds all of its words at once but who asks for them.

use crate::fault::Fault;
use crate::mask_job::chunk_digest;
use crate::round_plan::RoundPlan;
use crate::unmask::{SumSink, committed_sum};
use consilium_crypto::digest::Digest;
use consilium_crypto::packing;

/// The packed chunks of a sum in order, as received: whether they are the plan's is seen when they are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SumChunks(Vec<Vec<u8>>);

impl SumChunks {
    /// Packs a sum of `plan`; bits above the words' width are dropped.
    ///
    /// # Errors
    /// [`Fault::UnsafePlan`] when the plan's words have a width that there is none of.
    pub fn pack(plan: &RoundPlan, words: &[u64]) -> Result<Self, Fault> {
        let bits = plan.word_bits().map_err(Fault::UnsafePlan)?;
        let size = usize::try_from(plan.chunk_fields).unwrap_or(usize::MAX);
        let chunks = words.chunks(size.max(1));
        Ok(Self(
            chunks.map(|words| packing::pack(bits, words)).collect(),
        ))
    }

    /// The packed chunks.
    #[must_use]
    pub fn chunks(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// H(S): over the attempt's transcript X and the packed sum, chunk by chunk.
    ///
    /// # Errors
    /// As of [`SumChunks::words`].
    pub(crate) fn digest(&self, plan: &RoundPlan, cohort: &Digest) -> Result<Digest, Fault> {
        self.check(plan)?;
        let digests: Vec<Digest> = self.0.iter().map(|chunk| chunk_digest(chunk)).collect();
        Ok(committed_sum(cohort, &digests))
    }

    /// The words modulo 2^bits.
    ///
    /// # Errors
    /// [`Fault::OtherSum`] when the sum has another length or width than the plan.
    pub fn words(&self, plan: &RoundPlan) -> Result<Vec<u64>, Fault> {
        self.check(plan)?;
        let mut words = Vec::with_capacity(usize::try_from(plan.vector.dimension).unwrap_or(0));
        self.for_each_chunk(plan, |_, chunk| words.extend_from_slice(chunk))?;
        Ok(words)
    }

    /// Unpacks one chunk at a time.
    pub(crate) fn for_each_chunk(
        &self,
        plan: &RoundPlan,
        mut take: impl FnMut(u64, &[u64]),
    ) -> Result<(), Fault> {
        let bits = plan.word_bits().map_err(Fault::UnsafePlan)?;
        let mut words = Vec::new();
        for (index, chunk) in (0..).zip(&self.0) {
            words.clear();
            packing::unpack_onto(bits, chunk, plan.fields_in_chunk(index), &mut words)
                .map_err(|_| Fault::OtherSum)?;
            take(index, &words);
        }
        Ok(())
    }

    fn check(&self, plan: &RoundPlan) -> Result<(), Fault> {
        let bits = plan.word_bits().map_err(Fault::UnsafePlan)?;
        let fits = |(index, chunk): (u64, &Vec<u8>)| {
            packing::check(bits, chunk, plan.fields_in_chunk(index)).is_ok()
        };
        let complete = u64::try_from(self.0.len()) == Ok(plan.chunk_count());
        if complete && (0..).zip(&self.0).all(fits) {
            Ok(())
        } else {
            Err(Fault::OtherSum)
        }
    }
}

impl From<Vec<Vec<u8>>> for SumChunks {
    fn from(chunks: Vec<Vec<u8>>) -> Self {
        Self(chunks)
    }
}

impl SumSink for SumChunks {
    fn take(&mut self, _: u64, packed: Vec<u8>) -> std::io::Result<()> {
        self.0.push(packed);
        Ok(())
    }
}
