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
use crate::journal::{Journal, JournalFault, NewCohort, RegisteredFile};
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
    /// The most patients that others may think are in it: the rows, rounded up so that they tell little. A study that
    /// counts on fewer is refused whatever the data say.
    pub patients_at_most: u64,
    /// The heading.
    pub columns: Vec<String>,
    /// When, in UTC.
    pub registered: String,
}

impl DataSet {
    /// The file as the journal knows it.
    pub(crate) fn file(&self) -> RegisteredFile<'_> {
        RegisteredFile {
            data: &self.name,
            sha256: &self.sha256,
        }
    }
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
    /// The file has another name already.
    #[error("`{}` is registered as `{other}`; one data set has one name and one budget", path.display())]
    SameFile {
        /// The CSV file.
        path: PathBuf,
        /// Its name.
        other: String,
    },
    /// The journal refuses the file under this name, or cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// A file of the folder.
    #[error(transparent)]
    File(#[from] FileFault),
}

/// What stands between a file and this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind<'a> {
    /// How high the walls must be, and how many patients are too few.
    pub(crate) policy: &'a Policy,
    /// Reads the file behind them.
    pub(crate) trainer: &'a Trainer,
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

    /// Reads the file once, behind walls as high as the policy demands, and writes its description.
    pub(crate) fn register(
        &self,
        name: &str,
        file: &Path,
        behind: Behind<'_>,
        journal: &mut Journal,
        new_cohort: Option<NewCohort<'_>>,
        now: &str,
    ) -> Result<DataSet, RegistrationFault> {
        let Behind { policy, trainer } = behind;
        let description = self.description_path(name)?;
        let path = fs::canonicalize(file).map_err(FileFault::io(file, "found"))?;
        let refused = |reason: String| RegistrationFault::Data {
            path: path.clone(),
            reason,
        };
        let text = path
            .to_str()
            .ok_or_else(|| refused("its path is not UTF-8".to_owned()))?;
        let twin = self
            .list()?
            .into_iter()
            .find(|known| known.path == path && known.name != name);
        if let Some(twin) = twin {
            let other = twin.name;
            return Err(RegistrationFault::SameFile { path, other });
        }
        let found = trainer
            .describe(text, policy.floor.isolation)
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
            patients_at_most: rounded_up(found.rows),
            columns: found.columns,
            registered: now.to_owned(),
        };
        let text = toml::to_string_pretty(&data_set).map_err(|fault| refused(fault.to_string()))?;
        journal.register(data_set.file(), new_cohort)?;
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

/// A power of two, and not a small one.
fn rounded_up(rows: u64) -> u64 {
    rows.max(FEWEST_ANNOUNCED)
        .checked_next_power_of_two()
        .unwrap_or(u64::MAX)
}

fn trainer_reason(fault: &TrainerFault) -> String {
    crate::explain(fault)
}

/// No announcement tells a small hospital from a very small one.
const FEWEST_ANNOUNCED: u64 = 64;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
