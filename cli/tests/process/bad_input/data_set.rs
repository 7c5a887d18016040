// SPDX-License-Identifier: Apache-2.0
//! Data and policies that a study cannot use: the hospital's own log says why, others hear one word.

use crate::crashes::await_rounds;
use crate::federation::Federation;
use crate::founding::DATA;
use crate::studies::{STATISTICS, assert_completes_exactly, private, replaced};
use std::fs;
use std::time::{Duration, Instant};

const VICTIM: &str = "3_UK";

/// The reason that everybody but the hospital hears.
const NOT_READY: &str = "`3_UK` is not ready";

#[test]
fn an_empty_or_ragged_data_set_is_not_registered_and_the_one_before_stays() {
    let federation = Federation::resting();
    let patients = fs::read_to_string(federation.path("3_UK.csv")).unwrap();
    let heading = patients.lines().next().unwrap().to_owned();
    let few: String = patients
        .lines()
        .take(5)
        .map(|line| format!("{line}\n"))
        .collect();
    let cases: [(&str, &[&str]); 4] = [
        ("", &["empty", "columns"]),
        (&heading, &["no rows"]),
        (
            &format!("{patients}1,2,3\n"),
            &["line 24", "number of cells"],
        ),
        (&few, &["min_patients", "20"]),
    ];
    for (content, named) in cases {
        fs::write(federation.path("bad.csv"), content).unwrap();
        let said = federation.run(&register("bad.csv")).failed(2, named);
        assert!(said.contains("bad.csv"), "{said}");
    }
    federation
        .run(&register("nowhere.csv"))
        .failed(2, &["nowhere.csv"]);
    let listed = federation.json(&["silo", "data", "list", "--dir", VICTIM]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed[0]["rows"], 22, "{listed}");
    federation.run(&register("3_UK.csv")).succeeded();
}

#[test]
fn a_cell_that_is_no_number_is_told_to_the_hospital_alone() {
    let mut federation = Federation::running();
    let good = fs::read_to_string(federation.path("3_UK.csv")).unwrap();
    fs::write(
        federation.path("3_UK.csv"),
        with_cell(&good, 6, "age", "unrecorded"),
    )
    .unwrap();
    federation.run(&register("3_UK.csv")).succeeded();

    is_not_ready(
        &federation,
        STATISTICS,
        &["line 7", "age"],
        &["line 7", "unrecorded", "3_UK.csv"],
    );
    assert!(
        !own_log(&federation).contains("unrecorded"),
        "a value stands in the hospital's log"
    );

    fs::write(federation.path("3_UK.csv"), good).unwrap();
    federation.run(&register("3_UK.csv")).succeeded();
    completes(&mut federation);
}

