// SPDX-License-Identifier: Apache-2.0
//! The federation's log as far as the protocol sees it: entries that stay, and proofs that name one.
//!
//! That a quorum cosigned the log, and what a liar could do about it, is the business of `audit`; here every entry
//! that is written counts as cosigned.

use consilium_crypto::digest::Digest;
use consilium_protocol::{AttemptId, LogVerifier, RecordKind, SiloName};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A silo's process has started.
    Started { silo: SiloName, nonce: Digest },
    /// What the coordinator's machine asked to be recorded.
    Record {
        id: AttemptId,
        kind: RecordKind,
        digest: Digest,
        silos: Vec<SiloName>,
    },
    /// H(S), before S is known to anybody else.
    SumCommitted { id: AttemptId, digest: Digest },
    /// A threshold of silos has verified a released sum.
    Accepted { id: AttemptId, digest: Digest },
}

#[derive(Debug, Default)]
pub(crate) struct SharedLog {
    entries: Vec<Entry>,
}

/// The log as one silo reads it.
pub(crate) struct Reader<'a> {
    pub(crate) log: &'a SharedLog,
    pub(crate) silo: &'a SiloName,
    /// The newest release that this silo verified: its attempt and H(S).
    pub(crate) newest: Option<(AttemptId, Digest)>,
}

impl SharedLog {
    /// Writes an entry, unless the attempt has it already; says where it stands.
    pub(crate) fn append(&mut self, entry: Entry) -> u64 {
        let known = self.entries.iter().rposition(|written| *written == entry);
        let at = known.unwrap_or(self.entries.len());
        if known.is_none() {
            self.entries.push(entry);
        }
        u64::try_from(at).unwrap_or(u64::MAX)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The first `length` entries, the newest first.
    pub(crate) fn newest_first(&self, length: usize) -> impl Iterator<Item = &Entry> {
        self.entries.iter().take(length).rev()
    }

    pub(crate) fn proven(&self, proof: &[u8]) -> Option<&Entry> {
        let at = u64::from_le_bytes(proof.try_into().ok()?);
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// The attempt of the release that a proof is about.
    pub(crate) fn released(&self, proof: &[u8]) -> Option<AttemptId> {
        match self.proven(proof)? {
            Entry::Record {
                id,
                kind: RecordKind::Released,
                ..
            } => Some(*id),
            Entry::Record { .. }
            | Entry::Started { .. }
            | Entry::SumCommitted { .. }
            | Entry::Accepted { .. } => None,
        }
    }
}

/// The proof of the entry at a place.
pub(crate) fn proof(at: u64) -> Vec<u8> {
    at.to_le_bytes().to_vec()
}

impl LogVerifier for Reader<'_> {
    fn start_is_logged(&self, nonce: &Digest, proof: &[u8]) -> bool {
        matches!(
            self.log.proven(proof),
            Some(Entry::Started { silo, nonce: logged }) if silo == self.silo && logged == nonce
        )
    }

    fn sum_is_logged(&self, id: AttemptId, sum: &Digest, proof: &[u8]) -> bool {
        let commitment = Entry::SumCommitted { id, digest: *sum };
        self.log.proven(proof) == Some(&commitment)
    }

    fn release_is_logged(&self, proof: Option<&[u8]>) -> bool {
        match (self.newest, proof) {
            (None, None | Some(_)) => true,
            (Some(_), None) => false,
            (Some((attempt, sum)), Some(proof)) => matches!(
                self.log.proven(proof),
                Some(Entry::Record { id, kind: RecordKind::Released, digest, .. })
                    if *id == attempt && *digest == sum
            ),
        }
    }
}
