// SPDX-License-Identifier: Apache-2.0
//! The real trainer process, started as the agent starts it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use consilium_policies::Isolation;
use consilium_silo_agent::{TrainerCommand, probe_trainer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_consilium-silo-agent");

fn silo(arguments: &[&str], folder: &Path) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// A folder that looks like that of a silo that has joined, with a policy.
fn joined() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("silo.toml"),
        "[silo]\nname = \"3_UK\"\n[coordinator]\naddress = \"127.0.0.1:1\"\nserver_name = \"localhost\"\nname = \"federation\"\n\
         key = \"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"\n\
         ca_spki = \"0000000000000000000000000000000000000000000000000000000000000000\"\n",
    )
    .unwrap();
    folder
}

fn with_policy(folder: &Path, silo_name: &str) -> Output {
    let examples =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/examples/small-hospital.toml");
    let text = fs::read_to_string(examples).unwrap();
    let policy = text
        .lines()
        .map(|line| {
            if line.starts_with("silo = ") {
                format!("silo = \"{silo_name}\"")
            } else {
                line.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join("\n");
    let file = folder.join("offered.toml");
    fs::write(&file, policy).unwrap();
    silo(&["policy", "install", file.to_str().unwrap()], folder)
}

#[test]
fn a_sandboxed_child_cannot_open_a_socket_or_read_another_file_or_start_anything() {
    let folder = tempfile::tempdir().unwrap();
    let bait = folder.path().join("bait");
    fs::write(&bait, "secret").unwrap();
    let command = TrainerCommand(vec![PROGRAM.into(), "trainer".into()]);
    let (isolation, open) = probe_trainer(&command, &bait).unwrap();
    println!("isolation reached on this host: {isolation}");
    assert!(
        isolation >= Isolation::NoNetwork,
        "this host offers no seccomp: {isolation}"
    );
    assert!(open.is_empty(), "still open: {open:?}");
    assert!(!folder.path().join("bait.probe").exists());
}

#[test]
fn a_program_that_is_no_trainer_is_no_wall() {
    let command = TrainerCommand(vec!["/bin/cat".into()]);
    assert!(probe_trainer(&command, Path::new("/etc/hostname")).is_err());
    assert!(probe_trainer(&TrainerCommand(Vec::new()), Path::new("/etc/hostname")).is_err());
}

#[test]
fn a_data_set_is_registered_with_its_digest_and_columns() {
    let folder = joined();
    let installed = with_policy(folder.path(), "3_UK");
    assert!(installed.status.success(), "{}", said(&installed));
    let csv = folder.path().join("trial.csv");
    fs::write(&csv, "id,age\n1,50\n2,61\n3,47\n").unwrap();
    let registered = silo(
        &[
            "data",
            "register",
            "trial",
            "--json",
            "--file",
            csv.to_str().unwrap(),
        ],
        folder.path(),
    );
    assert!(registered.status.success(), "{}", said(&registered));
    let answer: serde_json::Value = serde_json::from_slice(&registered.stdout).unwrap();
    assert_eq!(
        (answer["rows"].as_u64(), answer["columns"][1].as_str()),
        (Some(3), Some("age"))
    );
    let listed = silo(&["data", "list"], folder.path());
    assert!(said(&listed).contains("trial  3 rows"));
}

#[test]
fn a_hospital_sees_what_of_its_data_does_not_fit_a_study() {
    let folder = joined();
    assert!(with_policy(folder.path(), "3_UK").status.success());
    let csv = folder.path().join("trial.csv");
    fs::write(&csv, "id,age\n1,50\n2,secret\n3,47\n4,\n").unwrap();
    let registered = silo(
        &[
            "data",
            "register",
            "trial",
            "--patient",
            "id",
            "--patients-at-most",
            "50",
            "--file",
            csv.to_str().unwrap(),
        ],
        folder.path(),
    );
    assert!(registered.status.success(), "{}", said(&registered));
    assert!(said(&registered).contains("at most 50 patients"));
    let study = folder.path().join("study.toml");
    let check = |privacy: &str| {
        fs::write(&study, format!("{STUDY}{privacy}")).unwrap();
        silo(
            &["data", "check", "trial", "--study", study.to_str().unwrap()],
            folder.path(),
        )
    };
    let noised = check(
        "mode = \"distributed\"\nepsilon = \"1\"\ndelta = \"1e-5\"\nexpected_patients = 100\n\
         most_patients_per_silo = 50\nmost_rows_per_patient = 1\n",
    );
    let text = said(&noised);
    assert!(noised.status.success(), "{text}");
    for told in [
        "2 patients take part",
        "2 rows were left out",
        "`age`: 2 cells",
    ] {
        assert!(text.contains(told), "{text}");
    }
    let exact = check("mode = \"none\"\n");
    let text = said(&exact);
    assert!(!exact.status.success() && text.contains("line 3"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

const STUDY: &str = r#"
[study]
name = "ages"
researcher = "a.ruiz@uni.example"
purpose = "scientific-research"
ethics = "IRB-2012-0117"
data = "trial"
deadline_hours = 24
[data]
patient = "id"
missing = "complete-case"
[data.columns.age]
type = "number"
range = [18, 100]
[analysis]
kind = "statistics"
[[analysis.means]]
column = "age"
[privacy]
"#;

#[test]
fn bad_data_sets_are_refused_with_file_line_and_fix_and_nothing_is_registered() {
    let folder = joined();
    assert!(with_policy(folder.path(), "3_UK").status.success());
    let csv = folder.path().join("trial.csv");
    let file = csv.to_str().unwrap().to_owned();
    for (content, expected) in [
        ("", "empty"),
        ("id,age\n", "no rows"),
        ("id,age\n1,50\n", "min_patients"),
        ("id,age\n1,50\n2,secret-value,3\n4,5\n", "line 3"),
    ] {
        fs::write(&csv, content).unwrap();
        let refused = silo(
            &["data", "register", "trial", "--file", &file],
            folder.path(),
        );
        let text = said(&refused);
        assert!(
            !refused.status.success() && text.contains(expected) && text.contains("trial.csv"),
            "{text}"
        );
        assert!(!text.contains("secret-value"), "{text}");
    }
    let missing = silo(
        &["data", "register", "trial", "--file", "/nonexistent.csv"],
        folder.path(),
    );
    assert!(said(&missing).contains("/nonexistent.csv"));
    let named = silo(
        &["data", "register", "../trial", "--file", &file],
        folder.path(),
    );
    assert!(said(&named).contains("no name for a data set"));
    assert!(said(&silo(&["data", "list"], folder.path())).contains("no data set is registered"));
}

#[test]
fn without_a_policy_or_a_join_nothing_is_registered_and_the_fix_is_named() {
    let folder = joined();
    let csv = folder.path().join("trial.csv");
    fs::write(&csv, "id\n1\n").unwrap();
    let register = ["data", "register", "trial", "--file", csv.to_str().unwrap()];
    let text = said(&silo(&register, folder.path()));
    assert!(text.contains("policy install"), "{text}");
    let elsewhere = tempfile::tempdir().unwrap();
    let text = said(&silo(&register, elsewhere.path()));
    assert!(
        text.contains("silo.toml") && text.contains("join"),
        "{text}"
    );
}

#[test]
fn a_policy_of_another_silo_or_of_an_older_version_is_not_installed() {
    let folder = joined();
    let other = with_policy(folder.path(), "4_Case");
    assert!(
        !other.status.success() && said(&other).contains("4_Case"),
        "{}",
        said(&other)
    );
    assert!(with_policy(folder.path(), "3_UK").status.success());
    let file = folder.path().join("offered.toml");
    let changed = fs::read_to_string(&file).unwrap() + "\n# another text under the same version\n";
    fs::write(&file, changed).unwrap();
    let refused = silo(
        &["policy", "install", file.to_str().unwrap()],
        folder.path(),
    );
    assert!(said(&refused).contains("version"), "{}", said(&refused));
}
