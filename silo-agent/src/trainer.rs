// SPDX-License-Identifier: Apache-2.0
//! Starts a trainer child for one question, and believes only an answer from behind high enough walls.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use consilium_policies::{Isolation, Word};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use crate::trainer_child::pipe::{
    Answer, Description, Finding, Job, Request, TableFacts, read_message, write_message,
};

/// How to start a trainer child: the program and its arguments. It must end in
/// [`trainer_child_main`](crate::trainer_child_main).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrainerCommand(pub Vec<OsString>);

impl TrainerCommand {
    /// This very program, given other arguments.
    #[must_use]
    pub fn this_executable(arguments: &[&str]) -> TrainerCommand {
        // The kernel's own link leads to this very program, even when its file was replaced meanwhile.
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_default()
        };
        let arguments = arguments.iter().map(OsString::from);
        TrainerCommand(
            std::iter::once(program.into_os_string())
                .chain(arguments)
                .collect(),
        )
    }
}

/// Has a trainer child try to break out of its walls: how high they are, and which ways out were still open.
///
/// `bait` is a file that exists and that the child must not be able to read.
///
/// # Errors
/// In words, when the child cannot be started or does not answer.
pub fn probe_trainer(
    command: &TrainerCommand,
    bait: &Path,
) -> Result<(Isolation, Vec<String>), String> {
    Trainer::new(command.clone())
        .probe(&bait.to_string_lossy())
        .map_err(|fault| crate::explain(&fault))
}

