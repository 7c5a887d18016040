// SPDX-License-Identifier: Apache-2.0
//! Why a log does not do what it was asked.

use std::path::PathBuf;

use crate::{
    checkpoint::CheckpointFault, entry::EntryFault, note::NoteFault, trust::TrustPolicyFault,
};

/// Why the log does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// A log is there already.
    #[error("`{}` holds a log already: open it, or choose another folder", directory.display())]
    AlreadyThere {
        /// The folder.
        directory: PathBuf,
    },
    /// No log is there.
    #[error("`{}` holds no log: create one first", directory.display())]
    NoLog {
        /// The folder.
        directory: PathBuf,
    },
    /// Another process has it open.
    #[error("`{}` is in use by another process: stop that first", path.display())]
    InUse {
        /// The locked file.
        path: PathBuf,
    },
    /// The log belongs to another key or origin.
    #[error("the log in `{}` was made with another key or origin", directory.display())]
    OtherKey {
        /// The folder.
        directory: PathBuf,
    },
    /// What was signed or acknowledged is not there any more.
    #[error("the log is damaged and will not start: {what}; restore it from a copy")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// The file system said no.
    #[error("cannot read or write `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// Something failed before; memory and disk may differ.
    #[error("the log failed before and accepts nothing more: start the service again")]
    Failed,
    /// The event cannot be logged, or a stored line is no entry.
    #[error("not a log entry")]
    Entry(#[from] EntryFault),
    /// A checkpoint that cannot be made or believed.
    #[error("checkpoint is not to be believed")]
    Checkpoint(#[from] CheckpointFault),
    /// A signature that is wrong.
    #[error("a signature on a checkpoint is wrong")]
    Note(#[from] NoteFault),
    /// A trust policy that makes no sense.
    #[error("`trust.policy` cannot be read")]
    TrustPolicy(#[from] TrustPolicyFault),
    /// More in one batch than one frame holds.
    #[error("a batch of {bytes} bytes is too large: append it in parts")]
    BatchTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// No signed head of that size.
    #[error("the log never signed a checkpoint of `{size}` entries")]
    NoCheckpoint {
        /// The size.
        size: u64,
    },
    /// A place or size the log does not have.
    #[error("entry `{place}` is not in the log of `{size}` entries")]
    OutOfRange {
        /// The place.
        place: u64,
        /// The size.
        size: u64,
    },
    /// Not under a head with a quorum yet.
    #[error("entry `{index}` is not under a cosigned checkpoint yet")]
    NotCosigned {
        /// The entry's place.
        index: u64,
    },
}
