// SPDX-License-Identifier: Apache-2.0
//! What the coordinator has on its disk: one state that is replaced as a whole, and the spool of uploads.

use super::super::shared_log::Entry;
use consilium_crypto::digest::Digest;
use consilium_protocol::{
    AttemptId, ChunkSource, Delivery, Envelope, ReplaySource, RevealSource, SiloName, chunk_digest,
};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// The last attempt that was opened.
    pub(crate) last: Option<AttemptId>,
    /// The last round that was released.
    pub(crate) round: u64,
    pub(crate) model: Digest,
    pub(crate) releases: Vec<StoredRelease>,
    /// The last sum that each silo said it verified.
    pub(crate) verified: BTreeMap<SiloName, (AttemptId, Digest)>,
    /// The last release that a threshold had verified and the log says so of.
    pub(crate) accepted: Option<AttemptId>,
    pub(crate) attempt: Option<StoredAttempt>,
}

/// An attempt in flight: the machine and what was not done yet.
#[derive(Clone, Debug)]
pub(crate) struct StoredAttempt {
    pub(crate) snapshot: Vec<u8>,
    pub(crate) pending: Pending,
}

/// What a snapshot asks for and what may not have been done before a restart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    /// Entries of the log, written before anything is sent.
    pub(crate) records: Vec<Entry>,
    pub(crate) sum: Option<Vec<u64>>,
    /// Where the log holds the release.
    pub(crate) release: Option<u64>,
    pub(crate) conclusion: Option<Conclusion>,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(crate) enum Conclusion {
    Released {
        survivors: Vec<SiloName>,
    },
    Abandoned {
        reason: String,
        phase: &'static str,
        charged: bool,
    },
}

/// A release, for silos that missed it.
#[derive(Clone, Debug)]
pub(crate) struct StoredRelease {
    pub(crate) id: AttemptId,
    pub(crate) delivery: Delivery,
    pub(crate) sum: Vec<u64>,
    /// H(S).
    pub(crate) digest: Digest,
    /// Where the log holds it.
    pub(crate) place: u64,
}

/// Uploaded chunks, by attempt, silo and place.
pub(crate) type Chunks = BTreeMap<(AttemptId, SiloName, u64), Vec<u8>>;

/// What silos revealed in the attempt in flight.
#[derive(Debug, Default)]
pub(crate) struct Reveals(pub(crate) BTreeMap<SiloName, Envelope>);

impl RevealSource for Reveals {
    fn reveal(&self, silo: &SiloName) -> std::io::Result<Envelope> {
        let kept = self.0.get(silo).cloned();
        kept.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// The chunks of one attempt.
pub(crate) struct Spool<'a> {
    pub(crate) chunks: &'a Chunks,
    pub(crate) id: AttemptId,
}

impl ChunkSource for Spool<'_> {
    fn chunk(&self, silo: &SiloName, index: u64) -> std::io::Result<Vec<u8>> {
        self.chunks
            .get(&(self.id, silo.clone(), index))
            .cloned()
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// What is served to a silo that computes the sum again: vectors here have one chunk.
pub(crate) struct Served<'a> {
    pub(crate) uploads: Spool<'a>,
    /// Packed.
    pub(crate) sum: Vec<u8>,
}

impl ChunkSource for Served<'_> {
    fn chunk(&self, silo: &SiloName, index: u64) -> std::io::Result<Vec<u8>> {
        self.uploads.chunk(silo, index)
    }
}

impl ReplaySource for Served<'_> {
    fn chunk_digests(&self, silo: &SiloName) -> std::io::Result<Vec<Digest>> {
        Ok(vec![chunk_digest(&self.chunk(silo, 0)?)])
    }

    fn sum_chunk(&self, _: u64) -> std::io::Result<Vec<u8>> {
        Ok(self.sum.clone())
    }

    fn sum_digests(&self) -> std::io::Result<Vec<Digest>> {
        Ok(vec![chunk_digest(&self.sum)])
    }
}

impl Store {
    pub(crate) fn new(model: Digest) -> Self {
        Self {
            last: None,
            round: 0,
            model,
            releases: Vec::new(),
            verified: BTreeMap::new(),
            accepted: None,
            attempt: None,
        }
    }

    /// The round of the last sum that a silo said it verified.
    pub(crate) fn verified_round(&self, silo: &SiloName) -> u64 {
        self.verified.get(silo).map_or(0, |(id, _)| id.round)
    }

    /// How many silos have said that they verified a sum.
    pub(crate) fn verifiers(&self, release: &StoredRelease) -> usize {
        let said = self.verified.values();
        said.filter(|said| **said == (release.id, release.digest))
            .count()
    }

    /// The number of the next attempt.
    pub(crate) fn next(&self, epoch: u64) -> AttemptId {
        let round = self.round + 1;
        let attempt = match self.last {
            Some(last) if last.round == round => last.attempt + 1,
            Some(_) | None => 1,
        };
        AttemptId {
            epoch,
            round,
            attempt,
        }
    }
}
