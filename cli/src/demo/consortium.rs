// SPDX-License-Identifier: Apache-2.0
//! Founding the consortium, command by command, as its officers would.

use crate::executable::{Executable, Running};
use anyhow::{Context, bail};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The name under which every hospital registers its data.
pub(super) const DATA: &str = "ercp-trial";
/// The researcher of the demonstration.
pub(super) const RESEARCHER: &str = "a.ruiz@uni.example";
/// The hospital that is killed.
pub(super) const VICTIM: &str = "3_UK";

/// A hospital's name, its patients and its policy, as shipped in `examples/`.
pub(super) struct Hospital {
    pub(super) name: &'static str,
    pub(super) patients: &'static str,
    policy: &'static str,
}

macro_rules! hospital {
    ($name:literal) => {
        Hospital {
            name: $name,
            patients: include_str!(concat!("../../../examples/data/indo-rct/", $name, ".csv")),
            policy: include_str!(concat!("../../../examples/policies/", $name, ".toml")),
        }
    };
}

pub(super) const HOSPITALS: [Hospital; 4] = [
    hospital!("1_UM"),
    hospital!("2_IU"),
    hospital!("3_UK"),
    hospital!("4_Case"),
];

/// The consortium's folders and running processes.
pub(super) struct Consortium {
    pub(super) executable: Executable,
    folder: PathBuf,
    coordinator: Option<Running>,
    silos: Vec<(&'static str, Running)>,
}

impl Consortium {
    /// Makes the CA, the coordinator, four hospitals with policy, data and keys, a researcher, and a roster that all
    /// hospitals sign. The coordinator runs afterwards.
    pub(super) fn found(folder: &Path, mut say: impl FnMut(&str)) -> anyhow::Result<Self> {
        let executable = Executable::this(&folder.join("logs"))?;
        let mut consortium = Self {
            executable,
            folder: folder.to_owned(),
            coordinator: None,
            silos: Vec::new(),
        };
        let coordinator = consortium.path("coordinator");
        let listen = format!("127.0.0.1:{}", free_port()?);
        consortium.run(&[
            "coordinator",
            "init",
            "--dir",
            &coordinator,
            "--name",
            "coordinator.demo.example",
            "--listen",
            &listen,
            "--host",
            "127.0.0.1",
        ])?;
        say("the coordinator has made its keys and a certificate authority");
        consortium.start_coordinator()?;

        for hospital in &HOSPITALS {
            let silo = consortium.path(hospital.name);
            let invitation = consortium.invite(hospital.name, "silo")?;
            consortium.run(&["silo", "join", &invitation, "--dir", &silo])?;
            let policy = consortium.write(
                &format!("files/{}.policy.toml", hospital.name),
                hospital.policy,
            )?;
            consortium.run(&["silo", "policy", "install", &policy, "--dir", &silo])?;
            let patients =
                consortium.write(&format!("files/{}.csv", hospital.name), hospital.patients)?;
            consortium.run(&[
                "silo",
                "data",
                "register",
                DATA,
                "--file",
                &patients,
                "--patient",
                "id",
                "--patients-at-most",
                "1000",
                "--dir",
                &silo,
            ])?;
            say(&format!(
                "hospital `{}` was invited and joined: own keys, own policy, data set `{DATA}` registered",
                hospital.name
            ));
        }
        let invitation = consortium.invite(RESEARCHER, "researcher")?;
        let researcher = consortium.path("researcher");
        consortium.run(&["certs", "join", &invitation, "--dir", &researcher])?;
        say(&format!(
            "researcher `{RESEARCHER}` joined with a key of her own"
        ));

        consortium.run(&["coordinator", "roster", "propose", "--dir", &coordinator])?;
        for hospital in &HOSPITALS {
            let silo = consortium.path(hospital.name);
            consortium.run(&["silo", "roster", "sign", "--dir", &silo, "--yes"])?;
        }
        say("all four hospitals signed the roster: not even the coordinator can add a fifth");
        Ok(consortium)
    }

    /// Starts the agents of all hospitals.
    pub(super) fn start_silos(&mut self) -> anyhow::Result<()> {
        for hospital in &HOSPITALS {
            self.start_silo(hospital.name)?;
        }
        Ok(())
    }

    pub(super) fn start_silo(&mut self, name: &'static str) -> anyhow::Result<()> {
        let folder = self.path(name);
        let running = self
            .executable
            .start(name, &["silo", "run", "--dir", &folder])?;
        self.silos.push((name, running));
        Ok(())
    }

    /// Restarts a hospital's agent so that it dies at a crash point, by the hidden subcommand.
    pub(super) fn arm_silo(&mut self, name: &'static str, at: &str) -> anyhow::Result<()> {
        self.stop_silo(name)?;
        let folder = self.path(name);
        let running = self
            .executable
            .start(name, &["crash", "silo", "--dir", &folder, "--at", at])?;
        self.silos.push((name, running));
        Ok(())
    }

    /// Waits until an armed agent has died.
    pub(super) fn bury_silo(&mut self, name: &str) -> anyhow::Result<()> {
        let at = self.position(name)?;
        let (_, mut running) = self.silos.remove(at);
        running.wait_for_end(Duration::from_secs(5))
    }

    fn stop_silo(&mut self, name: &str) -> anyhow::Result<()> {
        let at = self.position(name)?;
        let (_, running) = self.silos.remove(at);
        running.stop()
    }

    fn position(&self, name: &str) -> anyhow::Result<usize> {
        self.silos
            .iter()
            .position(|(silo, _)| *silo == name)
            .with_context(|| format!("the agent of `{name}` does not run"))
    }

    /// Process ids, for show.
    pub(super) fn process_ids(&self) -> Vec<(String, u32)> {
        let coordinator = self
            .coordinator
            .iter()
            .map(|running| ("coordinator".to_owned(), running.id()));
        let silos = self
            .silos
            .iter()
            .map(|(name, running)| ((*name).to_owned(), running.id()));
        coordinator.chain(silos).collect()
    }

    /// Fails when a process that should run has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        for running in self
            .coordinator
            .iter_mut()
            .chain(self.silos.iter_mut().map(|(_, running)| running))
        {
            running.check()?;
        }
        Ok(())
    }

    /// Stops every process, the agents first.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        for (_, running) in self.silos.drain(..) {
            running.stop()?;
        }
        self.coordinator.take().map_or(Ok(()), Running::stop)
    }

    /// A file or folder of the demonstration.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Writes a shipped file where a person would have it.
    pub(super) fn write(&self, name: &str, content: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content).with_context(|| format!("writing `{}`", path.display()))?;
        Ok(path.display().to_string())
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.executable.run(arguments)
    }

    fn start_coordinator(&mut self) -> anyhow::Result<()> {
        let folder = self.path("coordinator");
        let ready = self.folder.join("coordinator/ready.json");
        let mut running = self
            .executable
            .start("coordinator", &["coordinator", "run", "--dir", &folder])?;
        let until = Instant::now() + Duration::from_secs(20);
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

    fn invite(&self, name: &str, role: &str) -> anyhow::Result<String> {
        let coordinator = self.path("coordinator");
        let invited = self.executable.json(&[
            "certs",
            "invite",
            name,
            "--role",
            role,
            "--dir",
            &coordinator,
        ])?;
        invited
            .get("invitation")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
            .context("`certs invite` printed no invitation")
    }
}

/// A port of the loopback interface that is free at this moment.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
