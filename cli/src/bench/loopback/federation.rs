// SPDX-License-Identifier: Apache-2.0
//! A federation of separate processes, founded command by command as its officers would.

use super::study::{DATA, RESEARCHER, Workload};
use crate::executable::{Executable, Running};
use anyhow::{Context, bail};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const COORDINATOR: &str = "coordinator";

pub(super) struct Federation {
    executable: Executable,
    folder: PathBuf,
    coordinator: Option<Running>,
    names: Vec<String>,
    silos: Vec<Running>,
}

impl Federation {
    /// Makes everybody's keys, data and policies, and a roster that all silos sign. The coordinator runs afterwards.
    pub(super) fn found(folder: &Path, workload: &Workload) -> anyhow::Result<Self> {
        if fs::read_dir(folder)?.next().is_some() {
            bail!(
                "the folder `{}` is not empty: name a new one",
                folder.display()
            );
        }
        let mut federation = Self {
            executable: Executable::this(&folder.join("logs"))?,
            folder: folder.to_owned(),
            coordinator: None,
            names: workload.silos().map(|at| workload.silo_name(at)).collect(),
            silos: Vec::new(),
        };
        let listen = format!("127.0.0.1:{}", free_port()?);
        federation.run(
            COORDINATOR,
            &[
                "coordinator",
                "init",
                "--name",
                "coordinator.loopback.example",
                "--listen",
                &listen,
                "--host",
                "127.0.0.1",
            ],
        )?;
        federation.start_coordinator()?;
        for at in workload.silos() {
            let name = workload.silo_name(at);
            let invitation = federation.invite(&name, "silo")?;
            federation.run(&name, &["silo", "join", &invitation])?;
            let policy = federation.write(&name, "policy.toml", &workload.policy(at))?;
            federation.run(&name, &["silo", "policy", "install", &policy])?;
            let patients = federation.write(&name, "csv", &workload.patients(at))?;
            federation.run(
                &name,
                &["silo", "data", "register", DATA, "--file", &patients],
            )?;
        }
        let invitation = federation.invite(RESEARCHER, "researcher")?;
        federation.run(RESEARCHER, &["certs", "join", &invitation])?;
        federation.run(COORDINATOR, &["coordinator", "roster", "propose"])?;
        for name in &federation.names {
            federation.run(name, &["silo", "roster", "sign", "--yes"])?;
        }
        Ok(federation)
    }

    /// Starts all agents.
    pub(super) fn start_silos(&mut self) -> anyhow::Result<()> {
        for name in &self.names {
            let folder = self.path(name).display().to_string();
            let arguments = ["silo", "run", "--dir", &folder];
            self.silos.push(self.executable.start(name, &arguments)?);
        }
        Ok(())
    }

    /// Runs a study to its end and returns its id; it must complete.
    pub(super) fn complete(&self, number: u32, study: &str) -> anyhow::Result<String> {
        let file = self.write("study", &format!("{number}.toml"), study)?;
        let researcher = self.path(RESEARCHER).display().to_string();
        let submit = ["study", "submit", &file, "--dir", &researcher];
        let submitted = self.executable.json(&submit)?;
        let id = submitted
            .get("study_id")
            .and_then(serde_json::Value::as_str)
            .context("`study submit` printed no id")?;
        self.executable
            .run(&["study", "watch", id, "--dir", &researcher])?;
        Ok(id.to_owned())
    }

    /// The lines of the audit log.
    pub(super) fn log(&self) -> anyhow::Result<String> {
        let log = self.path(COORDINATOR).join("log").display().to_string();
        self.executable.run(&["audit", "show", &log, "--json"])
    }

    /// Seconds of processor time that all processes have used.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let all = self.coordinator.iter().chain(&self.silos);
        all.map(Running::cpu_seconds).sum()
    }

    /// The most memory that the coordinator has held.
    pub(super) fn coordinator_peak(&self) -> Option<u64> {
        self.coordinator.as_ref().and_then(Running::peak_memory)
    }

    /// The most memory that any agent has held.
    pub(super) fn silo_peak(&self) -> Option<u64> {
        self.silos.iter().filter_map(Running::peak_memory).max()
    }

    /// Fails when a process has ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let mut all = self.coordinator.iter_mut().chain(&mut self.silos);
        all.try_for_each(Running::check)
    }

    /// Stops every process, the agents first.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        self.silos.drain(..).try_for_each(Running::stop)?;
        self.coordinator.take().map_or(Ok(()), Running::stop)
    }

    /// The folder of one party.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs a command in the folder of one party.
    fn run(&self, name: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let folder = self.path(name).display().to_string();
        self.executable
            .run(&[arguments, &["--dir", &folder]].concat())
    }

    fn invite(&self, name: &str, role: &str) -> anyhow::Result<String> {
        let coordinator = self.path(COORDINATOR).display().to_string();
        let invite = ["certs", "invite", name, "--role", role, "--dir"];
        let invited = self
            .executable
            .json(&[&invite[..], &[coordinator.as_str()]].concat())?;
        invited
            .get("invitation")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
            .context("`certs invite` printed no invitation")
    }

    fn write(&self, name: &str, ending: &str, content: &str) -> anyhow::Result<String> {
        let files = self.path("files");
        fs::create_dir_all(&files)?;
        let path = files.join(format!("{name}.{ending}"));
        fs::write(&path, content).with_context(|| format!("writing `{}`", path.display()))?;
        Ok(path.display().to_string())
    }

    fn start_coordinator(&mut self) -> anyhow::Result<()> {
        let folder = self.path(COORDINATOR);
        let ready = folder.join("ready.json");
        let folder = folder.display().to_string();
        let arguments = ["coordinator", "run", "--dir", &folder];
        let mut running = self.executable.start(COORDINATOR, &arguments)?;
        let until = Instant::now() + Duration::from_secs(60);
        while !ready.exists() {
            running.check()?;
            if Instant::now() > until {
                bail!("the coordinator does not become ready");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.coordinator = Some(running);
        Ok(())
    }
}

/// A port of the loopback interface that is free at this moment.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