#[test]
fn under_noise_a_cell_that_does_not_fit_ends_nothing_and_is_told_to_the_hospital_alone() {
    let federation = Federation::running();
    let good = fs::read_to_string(federation.path("3_UK.csv")).unwrap();
    let bad = with_cell(&good, 6, "age", "unrecorded");
    let bad = with_cell(&bad, 9, "rx", "9_other");
    fs::write(federation.path("3_UK.csv"), bad).unwrap();
    federation.run(&register("3_UK.csv")).succeeded();

    let id = federation.submit(&private(2, 1));
    let last = federation.watch(&id);
    assert_eq!(last["state"], "completed", "{last}\n{}", federation.logs());
    assert_eq!(last["dropouts"].as_array().unwrap().len(), 0, "{last}");
    let log = federation
        .run(&["audit", "show", "3_UK/log", "--kind", "data_set", "--json"])
        .succeeded();
    for told in ["`age`: 1 cells", "`rx`: 1 cells", "2 rows were left out"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    others_hold_nothing_of(
        &federation,
        &["left out", "1 cells", "unrecorded", "9_other"],
    );
    // Nor does standard error, which goes wherever operators send it.
    let stderr = fs::read_to_string(federation.path("3_UK.log")).unwrap();
    for fragment in ["left out", "deserves a look", "unrecorded"] {
        assert!(!stderr.contains(fragment), "{stderr}");
    }
}

#[test]
fn a_column_that_a_hospital_does_not_have_is_told_to_it_alone() {
    let mut federation = Federation::running();
    let good = fs::read_to_string(federation.path("3_UK.csv")).unwrap();
    fs::write(
        federation.path("3_UK.csv"),
        replaced(&good, "risk", "riskscore"),
    )
    .unwrap();
    federation.run(&register("3_UK.csv")).succeeded();

    is_not_ready(
        &federation,
        STATISTICS,
        &["`risk`"],
        &["riskscore", "3_UK.csv"],
    );

    fs::write(federation.path("3_UK.csv"), good).unwrap();
    federation.run(&register("3_UK.csv")).succeeded();
    completes(&mut federation);
}

#[test]
fn a_data_set_that_changed_after_it_was_registered_is_registered_again_or_not_used() {
    let mut federation = Federation::running();
    let good = fs::read_to_string(federation.path("3_UK.csv")).unwrap();
    fs::write(federation.path("3_UK.csv"), format!("{good}\n")).unwrap();

    is_not_ready(
        &federation,
        STATISTICS,
        &["changed", "register"],
        &["changed", "3_UK.csv"],
    );
    let doctor = federation.run(&["silo", "doctor", "--dir", VICTIM]);
    assert_eq!(doctor.code, Some(1), "{}", doctor.out);
    assert!(
        doctor.out.contains("`data register ercp-trial --file"),
        "{}",
        doctor.out
    );

    federation.run(&register("3_UK.csv")).succeeded();
    completes(&mut federation);
}

#[test]
fn a_data_set_that_changes_during_a_study_ends_the_hospitals_part_in_it_and_not_in_the_next() {
    let mut federation = Federation::running();
    let good = fs::read_to_string(federation.path("3_UK.csv")).unwrap();
    let id = federation.submit(&private(8, 2));
    await_rounds(&federation, &id, 2);
    fs::write(federation.path("3_UK.csv"), format!("{good}\n")).unwrap();
    let last = federation.watch(&id);
    assert_eq!(last["state"], "completed", "{last}\n{}", federation.logs());
    assert_eq!(last["dropouts"][0]["silo"], VICTIM, "{last}");
    own_log_says(&federation, &["changed"]);

    federation.run(&register("3_UK.csv")).succeeded();
    completes(&mut federation);
}

#[test]
fn a_data_set_that_is_missing_is_not_ready_and_nothing_more() {
    let mut federation = Federation::running();
    fs::remove_file(federation.path(&format!("3_UK/data/{DATA}.toml"))).unwrap();

    let id = federation.submit(STATISTICS);
    let last = federation.watch(&id);
    assert_eq!(last["state"], "refused", "{last}");
    // A hospital without the data set has no count that its policy could look at; the word is the same.
    assert_eq!(last["reason"], NOT_READY, "{last}");

    federation.run(&register("3_UK.csv")).succeeded();
    completes(&mut federation);
}

#[test]
fn a_hospital_without_a_policy_refuses_everything_until_one_is_installed() {
    let mut federation = Federation::running();
    fs::remove_file(federation.path("3_UK/policy.toml")).unwrap();
    federation
        .run(&register("3_UK.csv"))
        .failed(2, &["policy.toml", "silo policy install"]);

    let id = federation.submit(STATISTICS);
    let last = federation.watch(&id);
    assert_eq!(last["state"], "refused", "{last}");
    assert_eq!(last["refusals"][0]["silo"], VICTIM, "{last}");
    let conditions = last["refusals"][0]["conditions"].to_string();
    assert!(conditions.contains("policy"), "{last}");
    own_log_says(&federation, &["silo policy install"]);

    // Another hospital's policy is none.
    let other = [
        "silo",
        "policy",
        "install",
        "4_Case.policy.toml",
        "--dir",
        VICTIM,
    ];
    federation.run(&other).failed(
        2,
        &["4_Case.policy.toml", "4_Case", "3_UK", "[policy] silo"],
    );
    federation.edit("3_UK.policy.toml", |text| {
        replaced(&text, "min_silos", "min_silo")
    });
    let own = [
        "silo",
        "policy",
        "install",
        "3_UK.policy.toml",
        "--dir",
        VICTIM,
    ];
    federation
        .run(&own)
        .failed(2, &["3_UK.policy.toml", "min_silo", "`min_silos`"]);
    assert!(!federation.path("3_UK/policy.toml").exists());

    federation.edit("3_UK.policy.toml", |text| {
        replaced(&text, "min_silo", "min_silos")
    });
    federation.run(&own).succeeded();
    completes(&mut federation);
}

fn register(file: &str) -> [&str; 12] {
    [
        "silo",
        "data",
        "register",
        DATA,
        "--file",
        file,
        "--patient",
        "id",
        "--patients-at-most",
        "1000",
        "--dir",
        VICTIM,
    ]
}

/// Submits a study that the victim cannot serve: its own log says why, with all of `own`; the coordinator's log,
/// database and output hold nothing of `secret`.
#[track_caller]
fn is_not_ready(federation: &Federation, study: &str, own: &[&str], secret: &[&str]) {
    let id = federation.submit(study);
    let last = federation.watch(&id);
    assert_eq!(last["state"], "refused", "{last}");
    assert_eq!(last["reason"], NOT_READY, "{last}");
    assert_eq!(last["refusals"].as_array().unwrap().len(), 0, "{last}");
    own_log_says(federation, own);
    others_hold_nothing_of(federation, secret);
}

/// The coordinator's log, database and output hold nothing of this.
#[track_caller]
fn others_hold_nothing_of(federation: &Federation, secret: &[&str]) {
    let files = [
        "coordinator/log/entries.jsonl",
        "coordinator/state.sqlite",
        "coordinator/state.sqlite-wal",
        "coordinator.log",
    ];
    for file in files {
        let Ok(bytes) = fs::read(federation.path(file)) else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        for fragment in secret {
            assert!(!text.contains(fragment), "`{file}` holds {fragment:?}");
        }
    }
}

/// Waits until the victim's own log tells all of this about a study: it is signed when the agent hears of the end.
#[track_caller]
fn own_log_says(federation: &Federation, fragments: &[&str]) {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let log = own_log(federation);
        let lacking = fragments.iter().find(|fragment| !log.contains(**fragment));
        let Some(fragment) = lacking else { return };
        assert!(
            Instant::now() < until,
            "the hospital's log lacks {fragment:?}: {log}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The events about studies in the victim's own log.
fn own_log(federation: &Federation) -> String {
    federation
        .run(&["audit", "show", "3_UK/log", "--kind", "study", "--json"])
        .succeeded()
}

#[track_caller]
fn completes(federation: &mut Federation) {
    let id = federation.submit(STATISTICS);
    assert_completes_exactly(federation, &id);
}

/// The CSV with another value in one cell; rows count from 1 below the heading.
fn with_cell(csv: &str, row: usize, column: &str, value: &str) -> String {
    let heading: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let at = heading
        .iter()
        .position(|name| name.trim_matches('"') == column)
        .unwrap();
    let lines = csv.lines().enumerate().map(|(number, line)| {
        let mut cells: Vec<&str> = line.split(',').collect();
        if number == row {
            cells[at] = value;
        }
        format!("{}\n", cells.join(","))
    });
    lines.collect()
}
