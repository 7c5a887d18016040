// SPDX-License-Identifier: Apache-2.0
//! The executable: commands that run to their end, and processes that run until they are stopped.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longer than any command takes on a busy machine.
const COMMAND_TIME: Duration = Duration::from_secs(90);

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    what: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end. Its output goes to files in `folder`.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Ran {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let (out, err) = (
        folder.join(format!("command.{number}.out")),
        folder.join(format!("command.{number}.err")),
    );
    let what = format!("consilium {}", arguments.join(" "));
    let child = command(folder, arguments)
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let mut running = Running {
        name: what.clone(),
        child,
        log: err.clone(),
    };
    let status = running.wait_for_end(COMMAND_TIME);
    Ran {
        what,
        code: status.code(),
        out: fs::read_to_string(out).unwrap(),
        err: fs::read_to_string(err).unwrap(),
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("CONSILIUM_DIR")
        .env_remove("CONSILIUM_LOG")
        .stdin(Stdio::null());
    command
}

impl Ran {
    /// Its standard output, once it has succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "`{}` failed: {}", self.what, self.err);
        self.out
    }

    /// Asserts how it failed, and that its message names everything in `named`.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, named: &[&str]) -> String {
        assert_eq!(
            self.code,
            Some(code),
            "`{}` ended otherwise: {}{}",
            self.what,
            self.out,
            self.err
        );
        for fragment in named {
            assert!(
                self.err.contains(fragment),
                "`{}` does not speak of {fragment:?}: {}",
                self.what,
                self.err
            );
        }
        self.err
    }
}

/// A process that runs until it is stopped; it is killed when this value is dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

/// Starts a process whose output is appended to a log of its own in `folder`.
pub(crate) fn start(folder: &Path, name: &str, arguments: &[&str]) -> Running {
    let log = folder.join(format!("{name}.log"));
    let file = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .unwrap();
    let child = command(folder, arguments)
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    Running {
        name: name.to_owned(),
        child,
        log,
    }
}

impl Running {
    /// Waits until the process has ended.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self, longest: Duration) -> ExitStatus {
        let until = Instant::now() + longest;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < until,
                "`{}` is still running; it said:\n{}",
                self.name,
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the process has died at its crash point.
    #[track_caller]
    pub(crate) fn wait_for_abort(mut self, longest: Duration) {
        let status = self.wait_for_end(longest);
        assert_eq!(
            status.signal(),
            Some(Signal::ABORT.as_raw()),
            "`{}` ended otherwise ({status}):\n{}",
            self.name,
            self.said()
        );
    }

    /// Fails when the process has ended by itself.
    #[track_caller]
    pub(crate) fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("`{}` ended ({status}):\n{}", self.name, self.said());
        }
    }

    /// Kills the process without warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to end, and waits until it has ended in good order.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.assert_alive();
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::TERM).unwrap();
        let status = self.wait_for_end(Duration::from_secs(30));
        assert!(
            status.success(),
            "`{}` ended with {status}:\n{}",
            self.name,
            self.said()
        );
    }

    /// The most memory that the process has had, in bytes (`VmHWM`); `None` once it has ended.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// What the process has printed, in this life and earlier ones.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the process has already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