/// Why a trainer child gave no usable answer. The text is for the hospital's own log: it may speak of the data.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrainerFault {
    /// It could not be started.
    #[error("the trainer process cannot be started")]
    Start(#[source] io::Error),
    /// It ended without an answer.
    #[error("the trainer process ended without an answer")]
    NoAnswer(#[source] io::Error),
    /// It took too long and was killed.
    #[error("the trainer process gave no answer within {} seconds and was killed", .0.as_secs())]
    TooLong(Duration),
    /// It answered another question.
    #[error("the trainer process answered another question than was asked")]
    OtherAnswer,
    /// Its walls are too low.
    #[error("the trainer reaches isolation `{reached}`, but `{needed}` is needed", reached = reached.as_str(), needed = needed.as_str())]
    Isolation {
        /// What this host offers.
        reached: Isolation,
        /// What the policy's floor demands.
        needed: Isolation,
    },
    /// The file is not there, or not the registered one.
    #[error("{0}")]
    OtherFile(String),
    /// It found the data unusable.
    #[error("{0}")]
    Data(String),
}

/// Starts trainer children.
#[derive(Clone, Debug)]
pub(crate) struct Trainer {
    command: TrainerCommand,
    longest: Duration,
}

impl Trainer {
    pub(crate) fn new(command: TrainerCommand) -> Trainer {
        Trainer {
            command,
            longest: LONGEST,
        }
    }

    /// The same with less patience.
    #[cfg(test)]
    pub(crate) fn within(command: TrainerCommand, longest: Duration) -> Trainer {
        Trainer { command, longest }
    }

    /// How high the walls are on this host, and which ways out were still open to a child that tried them all.
    pub(crate) fn probe(&self, bait: &str) -> Result<(Isolation, Vec<String>), TrainerFault> {
        let answer = self.ask(&Request::Probe {
            bait: bait.to_owned(),
        })?;
        match answer.outcome {
            Ok(Finding::Probed(open)) => Ok((answer.isolation, open)),
            Ok(_) => Err(TrainerFault::OtherAnswer),
            Err(reason) => Err(TrainerFault::Data(reason)),
        }
    }

    /// Rows, patients, columns and digest of a file that is being registered; marks where there is a key for them.
    pub(crate) fn describe(
        &self,
        data: &str,
        patient: Option<&str>,
        key: Option<[u8; 32]>,
        needed: Isolation,
    ) -> Result<Description, TrainerFault> {
        let request = Request::Describe {
            data: data.to_owned(),
            patient: patient.map(str::to_owned),
            key,
        };
        match self.ask_behind(&request, needed)? {
            Finding::Described(description) => Ok(description),
            Finding::Probed(_)
            | Finding::Checked(_)
            | Finding::Contributed(_)
            | Finding::OtherFile(_) => Err(TrainerFault::OtherAnswer),
        }
    }

    /// Whether the data set can be read as the study describes it.
    pub(crate) fn check(&self, job: Job, needed: Isolation) -> Result<TableFacts, TrainerFault> {
        match self.ask_behind(&Request::Check(job), needed)? {
            Finding::Checked(facts) => Ok(facts),
            Finding::Probed(_)
            | Finding::Described(_)
            | Finding::Contributed(_)
            | Finding::OtherFile(_) => Err(TrainerFault::OtherAnswer),
        }
    }

    /// Has the contribution at a public model computed, and hands it to `take` while it is read.
    pub(crate) fn contribute<T, F: From<TrainerFault>>(
        &self,
        job: Job,
        model: Vec<u8>,
        needed: Isolation,
        take: impl FnOnce(&mut dyn Read) -> Result<T, F>,
    ) -> Result<(T, TableFacts), F> {
        let request = Request::Contribute { job, model };
        self.converse(&request, |answer, pipe| {
            match believed(answer, needed)? {
                // SECURITY: not a byte of it is read before the walls are known to have been high enough.
                Finding::Contributed(facts) => Ok((take(pipe)?, facts)),
                Finding::Probed(_)
                | Finding::Described(_)
                | Finding::Checked(_)
                | Finding::OtherFile(_) => Err(TrainerFault::OtherAnswer.into()),
            }
        })
    }

    fn ask_behind(&self, request: &Request, needed: Isolation) -> Result<Finding, TrainerFault> {
        believed(self.ask(request)?, needed)
    }

    fn ask(&self, request: &impl Serialize) -> Result<Answer, TrainerFault> {
        self.converse(request, |answer, _| Ok(answer))
    }

    /// Asks one question; `take` gets the answer and what follows it on the pipe.
    fn converse<T, F: From<TrainerFault>>(
        &self,
        request: &impl Serialize,
        take: impl FnOnce(Answer, &mut dyn Read) -> Result<T, F>,
    ) -> Result<T, F> {
        let mut child = Killed(self.start().map_err(TrainerFault::Start)?);
        let (input, output) = (child.0.stdin.take(), child.0.stdout.take());
        let watch = Watch::over(&child.0, self.longest);
        let answered = (|| {
            let mut input = input.ok_or(io::ErrorKind::BrokenPipe)?;
            write_message(&mut input, request)?;
            drop(input);
            let mut output = output.ok_or(io::ErrorKind::BrokenPipe)?;
            Ok((read_message(&mut output)?, output))
        })();
        let taken = match answered {
            Ok((answer, mut rest)) => take(answer, &mut rest),
            Err(fault) => Err(TrainerFault::NoAnswer(fault).into()),
        };
        if watch.end() {
            return Err(TrainerFault::TooLong(self.longest).into());
        }
        taken
    }

    /// No environment, no keys, no descriptor but the pipe, and no way to print.
    fn start(&self) -> io::Result<Child> {
        let (program, arguments) = self
            .command
            .0
            .split_first()
            .ok_or(io::ErrorKind::NotFound)?;
        Command::new(program)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// What was found, if the walls were high enough.
fn believed(answer: Answer, needed: Isolation) -> Result<Finding, TrainerFault> {
    if answer.isolation < needed {
        return Err(TrainerFault::Isolation {
            reached: answer.isolation,
            needed,
        });
    }
    match answer.outcome {
        Ok(Finding::OtherFile(reason)) => Err(TrainerFault::OtherFile(reason)),
        Ok(finding) => Ok(finding),
        Err(reason) => Err(TrainerFault::Data(reason)),
    }
}

/// Kills a child that does not answer in time.
struct Watch {
    over: Sender<()>,
    thread: JoinHandle<bool>,
}

impl Watch {
    fn over(child: &Child, longest: Duration) -> Watch {
        let child = Pid::from_child(child);
        let (over, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let late = ended.recv_timeout(longest) == Err(RecvTimeoutError::Timeout);
            if late {
                // It fails only when the child has gone by itself.
                let _ = kill_process(child, Signal::KILL);
            }
            late
        });
        Watch { over, thread }
    }

    /// Ends the watch, before anybody waits for the child and its number goes to another; says whether it was killed.
    fn end(self) -> bool {
        drop(self.over);
        self.thread.join().unwrap_or(false)
    }
}

/// A child that does not outlive the question.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only when the child has already gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Long enough for one round on a large table; whoever waits for it longer waits for ever.
const LONGEST: Duration = Duration::from_secs(2 * 3600);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(crate) mod tests;
