// SPDX-License-Identifier: Apache-2.0
//! Data sets: what the hospital registered under which name, in `data/<name>.toml`.
//!
//! Patients are counted once, here: held against the policy's `min_patients` and against a bound that the hospital
//! announces. No later decision depends on a count, and others hear the announced bound only: a refusal that followed the
//! data would tell something about the patients.

use std::fs;
use std::path::{Path, PathBuf};

use consilium_crypto::digest::Digest;
use consilium_policies::Policy;
use serde::{Deserialize, Serialize};

use crate::durable_file::{self, FileFault};
use crate::journal::{Journal, JournalFault, NewRegistration, OfficersWord, RegisteredFile};
use crate::trainer::{Trainer, TrainerFault};

/// One registered data set.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// The name under which studies ask for it.
    pub name: String,
    /// The data set whose budget and cohort it shares: itself, unless it continues another.
    pub lineage: String,
    /// The CSV file.
    pub path: PathBuf,
    /// SHA-256 of the file when it was registered.
    pub sha256: Digest,
    /// Rows below the heading when it was registered.
    pub rows: u64,
    /// The column in which patients have names. Without one, each row is a patient.
    pub patient: Option<String>,
    /// Patients when it was registered.
    pub patients: u64,
    /// The policy's `min_patients`, which they reached then.
    pub min_patients: u64,
    /// The most patients that others may think are in it, as the hospital announces it. Without such a bound no study with
    /// noise uses the data set.
    pub patients_at_most: Option<u64>,
    /// The heading.
    pub columns: Vec<String>,
    /// When, in UTC.
    pub registered: String,
}

impl DataSet {
    /// The file as the journal knows it.
    pub(crate) fn file(&self) -> RegisteredFile<'_> {
        RegisteredFile {
            lineage: &self.lineage,
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
    #[error("`{}` has fewer patients than the policy's `min_patients` = {needed}; it is not registered", path.display())]
    TooSmall {
        /// The CSV file.
        path: PathBuf,
        /// The policy's number.
        needed: u64,
    },
    /// The announced bound does not hold.
    #[error("`{}` has more patients than `--patients-at-most {announced}` announces; announce a round number with room to grow", path.display())]
    TooMany {
        /// The CSV file.
        path: PathBuf,
        /// The announced bound.
        announced: u64,
    },
    /// Too long for a trainer to read whatever a study takes of it.
    #[error("`{}` has more than {MOST_BYTES_WITH_NOISE} bytes, which is too long for studies with noise, and those are what `--patients-at-most` is for", path.display())]
    TooLong {
        /// The CSV file.
        path: PathBuf,
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

/// What is asked for when a data set is registered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration<'a> {
    /// The name that studies use.
    pub(crate) name: &'a str,
    /// The CSV file.
    pub(crate) file: &'a Path,
    /// The column in which patients have names; without it the one of the last registration, if there was one.
    pub(crate) patient: Option<&'a str>,
    /// The bound that others may know; without it the one of the last registration, if there was one.
    pub(crate) patients_at_most: Option<u64>,
    /// The data set that it continues.
    pub(crate) lineage: Option<&'a str>,
    /// That patients who look alike are others.
    pub(crate) other_patients: Option<OfficersWord<'a>>,
    /// That a changed file may meet a cohort of its own without noise.
    pub(crate) new_cohort: Option<OfficersWord<'a>>,
    /// When, in UTC.
    pub(crate) now: &'a str,
}

impl<'a> Registration<'a> {
    /// With nothing but name and file.
    pub(crate) fn of(name: &'a str, file: &'a Path, now: &'a str) -> Self {
        Self {
            name,
            file,
            patient: None,
            patients_at_most: None,
            lineage: None,
            other_patients: None,
            new_cohort: None,
            now,
        }
    }
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
        registration: Registration<'_>,
        behind: Behind<'_>,
        journal: &mut Journal,
    ) -> Result<DataSet, RegistrationFault> {
        let Behind { policy, trainer } = behind;
        let Registration { name, file, .. } = registration;
        let description = self.description_path(name)?;
        let path = fs::canonicalize(file).map_err(FileFault::io(file, "found"))?;
        let refused = |reason: String| RegistrationFault::Data {
            path: path.clone(),
            reason,
        };
        let text = path
            .to_str()
            .ok_or_else(|| refused("its path is not UTF-8".to_owned()))?;
        let listed = self.list()?;
        if let Some(twin) = listed
            .iter()
            .find(|known| known.path == path && known.name != name)
        {
            let other = twin.name.clone();
            return Err(RegistrationFault::SameFile { path, other });
        }
        let last = listed.iter().find(|known| known.name == name);
        let patient = registration
            .patient
            .or_else(|| last.and_then(|last| last.patient.as_deref()));
        let patients_at_most = registration
            .patients_at_most
            .or_else(|| last.and_then(|last| last.patients_at_most));
        let length = fs::metadata(&path)
            .map_err(FileFault::io(&path, "inspected"))?
            .len();
        if patients_at_most.is_some() && length > MOST_BYTES_WITH_NOISE {
            return Err(RegistrationFault::TooLong { path });
        }
        let key = journal.mark_key()?;
        let found = trainer
            .describe(text, patient, Some(key), policy.floor.isolation)
            .map_err(|fault| refused(trainer_reason(&fault)))?;
        let needed = policy.floor.min_patients;
        if found.patients < needed {
            return Err(RegistrationFault::TooSmall { path, needed });
        }
        if let Some(announced) = patients_at_most.filter(|announced| found.patients > *announced) {
            return Err(RegistrationFault::TooMany { path, announced });
        }
        let sha256 = Digest::from_bytes(found.sha256);
        let lineage = journal.register(NewRegistration {
            data: name,
            sha256: &sha256,
            patient_marks: &found.patient_marks,
            row_marks: &found.row_marks,
            lineage: registration.lineage,
            other_patients: registration.other_patients,
            new_cohort: registration.new_cohort,
        })?;
        let data_set = DataSet {
            name: name.to_owned(),
            lineage,
            path: path.clone(),
            sha256,
            rows: found.rows,
            patient: patient.map(str::to_owned),
            patients: found.patients,
            min_patients: needed,
            patients_at_most,
            columns: found.columns,
            registered: registration.now.to_owned(),
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

/// SECURITY: a table in memory takes up to a hundred times the file, of very short rows, and less where a study's levels leave rows
/// out. Within this length no study's levels bring a trainer to the end of its sixteen gigabytes.
const MOST_BYTES_WITH_NOISE: u64 = 1 << 27;

fn trainer_reason(fault: &TrainerFault) -> String {
    crate::explain(fault)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
