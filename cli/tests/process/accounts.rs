// SPDX-License-Identifier: Apache-2.0
//! After a study that really ran: its report, and the next study planned against a hospital's exported ledger.

use crate::federation::Federation;
use crate::studies::private;
use consilium_crypto::transcript::sha256;
use serde_json::Value;
use std::fs;

const HOSPITAL: &str = "2_IU";

#[test]
fn a_study_that_ran_is_reported_and_the_ledger_it_left_plans_the_next_one() {
    let mut federation = Federation::running();
    let id = federation.submit(&private(2, 2));
    federation.complete(&id);
    let result = ["study", "result", &id, "--dir", "researcher", "--out"];
    federation
        .run(&[&result[..], &["results"]].concat())
        .succeeded();
    federation.stop();
    assert_reported(&federation, &id);
    assert_planned(&federation);
}

/// The report of the file that was signed and the result that came back.
#[track_caller]
fn assert_reported(federation: &Federation, id: &str) {
    let asked = words("privacy report study.toml --silos 4 --results results --out results");
    federation.run(&asked).succeeded();
    let report = fs::read(federation.path("results/privacy-report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let signed = fs::read(federation.path("study.toml")).unwrap();
    assert_eq!(report["study"]["digest"], sha256(&signed).to_string());
    assert_eq!(report["accounting"]["rounds_planned"], 2);
    assert_eq!(report["accounting"]["rounds_run"], 2);
    assert_eq!(report["accounting"]["attempts_planned"], 4);
    assert_eq!(report["accounting"]["charged"], Value::Null);
    // What was promised is what the ledger set aside: the same attempts, and none that was not charged.
    let ledger = federation.json(&["silo", "ledger", "show", "--dir", HOSPITAL]);
    let reserved = ledger["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["entry"]["reserved"])
        .find(|reserved| reserved["job"] == id)
        .unwrap();
    assert_eq!(
        reserved["attempts"],
        report["accounting"]["attempts_planned"]
    );
    let charged = &report["views"]["colluders"]["certified"]["epsilon"];
    let charged = number(charged);
    assert!(charged > 2.99 && charged <= 3.0, "{charged}");
    let page = fs::read_to_string(federation.path("results/privacy-report.html")).unwrap();
    assert!(page.contains("rounds run</th><td>2</td>"), "{page}");
    let trusted = report["guarantee"]["trust_model"].as_str().unwrap();
    assert!(trusted.contains("1 of 4 silos may collude"), "{trusted}");
}

/// The hospital's own account, before the next study and after it.
#[track_caller]
fn assert_planned(federation: &Federation) {
    let export = words("silo ledger export --out ledger.jsonl --dir");
    federation
        .run(&[&export[..], &[HOSPITAL]].concat())
        .succeeded();
    let shown = federation.json(&["silo", "ledger", "show", "--dir", HOSPITAL]);
    let left = percent(&shown["accounts"][0]["remaining"]);
    assert!((60.0..80.0).contains(&left), "two of four attempts: {left}");

    let report = words("privacy report study.toml --silos 4 --ledger ledger.jsonl --out again");
    federation.run(&report).succeeded();
    let report = fs::read(federation.path("again/privacy-report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let charged = &report["accounting"]["charged"];
    assert_eq!(charged["attempts_reserved"], 4, "{charged}");
    assert_eq!(charged["attempts_committed"], 2, "{charged}");
    assert_eq!(charged["released"], true, "{charged}");

    let plan = words("privacy plan study.toml --silos 4 --ledger ledger.jsonl");
    let planned = federation.json(&plan);
    let budget = &planned["budgets"][0];
    assert_eq!(budget["from_ledger"], true);
    assert!((budget["left_before"].as_f64().unwrap() - left).abs() < 1e-9);
    let (needed, after) = (&budget["needed"], &budget["left_after"]);
    let sum = needed.as_f64().unwrap() + after.as_f64().unwrap();
    // Each is rounded to its own side by less than a tenth of a percent.
    assert!((sum - left).abs() < 0.2, "{budget}");

    // A share that leaves room for more studies, and the noise for it.
    let share = [&plan[..], &["--budget-share", "20"]].concat();
    let raised = federation.json(&share);
    assert!(raised["budgets"][0]["needed"].as_f64().unwrap() <= 20.0);
    assert!(number(&raised["raised"]["epsilon"]) < 3.0, "{raised}");

    // More rounds than are paid for are refused, and what is offered instead is accepted.
    let longer = fs::read_to_string(federation.path("study.toml")).unwrap();
    let longer = longer.replace("epsilon = \"3\"", "epsilon = \"6\"");
    fs::write(federation.path("longer.toml"), &longer).unwrap();
    let plan = words("privacy plan longer.toml --silos 4 --ledger ledger.jsonl");
    let refused = federation.run(&plan);
    assert_eq!(refused.code, Some(1), "{}{}", refused.out, refused.err);
    let offered = refused
        .out
        .lines()
        .find_map(|line| line.trim().strip_prefix("instead: `epsilon` "))
        .and_then(|rest| rest.split(' ').next())
        .unwrap();
    let smaller = longer.replace("epsilon = \"6\"", &format!("epsilon = \"{offered}\""));
    fs::write(federation.path("longer.toml"), smaller).unwrap();
    federation.run(&plan).succeeded();

    // A ledger that was changed decides nothing.
    let lines = fs::read_to_string(federation.path("ledger.jsonl")).unwrap();
    let changed = lines.replacen("\"attempts\":4", "\"attempts\":2", 1);
    assert_ne!(changed, lines);
    fs::write(federation.path("ledger.jsonl"), changed).unwrap();
    federation.run(&plan).failed(2, &["ledger.jsonl"]);
}

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

fn number(text: &Value) -> f64 {
    text.as_str().unwrap().parse().unwrap()
}

/// A share as it is shown.
fn percent(text: &Value) -> f64 {
    let text = text.as_str().unwrap();
    text.trim_end_matches(" %").parse().unwrap()
}
