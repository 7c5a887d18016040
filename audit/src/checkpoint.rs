// SPDX-License-Identifier: Apache-2.0
//! The head of the log at one size: [C2SP tlog-checkpoint](https://c2sp.org/tlog-checkpoint).

use std::{fmt, str::FromStr};

use consilium_crypto::digest::Digest;
use data_encoding::BASE64;

use crate::note::{NoteFault, NoteSignature, NoteSigner, NoteVerifier, SignedNote};

/// Origin, size and root. Not signed: see [`CheckpointNote`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The RFC 6962 root of those entries.
    pub root: Digest,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{}\n{}\n{}",
            self.origin,
            self.size,
            BASE64.encode(self.root.as_bytes())
        )
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointFault;

    fn from_str(text: &str) -> Result<Self, CheckpointFault> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) = (
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
        ) else {
            return Err(CheckpointFault::Malformed);
        };
        let size: u64 = size.parse().map_err(|_| CheckpointFault::Malformed)?;
        let root = BASE64
            .decode(root.as_bytes())
            .map_err(|_| CheckpointFault::Malformed)?;
        let root = <[u8; 32]>::try_from(root.as_slice()).map_err(|_| CheckpointFault::Malformed)?;
        let checkpoint = Self {
            origin: origin.to_owned(),
            size,
            root: Digest::from_bytes(root),
        };
        // One checkpoint, one spelling: no leading zeroes, no sign.
        if origin.is_empty() || checkpoint.to_string() != text {
            return Err(CheckpointFault::Malformed);
        }
        Ok(checkpoint)
    }
}

/// A checkpoint that its log signed; cosignatures may stand below, unverified until a
/// [`WitnessSet`](crate::witness::WitnessSet) counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointNote {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl CheckpointNote {
    /// Reads a note, and believes it only if the log's key signed it and its origin is that log's.
    pub fn open(note: &str, log: &NoteVerifier) -> Result<Self, CheckpointFault> {
        let note: SignedNote = note.parse()?;
        log.verify(&note)?;
        let checkpoint: Checkpoint = note.text().parse()?;
        if checkpoint.origin != log.origin() {
            return Err(CheckpointFault::OtherLog {
                origin: checkpoint.origin,
                expected: log.origin().to_owned(),
            });
        }
        Ok(Self { checkpoint, note })
    }

    /// The log's signature on its head.
    pub fn sign(size: u64, root: Digest, signer: &NoteSigner) -> Result<Self, CheckpointFault> {
        let checkpoint = Checkpoint {
            origin: signer.origin().to_owned(),
            size,
            root,
        };
        let mut note = SignedNote::unsigned(checkpoint.to_string())?;
        note.add(signer.sign(note.text()));
        Ok(Self { checkpoint, note })
    }

    /// Origin, size and root.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The root.
    pub fn root(&self) -> Digest {
        self.checkpoint.root
    }

    /// The signed note.
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// The same head with nothing but this line, to be judged by itself.
    pub(crate) fn with_only(&self, cosignature: NoteSignature) -> Self {
        Self {
            checkpoint: self.checkpoint.clone(),
            note: self.note.with_only(cosignature),
        }
    }

    /// Puts a cosignature under the log's signature.
    pub fn add(&mut self, cosignature: NoteSignature) {
        self.note.add(cosignature);
    }
}

impl fmt::Display for CheckpointNote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(formatter)
    }
}

/// Why a checkpoint is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// The text is not a checkpoint.
    #[error("not a checkpoint")]
    Malformed,
    /// The note is not to be believed.
    #[error("checkpoint is not a note signed by the log")]
    Note(#[from] NoteFault),
    /// A checkpoint of another log.
    #[error("checkpoint of log `{origin}`, expected `{expected}`")]
    OtherLog {
        /// The origin it names.
        origin: String,
        /// The origin expected.
        expected: String,
    },
}
