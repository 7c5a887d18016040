// SPDX-License-Identifier: Apache-2.0
//! One entry with everything needed to believe it: [C2SP tlog-proof](https://c2sp.org/tlog-proof), the entry itself
//! carried as its `extra` line.

use std::{fmt, str::FromStr};

use consilium_crypto::{digest::Digest, merkle};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::{CheckpointFault, CheckpointNote},
    entry::{Entry, EntryFault},
    note::NoteVerifier,
    witness::{QuorumFault, WitnessSet},
};

/// An entry, its path, and the cosigned checkpoint it is under. Believe it only after [`LogProof::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogProof {
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The entry's place.
    pub index: u64,
    /// The checkpoint's size.
    pub size: u64,
    /// The hashes from the entry up to the root.
    pub path: Vec<Digest>,
    /// The checkpoint with its cosignatures.
    pub checkpoint: String,
}

impl LogProof {
    /// Checks all of it: the log's signature, a quorum of cosignatures (that of `must_include` among them, when a silo
    /// demands its own), the path, and that the entry says it stands where it stands.
    pub fn verify(
        &self,
        log: &NoteVerifier,
        witnesses: &WitnessSet,
        must_include: Option<&str>,
    ) -> Result<Entry, ProofFault> {
        let checkpoint = CheckpointNote::open(&self.checkpoint, log)?;
        let cosigned = witnesses.require_quorum(&checkpoint)?;
        if let Some(name) = must_include
            && !cosigned.contains(name)
        {
            return Err(ProofFault::NotCosignedBy {
                name: name.to_owned(),
            });
        }
        let leaf = merkle::leaf_hash(&self.entry);
        let included = self.size == checkpoint.size()
            && merkle::verify_inclusion(
                &leaf,
                self.index,
                self.size,
                &self.path,
                &checkpoint.root(),
            );
        if !included {
            return Err(ProofFault::NotIncluded {
                index: self.index,
                size: checkpoint.size(),
            });
        }
        let entry = Entry::from_bytes(&self.entry)?;
        if entry.sequence != self.index {
            return Err(ProofFault::OtherPlace {
                index: self.index,
                sequence: entry.sequence,
            });
        }
        Ok(entry)
    }

    /// The proof as a C2SP tlog-proof.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Reads what [`LogProof::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofFault> {
        std::str::from_utf8(bytes)
            .map_err(|_| ProofFault::Malformed)?
            .parse()
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{HEADER}\nextra {}\nindex {}",
            BASE64.encode(&self.entry),
            self.index
        )?;
        for hash in &self.path {
            writeln!(formatter, "{}", BASE64.encode(hash.as_bytes()))?;
        }
        write!(formatter, "\n{}", self.checkpoint)
    }
}

impl FromStr for LogProof {
    type Err = ProofFault;

    fn from_str(text: &str) -> Result<Self, ProofFault> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofFault::Malformed)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(ProofFault::Malformed);
        }
        let mut field = |name: &str| {
            lines
                .next()
                .and_then(|line| line.strip_prefix(name))
                .ok_or(ProofFault::Malformed)
        };
        let entry = BASE64
            .decode(field("extra ")?.as_bytes())
            .map_err(|_| ProofFault::Malformed)?;
        let index = field("index ")?
            .parse()
            .map_err(|_| ProofFault::Malformed)?;
        let hash = |line: &str| {
            let bytes = BASE64.decode(line.as_bytes()).ok()?;
            <[u8; 32]>::try_from(bytes.as_slice())
                .ok()
                .map(Digest::from_bytes)
        };
        let path: Vec<Digest> = lines
            .map(hash)
            .collect::<Option<_>>()
            .ok_or(ProofFault::Malformed)?;
        let size = checkpoint
            .split('\n')
            .nth(1)
            .and_then(|size| size.parse().ok())
            .ok_or(ProofFault::Malformed)?;
        let proof = Self {
            entry,
            index,
            size,
            path,
            checkpoint: checkpoint.to_owned(),
        };
        // One proof, one spelling: no sign before a number, no padding in the midst of a hash.
        if proof.to_string() != text {
            return Err(ProofFault::Malformed);
        }
        Ok(proof)
    }
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// Not a proof at all.
    #[error("not a log proof")]
    Malformed,
    /// The checkpoint is not the log's.
    #[error("the proof's checkpoint is not to be believed")]
    Checkpoint(#[from] CheckpointFault),
    /// Too few witnesses.
    #[error("the proof's checkpoint has no quorum")]
    Quorum(#[from] QuorumFault),
    /// The silo's own cosignature is missing.
    #[error("the proof's checkpoint is not cosigned by `{name}`")]
    NotCosignedBy {
        /// The silo's name.
        name: String,
    },
    /// The path does not lead to the root.
    #[error("the entry is not at place `{index}` of the log of `{size}` entries")]
    NotIncluded {
        /// The place claimed.
        index: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// The bytes are no entry.
    #[error("the proven bytes are not an entry")]
    Entry(#[from] EntryFault),
    /// The entry claims another place.
    #[error("the entry at place `{index}` says it is at `{sequence}`")]
    OtherPlace {
        /// Where it is.
        index: u64,
        /// Where it says it is.
        sequence: u64,
    },
}

const HEADER: &str = "c2sp.org/tlog-proof@v1";
