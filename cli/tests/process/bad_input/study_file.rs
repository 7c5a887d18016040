// SPDX-License-Identifier: Apache-2.0
//! A study file that cannot be read as one never leaves the researcher's machine.

use crate::federation::Federation;
use crate::studies::{STATISTICS, replaced};
use std::fs;

const SUBMIT: [&str; 5] = ["study", "submit", "study.toml", "--dir", "researcher"];

#[test]
fn a_study_file_is_refused_with_its_name_the_place_and_the_fix_and_works_once_mended() {
    let mut federation = Federation::resting();
    federation.start_coordinator();
    let cases: [(&str, &str, &[&str]); 7] = [
        // Malformed.
        (
            r#"kind = "statistics""#,
            r#"kind = "statistics"#,
            &["not valid TOML", "line 35"],
        ),
        (
            r#"mode = "none""#,
            r#"mode = "nun""#,
            &["privacy.mode", "nun", "`none`"],
        ),
        // Unknown keys, at both levels.
        (
            "deadline_hours",
            "deadline_hour",
            &["study.deadline_hour", "did you mean `deadline_hours`?"],
        ),
        (
            "[aggregation]",
            "[agregation]",
            &["agregation", "did you mean `aggregation`?"],
        ),
        // Unknown columns.
        (
            r#"rows = "rx""#,
            r#"rows = "rxx""#,
            &["analysis.tables[0].rows", "rxx", "did you mean `rx`?"],
        ),
        // Values that cannot be.
        (
            "range = [18, 100]",
            "range = [100, 18]",
            &["data.columns.age.range"],
        ),
        // Somebody else's study.
        (
            "a.ruiz@uni.example",
            "m.keller@uni.example",
            &["study.researcher", "m.keller", "a.ruiz"],
        ),
    ];
    for (part, by, named) in cases {
        fs::write(
            federation.path("study.toml"),
            replaced(STATISTICS, part, by),
        )
        .unwrap();
        let said = federation.run(&SUBMIT).failed(2, named);
        assert!(said.contains("study.toml"), "{said}");
    }
    let nowhere = ["study", "submit", "nowhere.toml", "--dir", "researcher"];
    federation.run(&nowhere).failed(2, &["nowhere.toml"]);
    let listed = federation.json(&["study", "list", "--dir", "researcher"]);
    assert_eq!(listed.as_array().unwrap().len(), 0, "{listed}");

    federation.submit(STATISTICS);
    let listed = federation.json(&["study", "list", "--dir", "researcher"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
}
