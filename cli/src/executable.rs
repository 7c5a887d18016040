// SPDX-License-Identifier: Apache-2.0
//! Separate processes of this executable, started with the arguments that a person would type.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What Linux counts processor time in for other processes, on every platform.
const TICKS_PER_SECOND: f64 = 100.0;

/// Starts this executable.
pub(crate) struct Executable {
    path: PathBuf,
    logs: PathBuf,
}

/// A process that runs until it is stopped; it is killed when this value is dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Executable {
    pub(crate) fn this(logs: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(logs)?;
        let path = std::env::current_exe().context("this executable cannot be found")?;
        Ok(Self {
            path,
            logs: logs.to_owned(),
        })
    }

    /// Runs a command to its end and returns what it printed; a command that fails is a fault.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.path)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("`consilium {}` cannot be started", arguments.join(" ")))?;
        if !output.status.success() {
            bail!(
                "`consilium {}` failed: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command with `--json` and reads what it printed.
    pub(crate) fn json(&self, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let text = self.run(&arguments)?;
        serde_json::from_str(&text)
            .with_context(|| format!("`consilium {}` printed no JSON", arguments.join(" ")))
    }

    /// The same for a command that may end with findings (exit code 1) and still prints JSON.
    pub(crate) fn json_or_findings(&self, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        let output = Command::new(&self.path)
            .args(arguments)
            .arg("--json")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("`consilium {}` cannot be started", arguments.join(" ")))?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`consilium {}` printed no JSON", arguments.join(" ")))
    }

    /// Starts a process whose output goes to a file of its own.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Running> {
        let log = self.logs.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(&self.path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("`consilium {}` cannot be started", arguments.join(" ")))?;
        Ok(Running {
            name: name.to_owned(),
            child,
            log,
        })
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that the process has held, where the system tells (Linux).
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        peak_memory_bytes(&format!("/proc/{}/status", self.child.id()))
    }

    /// Seconds of processor time of the process and of its children that have ended, where the system tells (Linux).
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name may hold anything; the fields behind its parenthesis are numbers, the times the 12th to the 15th.
        let (_, fields) = stat.rsplit_once(')')?;
        let times = fields.split_whitespace().skip(11).take(4);
        let ticks: Vec<u32> = times.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(ticks.into_iter().map(f64::from).sum::<f64>() / TICKS_PER_SECOND)
    }

    /// Fails with the end of the process's own log when it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines
                    .get(lines.len().saturating_sub(8)..)
                    .unwrap_or_default();
                bail!("`{}` ended ({status}):\n{}", self.name, tail.join("\n"))
            }
        }
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait_for_end(&mut self, longest: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + longest;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                bail!("`{}` is still running", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Asks the process to end and waits for it.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_none() {
            let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            if let Some(id) = id {
                kill_process(id, Signal::TERM)
                    .with_context(|| format!("stopping `{}`", self.name))?;
            }
            self.wait_for_end(Duration::from_secs(10))?;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The high-water mark of a process's memory, from its status file.
pub(crate) fn peak_memory_bytes(status: &str) -> Option<u64> {
    let status = std::fs::read_to_string(status).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
