// SPDX-License-Identifier: Apache-2.0
//! One test's copy of the consortium, its running processes, and what a researcher asks of it.

use crate::executable::{self, Ran, Running, start};
use crate::founding::{
    self, Founded, HOSPITALS, founded, free_port, set_key, start_coordinator,
    start_coordinator_with,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any process needs to die where it should.
const DEATH: Duration = Duration::from_secs(60);

/// A copy of the founded consortium.
pub(crate) struct Federation {
    // Processes end before their folder goes.
    coordinator: Option<Running>,
    silos: BTreeMap<&'static str, Running>,
    folder: TempDir,
    port: u16,
    _founded: Arc<Founded>,
}

impl Federation {
    /// A copy in which nothing runs.
    pub(crate) fn resting() -> Self {
        let founded = founded();
        let folder = tempfile::tempdir().unwrap();
        copy(founded.folder.path(), folder.path());
        let port = free_port();
        let federation = Self {
            coordinator: None,
            silos: BTreeMap::new(),
            folder,
            port,
            _founded: founded,
        };
        federation.settle();
        federation
    }

    /// A copy in which everything runs.
    pub(crate) fn running() -> Self {
        let mut federation = Self::resting();
        federation.start();
        federation
    }

    /// Gives the copy its own port and its own paths.
    fn settle(&self) {
        let old = self._founded.folder.path().display().to_string();
        let new = self.folder.path().display().to_string();
        let address = |port| format!("127.0.0.1:{port}");
        for file in ["coordinator/coordinator.toml", "researcher/user.toml"] {
            self.edit(file, |text| {
                text.replace(&address(self._founded.port), &address(self.port))
            });
        }
        for hospital in HOSPITALS {
            self.edit(&format!("{hospital}/silo.toml"), |text| {
                let text = text.replace(&address(self._founded.port), &address(self.port));
                set_key(&text, "longest_delay_seconds", "1")
            });
            self.edit(
                &format!("{hospital}/data/{}.toml", founding::DATA),
                |text| text.replace(&old, &new),
            );
        }
    }

    /// Changes a text file of the folder.
    pub(crate) fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(file);
        let before = fs::read_to_string(&path).unwrap();
        let after = change(before.clone());
        assert_ne!(before, after, "`{file}` stays as it is");
        fs::write(&path, after).unwrap();
    }

    /// Sets one of the coordinator's deadlines.
    pub(crate) fn deadline(&self, key: &str, value: u64) {
        self.edit("coordinator/coordinator.toml", |text| {
            set_key(&text, key, &value.to_string())
        });
    }

    /// Starts everything.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.start_coordinator();
        for hospital in HOSPITALS {
            self.start_silo(hospital);
        }
    }

    /// Starts everything, one agent so that it dies at a crash point, written as place:round.
    #[track_caller]
    pub(crate) fn start_with_armed_silo(&mut self, name: &'static str, at: &str) {
        self.start_coordinator();
        for hospital in HOSPITALS {
            if hospital == name {
                self.arm_silo(name, at);
            } else {
                self.start_silo(hospital);
            }
        }
    }

    #[track_caller]
    pub(crate) fn start_coordinator(&mut self) {
        self.coordinator = Some(start_coordinator(self.at()));
    }

    /// Starts the coordinator so that it dies at a crash point, written as place:round.
    #[track_caller]
    pub(crate) fn arm_coordinator(&mut self, at: &str) {
        let arguments = ["crash", "coordinator", "--dir", "coordinator", "--at", at];
        self.coordinator = Some(start_coordinator_with(self.at(), &arguments));
    }

    #[track_caller]
    pub(crate) fn await_coordinators_death(&mut self) {
        self.coordinator.take().unwrap().wait_for_abort(DEATH);
    }

    /// The coordinator's process, for a test that looks at it.
    pub(crate) fn coordinator(&self) -> &Running {
        self.coordinator.as_ref().unwrap()
    }

    pub(crate) fn kill_coordinator(&mut self) {
        self.coordinator.take().unwrap().kill();
    }

    #[track_caller]
    pub(crate) fn stop_coordinator(&mut self) {
        self.coordinator.take().unwrap().stop();
    }

    pub(crate) fn start_silo(&mut self, name: &'static str) {
        let running = start(self.at(), name, &["silo", "run", "--dir", name]);
        self.silos.insert(name, running);
    }

    /// Starts an agent so that it dies at a crash point, written as place:round.
    pub(crate) fn arm_silo(&mut self, name: &'static str, at: &str) {
        let running = start(
            self.at(),
            name,
            &["crash", "silo", "--dir", name, "--at", at],
        );
        self.silos.insert(name, running);
    }

    #[track_caller]
    pub(crate) fn await_silos_death(&mut self, name: &str) {
        self.silos.remove(name).unwrap().wait_for_abort(DEATH);
    }

    pub(crate) fn kill_silo(&mut self, name: &str) {
        self.silos.remove(name).unwrap().kill();
    }

    #[track_caller]
    pub(crate) fn stop_silo(&mut self, name: &str) {
        self.silos.remove(name).unwrap().stop();
    }

    /// The agent's process, for a test that waits for what becomes of it.
    pub(crate) fn silo(&mut self, name: &str) -> &mut Running {
        self.silos.get_mut(name).unwrap()
    }

    /// Ends everything in good order, the agents first.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        for (_, running) in std::mem::take(&mut self.silos) {
            running.stop();
        }
        if let Some(coordinator) = self.coordinator.take() {
            coordinator.stop();
        }
    }

    /// Kills everything.
    pub(crate) fn kill(&mut self) {
        self.silos.clear();
        self.coordinator = None;
    }

    /// The folder that holds everybody's folders; commands run in it.
    pub(crate) fn at(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        executable::run(self.at(), arguments)
    }

    /// Runs a command that must succeed, with `--json`.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let text = self.run(&arguments).succeeded();
        serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{fault} in {text}"))
    }

    /// Submits a study, for the first time or again, and gives its id.
    #[track_caller]
    pub(crate) fn submit(&self, study: &str) -> String {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let asked = format!("[study]\nsubmission = \"{number}\"");
        fs::write(
            self.path("study.toml"),
            study.replacen("[study]", &asked, 1),
        )
        .unwrap();
        let submitted = self.json(&["study", "submit", "study.toml", "--dir", "researcher"]);
        submitted["study_id"].as_str().unwrap().to_owned()
    }

    /// Follows a study to its end and gives the last state that was shown.
    #[track_caller]
    pub(crate) fn watch(&self, id: &str) -> Value {
        let ran = self.run(&["study", "watch", id, "--dir", "researcher", "--json"]);
        let last = ran.out.lines().last().map(str::to_owned);
        let last = last.unwrap_or_else(|| panic!("nothing was shown: {}", ran.err));
        let last: Value = serde_json::from_str(&last).unwrap();
        let completed = last["state"] == "completed";
        assert_eq!(ran.code, Some(i32::from(!completed)), "{last} {}", ran.err);
        last
    }

    /// Follows a study that must complete and gives its result.
    #[track_caller]
    pub(crate) fn complete(&self, id: &str) -> Value {
        let last = self.watch(id);
        assert_eq!(last["state"], "completed", "{last}\n{}", self.logs());
        self.json(&["study", "result", id, "--dir", "researcher"])
    }

    /// Verifies the shared log as an auditor would who has the roster that a hospital pinned.
    #[track_caller]
    pub(crate) fn verify_log(&self) {
        let report = self.json(&[
            "audit",
            "verify",
            "coordinator/log",
            "--roster",
            "1_UM/roster",
        ]);
        assert_eq!(report["verified"], true, "{report}");
    }

    /// What one process has said.
    pub(crate) fn log_of(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// Everything that the processes have said, for the message of a failed test.
    pub(crate) fn logs(&self) -> String {
        let mut text = String::new();
        for name in ["coordinator"].iter().chain(&HOSPITALS) {
            let said = fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            let tail = lines
                .get(lines.len().saturating_sub(25)..)
                .unwrap_or_default();
            text.push_str(&format!("== {name}\n{}\n", tail.join("\n")));
        }
        text
    }
}

/// Copies a folder with everything in it and the permissions of its files.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
