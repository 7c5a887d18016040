// SPDX-License-Identifier: Apache-2.0
//! The coordinator's folder.
//!
//! ```text
//! coordinator.toml   what the operator decides        roster/       published rosters
//! identity/          keys, certificate, authority     state.sqlite  what must not be forgotten
//! log/               the shared audit log             blobs/        what is too large for the database
//! ready.json         where a running coordinator listens            lock  held by it
//! ```

use consilium_audit::{LogFault, NoteSigner};
use consilium_certs::identity::seed_from_pem;
use consilium_certs::{
    IdentityFolder, IdentityFolderFault, KeyFault, SecretFileFault, secret_file,
};
use consilium_crypto::random::{NoSystemRandomness, RoundRandom};
use consilium_crypto::signing::SigningKey;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Paths inside a coordinator's folder.
#[derive(Clone, Debug)]
pub struct CoordinatorFolder(PathBuf);

/// What `ready.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The address that the coordinator listens on.
    pub address: String,
    /// Its process.
    pub process: u32,
}

/// Why a key of the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderFault {
    /// A secret file.
    #[error(transparent)]
    Secret(#[from] SecretFileFault),
    /// The identity folder.
    #[error(transparent)]
    Identity(#[from] IdentityFolderFault),
    /// A key inside a file.
    #[error("the key in `{path}` cannot be used")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeyFault,
    },
    /// The log's key or origin.
    #[error("the log's key cannot be used")]
    Log(#[from] LogFault),
    /// A file.
    #[error("`{path}` cannot be written")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system's random source.
    #[error(transparent)]
    Randomness(#[from] NoSystemRandomness),
}

impl CoordinatorFolder {
    /// Names a folder; touches nothing.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Keys and certificates.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity")
    }

    /// Published rosters.
    #[must_use]
    pub fn roster(&self) -> PathBuf {
        self.0.join("roster")
    }

    /// The database.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.0.join("state.sqlite")
    }

    /// The blobs.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// The shared audit log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Where a running coordinator says that it is ready.
    #[must_use]
    pub fn ready(&self) -> PathBuf {
        self.0.join("ready.json")
    }

    /// What a running coordinator says, if one has said so.
    #[must_use]
    pub fn read_ready(&self) -> Option<Ready> {
        serde_json::from_slice(&std::fs::read(self.ready()).ok()?).ok()
    }

    /// Says that the coordinator is ready. Written beside and renamed, so that nobody reads a half.
    pub fn write_ready(&self, ready: &Ready) -> Result<(), FolderFault> {
        let path = self.ready();
        let temporary = self.0.join(".ready.json");
        let text = serde_json::to_vec(ready).unwrap_or_default();
        std::fs::write(&temporary, text)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .map_err(|source| FolderFault::Unwritable { path, source })
    }

    /// The key that signs the coordinator's messages.
    pub fn signing_key(&self) -> Result<SigningKey, FolderFault> {
        self.key("identity.key")
    }

    /// The key that signs the log's checkpoints.
    pub fn log_signer(&self, origin: &str) -> Result<NoteSigner, FolderFault> {
        NoteSigner::new(origin, self.key("log.key")?)
            .map_err(|fault| FolderFault::Log(LogFault::from(fault)))
    }

    /// The identity with its certificate.
    pub fn open_identity(&self) -> Result<IdentityFolder, FolderFault> {
        Ok(IdentityFolder::open(&self.identity())?)
    }

    fn key(&self, file: &str) -> Result<SigningKey, FolderFault> {
        let path = self.identity().join(file);
        let text = secret_file::read(&path)?;
        let seed = seed_from_pem(&text).map_err(|source| FolderFault::Key { path, source })?;
        Ok(SigningKey::from_seed(&seed))
    }
}

/// The origin line of a coordinator's log.
#[must_use]
pub fn log_origin(name: &str) -> String {
    format!("{name}/log")
}

/// Randomness seeded by the system.
pub fn system_random() -> Result<RoundRandom, FolderFault> {
    Ok(RoundRandom::from_operating_system()?)
}
