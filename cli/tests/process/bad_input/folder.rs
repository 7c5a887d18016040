// SPDX-License-Identifier: Apache-2.0
//! Ports, addresses, folders in use, and secrets that others can read.

use crate::executable::start;
use crate::federation::Federation;
use crate::founding::invite;
use crate::studies::{STATISTICS, assert_completes_exactly};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const RUN_COORDINATOR: [&str; 4] = ["coordinator", "run", "--dir", "coordinator"];
const RUN_SILO: [&str; 4] = ["silo", "run", "--dir", "3_UK"];

#[test]
fn a_port_in_use_is_named_with_the_key_to_change() {
    let mut federation = Federation::resting();
    let occupied = TcpListener::bind(federation.address()).unwrap();
    let named = [
        &federation.address(),
        "`listen`",
        "coordinator.toml",
        "in use",
    ];
    federation.run(&RUN_COORDINATOR).failed(2, &named);
    assert!(!federation.path("coordinator/ready.json").exists());
    drop(occupied);
    federation.start_coordinator();
    federation
        .run(&["study", "list", "--dir", "researcher"])
        .succeeded();
}

#[test]
fn a_coordinator_that_is_not_reachable_is_named_and_agents_wait_for_it() {
    let mut federation = Federation::resting();
    let invitation = invite(federation.at(), "5_New", "silo");
    let address = federation.address();
    let join = ["silo", "join", &invitation, "--dir", "5_New"];
    federation
        .run(&join)
        .failed(2, &[&address, "not reachable"]);
    let list = ["study", "list", "--dir", "researcher"];
    federation
        .run(&list)
        .failed(2, &[&address, "not reachable"]);
    fs::write(federation.path("study.toml"), STATISTICS).unwrap();
    let submit = ["study", "submit", "study.toml", "--dir", "researcher"];
    federation
        .run(&submit)
        .failed(2, &[&address, "not reachable"]);

    for hospital in crate::founding::HOSPITALS {
        federation.start_silo(hospital);
    }
    let until = Instant::now() + Duration::from_secs(30);
    while !federation.silo("3_UK").said().contains("not reachable") {
        federation.silo("3_UK").assert_alive();
        assert!(Instant::now() < until, "{}", federation.logs());
        std::thread::sleep(Duration::from_millis(20));
    }
    federation.start_coordinator();
    federation.run(&join).succeeded();
    let id = federation.submit(STATISTICS);
    assert_completes_exactly(&mut federation, &id);
}

#[test]
fn a_folder_belongs_to_one_process_at_a_time() {
    let mut federation = Federation::running();
    let id = federation.submit(STATISTICS);
    federation.complete(&id);
    federation
        .run(&RUN_SILO)
        .failed(2, &["`3_UK` is in use by process", "--dir"]);
    federation
        .run(&RUN_COORDINATOR)
        .failed(2, &["`coordinator` is in use by process", "--dir"]);
    // The lock of a process that was killed is nobody's.
    federation.kill_silo("3_UK");
    federation.start_silo("3_UK");
    let id = federation.submit(STATISTICS);
    assert_completes_exactly(&mut federation, &id);
}

#[test]
fn secrets_that_others_can_read_are_refused_with_the_command_that_mends_it() {
    let mut federation = Federation::resting();
    federation.start_coordinator();
    let list = ["study", "list", "--dir", "researcher"];
    for secret in ["identity.key", "witness.key", "tls.key"] {
        exposed(&federation, &format!("3_UK/identity/{secret}"), &RUN_SILO);
    }
    exposed(&federation, "researcher/identity/identity.key", &list);
    exposed(&federation, "researcher/identity/tls.key", &list);
    federation.run(&list).succeeded();
    federation.stop_coordinator();
    for secret in ["identity.key", "log.key", "tls.key", "authority.key"] {
        exposed(
            &federation,
            &format!("coordinator/identity/{secret}"),
            &RUN_COORDINATOR,
        );
    }
    federation.start();
    let id = federation.submit(STATISTICS);
    federation.complete(&id);
    // Made by the agent itself.
    federation.stop_silo("3_UK");
    exposed(&federation, "3_UK/attempts/instance", &RUN_SILO);
    federation.start_silo("3_UK");
    let id = federation.submit(STATISTICS);
    assert_completes_exactly(&mut federation, &id);
}

/// Lets others read a secret, sees the command refuse it, and mends it with the command that the message names.
#[track_caller]
fn exposed(federation: &Federation, secret: &str, arguments: &[&str]) {
    let path = federation.path(secret);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let fix = format!("chmod 600 {secret}");
    federation.run(arguments).failed(2, &[secret, "644", &fix]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn folders_that_are_none_and_configurations_that_are_damaged_are_named() {
    let mut federation = Federation::resting();
    federation
        .run(&["silo", "run", "--dir", "nowhere"])
        .failed(2, &["nowhere/silo.toml", "join"]);
    let coordinator = federation.run(&["coordinator", "run", "--dir", "nowhere"]);
    coordinator.failed(2, &["nowhere/coordinator.toml", "coordinator init"]);
    let list = federation.run(&["study", "list", "--dir", "nowhere"]);
    list.failed(2, &["nowhere/user.toml", "certs join"]);
    assert!(!federation.path("nowhere").exists());

    for (file, command) in [
        ("3_UK/silo.toml", RUN_SILO),
        ("coordinator/coordinator.toml", RUN_COORDINATOR),
        (
            "researcher/user.toml",
            ["study", "list", "--dir", "researcher"],
        ),
    ] {
        let good = fs::read_to_string(federation.path(file)).unwrap();
        fs::write(federation.path(file), format!("lissen = 1\n{good}")).unwrap();
        federation.run(&command).failed(2, &[file, "lissen"]);
        fs::write(federation.path(file), good).unwrap();
    }
    federation.start_coordinator();
    federation
        .run(&["study", "list", "--dir", "researcher"])
        .succeeded();
    // An agent that starts runs on: `start` and not `run`.
    start(federation.at(), "3_UK", &RUN_SILO).assert_alive();
}
