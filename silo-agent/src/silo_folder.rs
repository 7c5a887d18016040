// SPDX-License-Identifier: Apache-2.0
//! Where everything of a silo lies, and the keys and the roster that are read from there.
//!
//! ```text
//! silo.toml policy.toml identity/ roster/ journal.sqlite ledger.jsonl log/ data/<name>.toml attempts/ lock
//! ```

use std::path::{Path, PathBuf};

use consilium_certs::identity::seed_from_pem;
use consilium_certs::{
    IdentityFolder, IdentityFolderFault, KeyFault, Roster, RosterFolder, RosterFolderFault,
    SecretFileFault, secret_file,
};
use consilium_crypto::signing::SigningKey;
use consilium_protocol::{Membership, SiloName, SiloNameFault};

/// The folder of one silo.
#[derive(Clone, Debug)]
pub struct SiloFolder {
    path: PathBuf,
}

/// A key that is needed as a value of its own.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyFault {
    /// The file.
    #[error(transparent)]
    File(#[from] SecretFileFault),
    /// What stands in it.
    #[error("`{}` is no signing key", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: KeyFault,
    },
}

impl SiloFolder {
    /// The folder at this path, whether it is there or not.
    pub fn at(path: &Path) -> SiloFolder {
        SiloFolder {
            path: path.to_owned(),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The policy.
    pub fn policy(&self) -> PathBuf {
        self.path.join("policy.toml")
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.sqlite")
    }

    /// The privacy ledger.
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.jsonl")
    }

    /// The hospital's own log.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// What running attempts keep outside backups.
    pub fn attempts(&self) -> PathBuf {
        self.path.join("attempts")
    }

    /// Keys and certificate.
    pub fn identity(&self) -> PathBuf {
        self.path.join("identity")
    }

    /// Reads the keys.
    pub fn open_identity(&self) -> Result<IdentityFolder, IdentityFolderFault> {
        IdentityFolder::open(&self.identity())
    }

    /// Reads and verifies the pinned rosters.
    pub fn open_roster(&self) -> Result<RosterFolder, RosterFolderFault> {
        RosterFolder::open(&self.path.join("roster"))
    }

    /// The identity key, for a part of the agent that must own it.
    pub(crate) fn identity_key(&self) -> Result<SigningKey, SigningKeyFault> {
        self.key("identity.key")
    }

    /// The witness key, for a part of the agent that must own it.
    pub(crate) fn witness_key(&self) -> Result<SigningKey, SigningKeyFault> {
        self.key("witness.key")
    }

    fn key(&self, file: &str) -> Result<SigningKey, SigningKeyFault> {
        let path = self.identity().join(file);
        let text = secret_file::read(&path)?;
        let seed = seed_from_pem(&text).map_err(|source| SigningKeyFault::Key { path, source })?;
        Ok(SigningKey::from_seed(&seed))
    }
}

/// The roster as the protocol sees it.
pub fn membership(roster: &Roster) -> Result<Membership, SiloNameFault> {
    let silos = roster
        .members()
        .iter()
        .map(|member| Ok((SiloName::parse(member.name.as_str())?, member.identity)))
        .collect::<Result<_, SiloNameFault>>()?;
    Ok(Membership {
        epoch: roster.version(),
        roster_root: roster.root(),
        coordinator: roster.coordinator().key,
        silos,
        colluders: roster.colluders(),
    })
}
