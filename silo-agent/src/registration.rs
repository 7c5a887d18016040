// SPDX-License-Identifier: Apache-2.0
//! Data sets: what the hospital registered under which name, in `data/<name>.toml`.
//!
//! The rows are counted once, here. No later decision depends on the count that a study happens to leave: a refusal
//! for that reason would tell something about the patients.

use std::fs;
use std::path::{Path, PathBuf};

use consilium_crypto::digest::Digest;
use consilium_policies::Policy;
use serde::{Deserialize, Serialize};

use crate::durable_file::{self, FileFault};
use crate::trainer::{Trainer, TrainerFault};

/// One registered data set.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// The name under which studies ask for it.
    pub name: String,
    /// The CSV file.
    pub path: PathBuf,
    /// SHA-256 of the file when it was registered.
    pub sha256: Digest,
    /// Rows below the heading when it was registered.
    pub rows: u64,
    /// The heading.
    pub columns: Vec<String>,
    /// When, in UTC.
    pub registered: String,
}

/// Why a data set is not registered or not found.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationFault {
    /// A name that is no file name.
    #[error(
        "`{0}` is no name for a data set: use 1 to 63 letters, digits, dots, hyphens or underscores"
    )]
    Name(String),
    /// The CSV file.
    #[error("`{}` cannot be registered: {reason}", path.display())]
    Data {
        /// The CSV file.
        path: PathBuf,
        /// Which line and column, and what is wrong; never a value.
        reason: String,
    },
    /// The policy asks for more patients.
    #[error("`{}` has fewer rows than the policy's `min_patients` = {needed}; it is not registered", path.display())]
    TooSmall {
        /// The CSV file.
        path: PathBuf,
        /// The policy's number.
        needed: u64,
    },
    /// Nothing of that name is registered.
    #[error("no data set `{0}` is registered; register it: `silo data register {0} --file CSV`")]
    Unknown(String),
    /// A description that cannot be read.
    #[error("`{}` does not describe a data set: {reason}; register it again", path.display())]
    Malformed {
        /// The description.
        path: PathBuf,
        /// Which line and key.
        reason: String,
    },
    /// A file of the folder.
    #[error(transparent)]
    File(#[from] FileFault),
}

/// The folder `data/` of one silo.
#[derive(Clone, Debug)]
pub struct DataSets {
    folder: PathBuf,
}

impl DataSets {
    /// The data sets of a silo's folder.
    pub fn of(silo: &Path) -> DataSets {
        DataSets {
            folder: silo.join("data"),
        }
    }

    /// Reads the file once, behind the trainer's walls, and writes its description.
    pub(crate) fn register(
        &self,
        name: &str,
        file: &Path,
        policy: &Policy,
        trainer: &Trainer,
        now: &str,
    ) -> Result<DataSet, RegistrationFault> {
        let description = self.description_path(name)?;
        let path = fs::canonicalize(file).map_err(FileFault::io(file, "found"))?;
        let refused = |reason: String| RegistrationFault::Data {
            path: path.clone(),
            reason,
        };
        let text = path
            .to_str()
            .ok_or_else(|| refused("its path is not UTF-8".to_owned()))?;
        let found = trainer
            .describe(text)
            .map_err(|fault| refused(trainer_reason(&fault)))?;
        let needed = policy.floor.min_patients;
        if found.rows < needed {
            return Err(RegistrationFault::TooSmall { path, needed });
        }
        let data_set = DataSet {
            name: name.to_owned(),
            path: path.clone(),
            sha256: Digest::from_bytes(found.sha256),
            rows: found.rows,
            columns: found.columns,
            registered: now.to_owned(),
        };
        let text = toml::to_string_pretty(&data_set).map_err(|fault| refused(fault.to_string()))?;
        durable_file::private_folder(&self.folder)?;
        durable_file::write(&description, 0o600, text.as_bytes())?;
        Ok(data_set)
    }

    /// One data set.
    pub fn find(&self, name: &str) -> Result<DataSet, RegistrationFault> {
        let path = self.description_path(name)?;
        if !path.exists() {
            return Err(RegistrationFault::Unknown(name.to_owned()));
        }
        let data_set = read(&path)?;
        if data_set.name != name {
            let reason = format!("it is named `{}`", data_set.name);
            return Err(RegistrationFault::Malformed { path, reason });
        }
        Ok(data_set)
    }

    /// All data sets, by name.
    pub fn list(&self) -> Result<Vec<DataSet>, RegistrationFault> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let listed = FileFault::io(&self.folder, "listed");
        let mut paths = fs::read_dir(&self.folder)
            .and_then(|entries| {
                entries
                    .map(|entry| entry.map(|entry| entry.path()))
                    .collect::<Result<Vec<_>, _>>()
            })
            .map_err(listed)?;
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        });
        paths.sort();
        paths.iter().map(|path| read(path)).collect()
    }

    fn description_path(&self, name: &str) -> Result<PathBuf, RegistrationFault> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if (1..=63).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.') {
            Ok(self.folder.join(format!("{name}.toml")))
        } else {
            Err(RegistrationFault::Name(name.to_owned()))
        }
    }
}

fn read(path: &Path) -> Result<DataSet, RegistrationFault> {
    let text = fs::read_to_string(path).map_err(FileFault::io(path, "read"))?;
    toml::from_str(&text).map_err(|fault| RegistrationFault::Malformed {
        path: path.to_owned(),
        reason: fault.to_string().trim().to_owned(),
    })
}

fn trainer_reason(fault: &TrainerFault) -> String {
    crate::explain(fault)
}
