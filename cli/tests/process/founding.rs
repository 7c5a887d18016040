// SPDX-License-Identifier: Apache-2.0
//! A consortium of four hospitals, founded once with the commands that people type.

use crate::executable::{Running, run, start};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The name under which every hospital registers its data.
pub(crate) const DATA: &str = "ercp-trial";
/// The researcher, as the study files name her.
pub(crate) const RESEARCHER: &str = "a.ruiz@uni.example";
/// The hospitals.
pub(crate) const HOSPITALS: [&str; 4] = ["1_UM", "2_IU", "3_UK", "4_Case"];

/// The folders as they are when everybody has joined and signed, and nothing runs.
pub(crate) struct Founded {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
}

/// The consortium: founded by the first test that asks, removed when the last one has ended.
pub(crate) fn founded() -> Arc<Founded> {
    static FOUNDED: Mutex<Weak<Founded>> = Mutex::new(Weak::new());
    let mut shared = FOUNDED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(founded) = shared.upgrade() {
        return founded;
    }
    let founded = Arc::new(found());
    *shared = Arc::downgrade(&founded);
    founded
}

fn found() -> Founded {
    let folder = tempfile::tempdir().unwrap();
    let (at, port) = (folder.path(), free_port());
    let listen = format!("127.0.0.1:{port}");
    run(
        at,
        &[
            "coordinator",
            "init",
            "--dir",
            "coordinator",
            "--name",
            "hub.example",
            "--listen",
            &listen,
            "--host",
            "127.0.0.1",
        ],
    )
    .succeeded();
    hasten(at);
    let coordinator = start_coordinator(at);
    for hospital in HOSPITALS {
        let invitation = invite(at, hospital, "silo");
        run(at, &["silo", "join", &invitation, "--dir", hospital]).succeeded();
        let policy = format!("{hospital}.policy.toml");
        fs::copy(
            example(&format!("policies/{hospital}.toml")),
            at.join(&policy),
        )
        .unwrap();
        run(
            at,
            &["silo", "policy", "install", &policy, "--dir", hospital],
        )
        .succeeded();
        let patients = format!("{hospital}.csv");
        fs::copy(
            example(&format!("data/indo-rct/{hospital}.csv")),
            at.join(&patients),
        )
        .unwrap();
        run(
            at,
            &[
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
                hospital,
            ],
        )
        .succeeded();
    }
    let invitation = invite(at, RESEARCHER, "researcher");
    run(at, &["certs", "join", &invitation, "--dir", "researcher"]).succeeded();
    run(
        at,
        &["coordinator", "roster", "propose", "--dir", "coordinator"],
    )
    .succeeded();
    for hospital in HOSPITALS {
        run(at, &["silo", "roster", "sign", "--dir", hospital, "--yes"]).succeeded();
    }
    coordinator.stop();
    Founded { folder, port }
}

/// Makes an invitation with the operator's command.
pub(crate) fn invite(at: &Path, name: &str, role: &str) -> String {
    let invite = [
        "certs",
        "invite",
        name,
        "--role",
        role,
        "--dir",
        "coordinator",
        "--json",
    ];
    let invited: Value = serde_json::from_str(&run(at, &invite).succeeded()).unwrap();
    invited["invitation"].as_str().unwrap().to_owned()
}

/// Starts the coordinator of the folder and waits until it is ready.
#[track_caller]
pub(crate) fn start_coordinator(at: &Path) -> Running {
    start_coordinator_with(at, &["coordinator", "run", "--dir", "coordinator"])
}

/// The same with other arguments.
#[track_caller]
pub(crate) fn start_coordinator_with(at: &Path, arguments: &[&str]) -> Running {
    let ready = at.join("coordinator/ready.json");
    // A process that was killed leaves it behind.
    let _ = fs::remove_file(&ready);
    let mut running = start(at, "coordinator", arguments);
    let until = Instant::now() + Duration::from_secs(60);
    while !ready.exists() {
        running.assert_alive();
        assert!(
            Instant::now() < until,
            "the coordinator is not ready:\n{}",
            running.said()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    running
}

/// Deadlines for tests, written as an operator would: long enough for a busy machine, without idle waits.
fn hasten(at: &Path) {
    let path = at.join("coordinator/coordinator.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (key, value) in [
        ("exchange_seconds", 30),
        ("training_seconds", 60),
        ("upload_seconds", 60),
        ("drop_seconds", 20),
        ("gathering_seconds", 60),
    ] {
        text = set_key(&text, key, &value.to_string());
    }
    fs::write(&path, text).unwrap();
}

/// The text of a TOML file with another value for a key that it has.
pub(crate) fn set_key(text: &str, key: &str, value: &str) -> String {
    let beginning = format!("{key} = ");
    assert!(
        text.lines().any(|line| line.starts_with(&beginning)),
        "no `{key}` in {text}"
    );
    text.lines()
        .map(|line| match line.starts_with(&beginning) {
            true => format!("{beginning}{value}\n"),
            false => format!("{line}\n"),
        })
        .collect()
}

/// A shipped example.
pub(crate) fn example(name: &str) -> String {
    format!("{}/../examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A port of the loopback interface that is free. It lies below the ports that the system gives to connections, so
/// that it is still free when a coordinator takes it, or takes it again.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
