// SPDX-License-Identifier: Apache-2.0
//! `coordinator.toml`.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What the operator decides; every key but the first three has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The coordinator's name in the roster and in its certificate.
    pub name: String,
    /// The address to listen on; port 0 lets the system choose.
    pub listen: String,
    /// The host names and addresses under which silos reach it; the first one stands in invitations.
    pub hosts: Vec<String>,
    /// The port that stands in invitations, when it differs from the one listened on (a port is forwarded).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_port: Option<u16>,
    /// How long things may take.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// What is kept.
    #[serde(default)]
    pub keep: Keep,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deadlines {
    /// One exchange of messages that needs no computation.
    pub exchange_seconds: u64,
    /// Local training.
    pub training_seconds: u64,
    /// Upload of a masked vector.
    pub upload_seconds: u64,
    /// A session closed for this long counts as a drop.
    pub drop_seconds: u64,
    /// How long too few silos may be present in a round before it is given up.
    pub return_seconds: u64,
    /// Waiting for enough silos before a round is opened.
    pub gathering_seconds: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            exchange_seconds: 60,
            training_seconds: 3600,
            upload_seconds: 3600,
            drop_seconds: 5,
            return_seconds: 30,
            gathering_seconds: 600,
        }
    }
}

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Masked vectors; they are noise to the coordinator, and large.
    pub uploads_days: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { uploads_days: 7 }
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    /// It is not there or cannot be read.
    #[error(
        "`{path}` cannot be read; make the folder with `consilium coordinator init --dir {folder}`"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is no configuration.
    #[error("`{path}` is not a coordinator's configuration: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// It cannot be written.
    #[error("`{path}` cannot be written")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Config {
    /// A configuration with every default.
    #[must_use]
    pub fn new(name: &str, listen: &str, hosts: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            listen: listen.to_owned(),
            hosts,
            public_port: None,
            deadlines: Deadlines::default(),
            keep: Keep::default(),
        }
    }

    /// Reads the file of a coordinator's folder.
    pub fn read(folder: &Path) -> Result<Self, ConfigFault> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigFault::Unreadable {
            path: path.clone(),
            folder: folder.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|reason| ConfigFault::Malformed { path, reason })
    }

    /// Writes the file of a coordinator's folder.
    pub fn write(&self, folder: &Path) -> Result<(), ConfigFault> {
        let path = folder.join(FILE);
        let text = toml::to_string(self).map_err(|fault| ConfigFault::Malformed {
            path: path.clone(),
            reason: fault.to_string(),
        })?;
        std::fs::write(&path, text).map_err(|source| ConfigFault::Unwritable { path, source })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self =
            toml::from_str(text).map_err(|fault| fault.to_string().trim().to_owned())?;
        if config.hosts.is_empty() {
            return Err(
                "`hosts` is empty; name the hosts under which silos reach the coordinator"
                    .to_owned(),
            );
        }
        Ok(config)
    }
}

const FILE: &str = "coordinator.toml";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_written_configuration_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new("hub", "127.0.0.1:0", vec!["localhost".to_owned()]);
        config.write(folder.path()).unwrap();
        assert_eq!(Config::read(folder.path()).unwrap(), config);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let text = "name = \"hub\"\nlisten = \":0\"\nhosts = [\"a\"]\nlissen = 1\n";
        assert!(Config::parse(text).unwrap_err().contains("lissen"));
    }

    #[test]
    fn defaults_fill_in_what_is_left_out() {
        let text =
            "name = \"hub\"\nlisten = \":0\"\nhosts = [\"a\"]\n[deadlines]\ndrop_seconds = 2\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.deadlines.drop_seconds, 2);
        assert_eq!(
            config.deadlines.exchange_seconds,
            Deadlines::default().exchange_seconds
        );
    }
}
