// SPDX-License-Identifier: Apache-2.0
//! The sum among the blobs, as it travels: packed chunk by chunk. One chunk is in memory at a time.

use crate::silo_service::chunk_length;
use crate::spool::{BlobWriter, Spool};
use crate::study_run::RunFault;
use consilium_crypto::digest::Digest;
use consilium_crypto::packing;
use consilium_protocol::{RoundPlan, SumSink};
use std::io;

/// A sum that is being recovered.
pub(super) struct StoredSum<'spool> {
    blob: BlobWriter<'spool>,
}

impl<'spool> StoredSum<'spool> {
    pub(super) fn begin(spool: &'spool Spool) -> Result<Self, RunFault> {
        Ok(Self {
            blob: spool.writer()?,
        })
    }

    pub(super) fn finish(self) -> Result<Digest, RunFault> {
        Ok(self.blob.finish()?)
    }
}

impl SumSink for StoredSum<'_> {
    fn take(&mut self, _: u64, packed: Vec<u8>) -> io::Result<()> {
        self.blob.write(&packed).map_err(io::Error::other)
    }
}

/// Reads a stored sum, chunk by chunk.
pub(super) fn for_each_chunk(
    spool: &Spool,
    plan: &RoundPlan,
    blob: &Digest,
    mut take: impl FnMut(u64, &[u64]),
) -> Result<(), RunFault> {
    let word_bits = plan.word_bits()?;
    let mut blob = spool.reader(blob)?;
    for index in 0..plan.chunk_count() {
        let chunk = blob.next(chunk_length(plan, index))?.unwrap_or_default();
        let words = packing::unpack(word_bits, &chunk, plan.fields_in_chunk(index))
            .map_err(|_| RunFault::Incomplete("the stored sum does not fit its plan"))?;
        take(index, &words);
    }
    Ok(())
}
