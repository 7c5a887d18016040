// SPDX-License-Identifier: Apache-2.0
//! Where survivors fetch what it takes to compute a committed sum again: the uploads as they were signed, and the sum.
//!
//! SECURITY: the desk is open only while the attempt's survivors compute again, and to them alone. What it hands out is
//! masked, and a survivor checks every byte against a root that was signed or committed to before.

use crate::silo_service::chunk_length;
use crate::spool::{Spool, SpoolFault};
use consilium_crypto::digest::Digest;
use consilium_protocol::{ChunkSource, RoundPlan, SiloName, chunk_digest};
use consilium_wire::v1;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

/// The desk. One attempt is in flight at a time.
#[derive(Debug, Default)]
pub(crate) struct ReplayDesk(RwLock<Option<Arc<ReplayOffer>>>);

/// What is handed out, and to whom.
#[derive(Debug)]
pub(crate) struct ReplayOffer {
    pub(crate) plan: RoundPlan,
    /// In order.
    pub(crate) survivors: Vec<SiloName>,
    /// The packed sum among the blobs.
    pub(crate) sum: Digest,
}

/// Why a part is not handed out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayRefusal {
    #[error("no sum of this attempt is computed again now")]
    Closed,
    #[error("only survivors compute a sum again")]
    NotASurvivor,
    #[error("the sum holds no such upload")]
    NoUpload,
    #[error("there is no chunk {0}")]
    NoChunk(u64),
    #[error("the part cannot be read at the coordinator")]
    Upload(#[source] io::Error),
    #[error("the sum cannot be read at the coordinator")]
    Sum(#[source] SpoolFault),
}

impl ReplayDesk {
    /// Opens the desk for an attempt, or closes it.
    pub(crate) fn set(&self, offer: Option<ReplayOffer>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = offer.map(Arc::new);
    }

    /// Reads the part that `from` asks for.
    pub(crate) fn answer(
        &self,
        spool: &Arc<Spool>,
        from: &SiloName,
        asked: &v1::ReplayRequest,
    ) -> Result<Vec<u8>, ReplayRefusal> {
        let offer = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let offer = offer
            .filter(|offer| offer.plan.id == asked.id())
            .ok_or(ReplayRefusal::Closed)?;
        if offer.survivors.binary_search(from).is_err() {
            return Err(ReplayRefusal::NotASurvivor);
        }
        let index = asked.index;
        if let Some(index) = index.filter(|index| *index >= offer.plan.chunk_count()) {
            return Err(ReplayRefusal::NoChunk(index));
        }
        if asked.silo.is_empty() {
            let part = match index {
                Some(index) => offer.sum_chunk(spool, index),
                None => offer.sum_digests(spool),
            };
            return part.map_err(ReplayRefusal::Sum);
        }
        let survivors = offer.survivors.iter();
        let silo = survivors
            .into_iter()
            .find(|silo| silo.as_str() == asked.silo)
            .ok_or(ReplayRefusal::NoUpload)?;
        let uploads = spool.chunks_of(offer.plan.id);
        let part = match index {
            Some(index) => uploads.chunk(silo, index),
            None => uploads.digests(silo),
        };
        part.map_err(ReplayRefusal::Upload)
    }
}

impl ReplayOffer {
    fn sum_chunk(&self, spool: &Spool, index: u64) -> Result<Vec<u8>, SpoolFault> {
        let whole = u64::try_from(chunk_length(&self.plan, 0)).unwrap_or(u64::MAX);
        let offset = index.saturating_mul(whole);
        spool.piece(&self.sum, offset, chunk_length(&self.plan, index))
    }

    /// COST: reads the whole sum, one chunk at a time, once for every survivor that computes again.
    fn sum_digests(&self, spool: &Spool) -> Result<Vec<u8>, SpoolFault> {
        let mut digests = Vec::new();
        let mut sum = spool.reader(&self.sum)?;
        for index in 0..self.plan.chunk_count() {
            let chunk = sum.next(chunk_length(&self.plan, index))?;
            digests.extend(chunk_digest(&chunk.unwrap_or_default()).as_bytes());
        }
        Ok(digests)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
