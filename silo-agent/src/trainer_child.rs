// SPDX-License-Identifier: Apache-2.0
//! The process that reads patient data, and that has neither a network nor a key.
//!
//! ```text
//! request from the pipe -> open the one data file -> walls up -> read it -> compute -> answer -> end
//! ```
//!
//! INVARIANT: nothing of the file is read before the walls are up, and what the walls were is part of the answer.

mod describe;
pub(crate) mod pipe;
pub(crate) mod sandbox;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Command, ExitCode};

use consilium_crypto::transcript::sha256;
use consilium_learning::model::Model;
use consilium_learning::study::Study;
use consilium_learning::table::Table;
use consilium_learning::task::Task;

use describe::describe;
use pipe::{Answer, Finding, Job, Request, TableFacts, read_message, write_message};
use sandbox::enclose;

/// The whole life of the trainer child. Call it before anything starts a second thread.
pub fn trainer_child_main() -> ExitCode {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let answered = read_message::<Request>(&mut input)
        .and_then(|request| answer(request, &mut output))
        .and_then(|()| output.flush());
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(request: Request, output: &mut impl Write) -> io::Result<()> {
    let path = match &request {
        Request::Probe { .. } => None,
        Request::Describe { data, .. } => Some(data.clone()),
        Request::Check(job) | Request::Contribute { job, .. } => Some(job.data.clone()),
    };
    let file = path.map(|path| open(&path)).transpose();
    let mut readable = vec![io::stdin().as_raw_fd()];
    if let Ok(Some(file)) = &file {
        readable.push(file.as_raw_fd());
    }
    let isolation = enclose(&readable, &[io::stdout().as_raw_fd()]);
    let outcome = file
        .map_err(Unusable::File)
        .and_then(|file| match (request, file) {
            (Request::Probe { bait }, _) => Ok(Found::All(Finding::Probed(open_ways_out(&bait)))),
            (Request::Describe { patient, key, .. }, Some(file)) => {
                let bytes = read(file).map_err(Unusable::File)?;
                let found = describe(&bytes, patient.as_deref(), key.as_ref())?;
                Ok(Found::All(Finding::Described(found)))
            }
            (Request::Check(job), Some(file)) => check(&job, file).map(Found::All),
            (Request::Contribute { job, model }, Some(file)) => {
                Material::of(&job, &model, file).map(Found::ToContribute)
            }
            (Request::Describe { .. } | Request::Check(_) | Request::Contribute { .. }, None) => {
                Err(Unusable::File("the data file was not opened".to_owned()))
            }
        });
    let say = |outcome, output: &mut _| write_message(output, &Answer { isolation, outcome });
    match outcome {
        Ok(Found::All(finding)) => say(Ok(finding), output),
        Err(Unusable::File(reason)) => say(Ok(Finding::OtherFile(reason)), output),
        Err(Unusable::Rows(reason)) => say(Err(reason), output),
        Ok(Found::ToContribute(material)) => {
            match material.task.contributing(&material.model, &material.table) {
                Ok(contributing) => {
                    let facts = facts(&material.task, &material.table);
                    say(Ok(Finding::Contributed(facts)), output)?;
                    let stage = material.model.stage;
                    let unfit = material.task.unfit_patients(stage, &material.table);
                    contributing.and_zeros(unfit).write_to(output)
                }
                Err(fault) => say(Err(fault.to_string()), output),
            }
        }
    }
}

/// What becomes of a request.
enum Found {
    /// The whole answer.
    All(Finding),
    /// What a contribution is computed from, vector by vector.
    ToContribute(Box<Material>),
}

/// Why there is nothing to compute on.
enum Unusable {
    /// The file is not there, or not the registered one: said before a row of it is looked at.
    File(String),
    /// Its rows, or the study.
    Rows(String),
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self::Rows(reason)
    }
}

/// A table that was read, with what is computed on it.
struct Material {
    task: Task,
    model: Model,
    table: Table,
}

fn open(path: &str) -> Result<File, String> {
    let file = File::open(path)
        .map_err(|cause| format!("data file `{path}` cannot be opened: {cause}"))?;
    let metadata = file
        .metadata()
        .map_err(|cause| format!("data file `{path}` cannot be inspected: {cause}"))?;
    if !metadata.is_file() {
        return Err(format!("data file `{path}` is not a regular file"));
    }
    Ok(file)
}

fn read(mut file: File) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|cause| format!("the data file cannot be read: {cause}"))?;
    Ok(bytes)
}

fn check(job: &Job, file: File) -> Result<Finding, Unusable> {
    let study = study(job)?;
    let task = Task::new(&study).map_err(|fault| fault.to_string())?;
    Ok(Finding::Checked(facts(&task, &table(job, &study, file)?)))
}

/// The same in this process, for tests of what follows from it.
#[cfg(test)]
pub(crate) fn check_without_walls(job: &Job) -> Answer {
    Answer {
        isolation: consilium_policies::Isolation::Sandbox,
        outcome: match open(&job.data)
            .map_err(Unusable::File)
            .and_then(|file| check(job, file))
        {
            Ok(finding) => Ok(finding),
            Err(Unusable::File(reason)) => Ok(Finding::OtherFile(reason)),
            Err(Unusable::Rows(reason)) => Err(reason),
        },
    }
}

impl Material {
    fn of(job: &Job, model: &[u8], file: File) -> Result<Box<Material>, Unusable> {
        let study = study(job)?;
        Ok(Box::new(Material {
            task: Task::new(&study).map_err(|fault| fault.to_string())?,
            model: Model::from_bytes(model).map_err(|fault| fault.to_string())?,
            table: table(job, &study, file)?,
        }))
    }
}

fn study(job: &Job) -> Result<Study, String> {
    Study::parse(&job.study).map_err(|fault| fault.to_string())
}

fn table(job: &Job, study: &Study, file: File) -> Result<Table, Unusable> {
    let bytes = read(file).map_err(Unusable::File)?;
    if sha256(&bytes).as_bytes() != &job.registered {
        let changed = "the data file was changed after it was registered; register it again";
        return Err(Unusable::File(changed.to_owned()));
    }
    Table::of_study(bytes.as_slice(), study).map_err(|fault| Unusable::Rows(fault.to_string()))
}

fn facts(task: &Task, table: &Table) -> TableFacts {
    TableFacts {
        patients: u64::try_from(table.patient_count()).unwrap_or(u64::MAX),
        warnings: task
            .warnings(table)
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

/// Tries what a trainer must not be able to do, and names what succeeded.
fn open_ways_out(bait: &str) -> Vec<String> {
    let mut open = Vec::new();
    let mut tried = |way: &str, succeeded: bool| {
        if succeeded {
            open.push(way.to_owned());
        }
    };
    tried(
        "listen on a TCP port",
        TcpListener::bind("127.0.0.1:0").is_ok(),
    );
    tried("open a UDP socket", UdpSocket::bind("127.0.0.1:0").is_ok());
    tried(
        "open a Unix socket",
        std::os::unix::net::UnixDatagram::unbound().is_ok(),
    );
    tried("read another file", File::open(bait).is_ok());
    tried(
        "write a file",
        File::create(format!("{bait}.probe")).is_ok(),
    );
    tried("start a program", Command::new("/bin/true").spawn().is_ok());
    tried(
        "start a thread",
        std::thread::Builder::new().spawn(|| ()).is_ok(),
    );
    open
}
