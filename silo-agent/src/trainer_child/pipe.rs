// SPDX-License-Identifier: Apache-2.0
//! What the agent and the trainer child say to each other over the one inherited pipe.

use std::io::{self, Read, Write};

use consilium_policies::Isolation;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What the agent asks. One request, one answer, and the child ends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Put the walls up and try to break out.
    Probe {
        /// A file that exists and that the child must not be able to read.
        bait: String,
    },
    /// Count the rows and patients and name the columns of a file that is being registered.
    Describe {
        /// The file.
        data: String,
        /// The column in which patients have names; without one, each row is a patient.
        patient: Option<String>,
        /// The key of the marks, where marks are wanted.
        key: Option<[u8; 32]>,
    },
    /// Read the data set as the study describes it, and compute nothing.
    Check(Job),
    /// Compute the silo's contribution to one round at the given public model.
    Contribute {
        /// The data set and the study.
        job: Job,
        /// The public model's canonical bytes.
        model: Vec<u8>,
    },
}

/// A study and the data set that it is computed on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The file.
    pub(crate) data: String,
    /// The SHA-256 of the file when it was registered.
    pub(crate) registered: [u8; 32],
    /// The study file's exact bytes.
    pub(crate) study: Vec<u8>,
}

/// What the child answers: the walls it stood behind, and what it found there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// How high the walls were while the data was read.
    pub(crate) isolation: Isolation,
    /// The finding, or the reason for having none; for the hospital's own log only.
    pub(crate) outcome: Result<Finding, String>,
}

/// What the child found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Finding {
    /// The ways out that were still open; none is what is hoped for.
    Probed(Vec<String>),
    /// The file as it stands.
    Described(Description),
    /// The table was read.
    Checked(TableFacts),
    /// What was seen while reading; the contribution follows on the pipe, to its end.
    Contributed(TableFacts),
    /// Why the file cannot be read, or is not the registered one: said before a row of it is looked at.
    OtherFile(String),
}

/// A file that is being registered.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    /// SHA-256 of the whole file.
    pub(crate) sha256: [u8; 32],
    /// Rows below the heading.
    pub(crate) rows: u64,
    /// Different patients.
    pub(crate) patients: u64,
    /// The heading.
    pub(crate) columns: Vec<String>,
    /// Of patients by name.
    pub(crate) patient_marks: Vec<Mark>,
    /// Of rows.
    pub(crate) row_marks: Vec<Mark>,
}

/// A keyed digest by which a patient or a row is recognised in another file.
pub(crate) type Mark = [u8; 16];

/// What reading the table showed; patient counts, so for the hospital's own log only.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableFacts {
    /// Patients that remain under the study's rule for missing values.
    pub(crate) patients: u64,
    /// What a data steward should look at.
    pub(crate) warnings: Vec<String>,
}

/// Writes one message: its length in four bytes, little-endian, then its bytes.
pub(crate) fn write_message(pipe: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let bytes = postcard::to_allocvec(message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|length| *length <= MOST_BYTES)
        .ok_or_else(too_long)?;
    pipe.write_all(&length.to_le_bytes())?;
    pipe.write_all(&bytes)?;
    pipe.flush()
}

/// Reads one message.
pub(crate) fn read_message<M: DeserializeOwned>(pipe: &mut impl Read) -> io::Result<M> {
    let mut length = [0; 4];
    pipe.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MOST_BYTES {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    pipe.take(u64::from(length)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).ok() != Some(u64::from(length)) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    postcard::from_bytes(&bytes).map_err(io::Error::other)
}

fn too_long() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the message is longer than the trainer's pipe allows",
    )
}

const MOST_BYTES: u32 = 1 << 30;
