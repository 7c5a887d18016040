// SPDX-License-Identifier: Apache-2.0
//! `policy.toml`: read anew for every decision. Without a readable policy everything is refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_policies::{InvalidPolicy, Policy};

/// A policy and the bytes it was read from.
#[derive(Debug)]
pub(crate) struct PolicyFile {
    pub(crate) policy: Policy,
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
}

/// Why a policy is not followed, so that everything is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileFault {
    /// There is none.
    #[error("`{}` is missing, so every study is refused; install one: `silo policy install FILE`", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is no policy.
    #[error("`{}` is no policy", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        #[source]
        source: InvalidPolicy,
    },
    /// It is another hospital's.
    #[error("`{}` is the policy of `{found}`, not of `{expected}`: correct `[policy] silo`", path.display())]
    OtherSilo {
        /// The file.
        path: PathBuf,
        /// Whose it says it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
}

impl PolicyFile {
    /// Reads a policy and checks whose it is.
    pub(crate) fn read(path: &Path, silo: &str) -> Result<PolicyFile, PolicyFileFault> {
        let bytes = fs::read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => PolicyFileFault::Missing(path.to_owned()),
            _ => PolicyFileFault::Unreadable {
                path: path.to_owned(),
                source,
            },
        })?;
        let policy = Policy::parse(&bytes).map_err(|source| PolicyFileFault::Invalid {
            path: path.to_owned(),
            source,
        })?;
        if policy.silo != silo {
            return Err(PolicyFileFault::OtherSilo {
                path: path.to_owned(),
                found: policy.silo,
                expected: silo.to_owned(),
            });
        }
        let digest = sha256(&bytes);
        Ok(PolicyFile {
            policy,
            bytes,
            digest,
        })
    }
}
