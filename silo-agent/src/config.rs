// SPDX-License-Identifier: Apache-2.0
//! `silo.toml`: who this silo is and which coordinator it reaches.

use std::fs;
use std::path::{Path, PathBuf};

use consilium_certs::Name;
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::VerifyingKey;
use serde::{Deserialize, Serialize};

use crate::durable_file::{self, FileFault};
use crate::ssh_signature::SshPublicKey;

/// The silo's configuration. `join` writes it; every key may be edited but the name and the coordinator's key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[silo]`
    pub silo: SiloSection,
    /// `[coordinator]`
    pub coordinator: CoordinatorSection,
    /// `[reconnect]`
    #[serde(default)]
    pub reconnect: ReconnectSection,
    /// `[[officers]]`: of whom two must sign before a privacy budget is raised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub officers: Vec<Officer>,
}

/// Somebody at this hospital who may sign for a larger privacy budget.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Officer {
    /// The name, as the ledger will show it.
    pub name: String,
    /// The public key, as it stands in `id_ed25519.pub`.
    pub key: SshPublicKey,
}

/// Who this silo is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiloSection {
    /// The name in the roster.
    pub name: Name,
}

/// Where the coordinator is, and who it must prove to be. All but the address is from the invitation.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoordinatorSection {
    /// Host and port.
    pub address: String,
    /// The host name in its certificate.
    pub server_name: String,
    /// Its name in the roster.
    pub name: Name,
    /// The key that signs its messages.
    pub key: VerifyingKey,
    /// SHA-256 of the public key of the authority that certifies it.
    pub ca_spki: Digest,
}

/// How patiently a lost connection is tried again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReconnectSection {
    /// The first pause.
    pub first_delay_milliseconds: u64,
    /// The longest pause.
    pub longest_delay_seconds: u64,
}

impl Default for ReconnectSection {
    fn default() -> ReconnectSection {
        ReconnectSection {
            first_delay_milliseconds: 200,
            longest_delay_seconds: 30,
        }
    }
}

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    /// There is none.
    #[error("`{}` is missing; join a federation first: `silo join INVITATION --dir {}`", path.display(), folder.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The silo's folder.
        folder: PathBuf,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileFault),
    /// It does not say what it should.
    #[error("`{}` is not a silo's configuration: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which line and key, and what is expected there.
        reason: String,
    },
}

impl Config {
    /// Reads `silo.toml` of a silo's folder.
    pub fn read(folder: &Path) -> Result<Config, ConfigFault> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => {
                return Err(ConfigFault::Missing {
                    path,
                    folder: folder.to_owned(),
                });
            }
            read => read.map_err(FileFault::io(&path, "read"))?,
        };
        toml::from_str(&text).map_err(|fault| ConfigFault::Malformed {
            path,
            reason: fault.to_string().trim().to_owned(),
        })
    }

    /// Writes `silo.toml` of a silo's folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), ConfigFault> {
        let path = folder.join(FILE);
        let text = toml::to_string_pretty(self).map_err(|fault| ConfigFault::Malformed {
            path: path.clone(),
            reason: fault.to_string(),
        })?;
        Ok(durable_file::write(&path, 0o644, text.as_bytes())?)
    }

    /// Whether a folder belongs to a silo that has joined.
    pub(crate) fn exists(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }
}

const FILE: &str = "silo.toml";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "
        [silo]
        name = \"3_UK\"
        [coordinator]
        address = \"coordinator.example:8443\"
        server_name = \"coordinator.example\"
        name = \"federation\"
        key = \"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"
        ca_spki = \"0000000000000000000000000000000000000000000000000000000000000000\"
    ";

    #[test]
    fn a_configuration_is_written_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let config: Config = toml::from_str(EXAMPLE).unwrap();
        config.write(folder.path()).unwrap();
        assert_eq!(Config::read(folder.path()).unwrap(), config);
        assert_eq!(config.reconnect, ReconnectSection::default());
    }

    #[test]
    fn officers_are_named_with_their_keys_and_written_back() {
        let folder = tempfile::tempdir().unwrap();
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJq0V/jh5DvDONjQOhvt4V+A8vF1i+QLwS7ejYG38HlU";
        let text = format!("{EXAMPLE}\n[[officers]]\nname = \"m.keller\"\nkey = \"{key} home\"\n");
        let config: Config = toml::from_str(&text).unwrap();
        config.write(folder.path()).unwrap();
        let read = Config::read(folder.path()).unwrap();
        assert_eq!(read.officers[0].name, "m.keller");
        assert_eq!(read.officers[0].key.to_string(), key);
        assert!(toml::from_str::<Config>(&text.replace("ssh-ed25519", "ssh-rsa")).is_err());
    }

    #[test]
    fn an_unknown_key_and_a_missing_file_are_refused_with_the_file_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Config::read(folder.path()).unwrap_err().to_string();
        assert!(
            missing.contains("silo.toml") && missing.contains("join"),
            "{missing}"
        );
        fs::write(folder.path().join(FILE), format!("{EXAMPLE}\nlisten = 1\n")).unwrap();
        let unknown = Config::read(folder.path()).unwrap_err().to_string();
        assert!(
            unknown.contains("listen") && unknown.contains("silo.toml"),
            "{unknown}"
        );
    }
}
