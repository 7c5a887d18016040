// SPDX-License-Identifier: Apache-2.0
//! Why an agent stops working: what it cannot read or write, it cannot answer for.

use std::path::PathBuf;

use consilium_audit::log::LogFault;
use consilium_audit::note::NoteFault;
use consilium_certs::IdentityFolderFault;
use consilium_protocol::{RestoreFault, SiloNameFault};

use crate::attempt_files::Reached;
use crate::durable_file::FileFault;
use crate::journal::JournalFault;
use crate::ledger::LedgerFault;
use crate::shared_log::SharedLogFault;
use crate::silo_folder::{SigningKeyFault, SiloFolder};

/// Why the agent cannot work.
#[derive(Debug, thiserror::Error)]
pub enum AgentFault {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The privacy ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerFault),
    /// The hospital's own log.
    #[error("the hospital's own log cannot be used")]
    Log(#[from] LogFault),
    /// A file of the folder.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The journal's state of the protocol.
    #[error(transparent)]
    Restore(#[from] RestoreFault),
    /// The keys.
    #[error(transparent)]
    Identity(#[from] IdentityFolderFault),
    /// A key.
    #[error(transparent)]
    Key(#[from] SigningKeyFault),
    /// The roster's log or witness keys.
    #[error(transparent)]
    SharedLog(#[from] SharedLogFault),
    /// The witness.
    #[error("this silo's name cannot sign as a witness")]
    Witness(#[from] NoteFault),
    /// A name of the roster.
    #[error(transparent)]
    Name(#[from] SiloNameFault),
    /// The roster does not hold this silo with these keys.
    #[error(
        "the pinned roster does not hold `{0}` with the keys in `identity/`; sign a roster that does"
    )]
    NotAMember(String),
    /// The journal is older than what this silo has said: a copy of it was put back.
    #[error(
        "the journal in `{}` is an old copy: it ends at {journal}, and this silo has gone to {known}; put back the newest journal and ledger, or see \"After a loss\" in docs/operating.md", folder.display()
    )]
    OldJournal {
        /// The silo's folder.
        folder: PathBuf,
        /// How far the journal goes.
        journal: String,
        /// How far it went.
        known: String,
    },
    /// The trainer.
    #[error("the trainer process cannot be used: {0}")]
    Trainer(String),
}

impl AgentFault {
    pub(super) fn old_journal(folder: &SiloFolder, journal: Reached, known: Reached) -> Self {
        Self::OldJournal {
            folder: folder.path().to_owned(),
            journal: journal.to_string(),
            known: known.to_string(),
        }
    }
}
