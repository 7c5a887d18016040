// SPDX-License-Identifier: Apache-2.0
//! Gradient methods against golden weights computed elsewhere, on data that is not part of the project.

use std::path::PathBuf;

use consilium_learning::table::TableWarning;
use consilium_learning::{Study, Table, Task};

use crate::federation::{example_study, run_plain, run_through_integers};

#[test]
fn fedsgd_and_fedavg_reproduce_the_golden_weights() {
    let Some(data) = reference_data() else { return };
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join("golden/heart_golden.json")).unwrap())
            .unwrap();
    for (method, recipe, correct) in [
        ("heart-fedsgd", "public/fedsgd_R100_lr1", 202),
        ("heart-fedavg", "public/fedavg_R30_5steps_lr0.5", 203),
    ] {
        let study = example_study(method);
        let task = Task::new(&study).unwrap();
        let (training, test) = (
            tables(&data, &study, "train"),
            tables(&data, &study, "test"),
        );
        for (outcome, tolerance) in [
            (run_plain(&study, &training), 1e-9),
            (run_through_integers(&study, &training), 1e-4),
        ] {
            let weights = golden[recipe]["weights"].as_array().unwrap();
            // The golden intercept stands last, ours first.
            let (intercept, features) = outcome.model.parameters.split_first().unwrap();
            for (found, expected) in features.iter().chain([intercept]).zip(weights) {
                assert!(
                    (found - expected.as_f64().unwrap()).abs() < tolerance,
                    "{recipe}"
                );
            }
            let right: usize = test
                .iter()
                .map(|table| {
                    task.evaluate(&outcome.model, table)
                        .unwrap()
                        .unwrap()
                        .correct
                })
                .sum();
            assert_eq!(right, correct, "{recipe}");
        }
    }
}

#[test]
fn z_scores_of_each_hospitals_own_rows_give_the_golden_weights_of_that_recipe() {
    let Some(data) = reference_data() else { return };
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join("golden/heart_golden.json")).unwrap())
            .unwrap();
    let example = crate::federation::examples().join("studies/heart-fedsgd.toml");
    let example = std::fs::read_to_string(example).unwrap();
    // That recipe cuts nothing at public ranges and takes a cholesterol of 0 as it is.
    let lines = example.lines().map(|line| match line {
        "[data]" => "[data]\nscaling = \"per-site\"",
        line if line.starts_with("range") => "range = [-1000, 1000]",
        line => line,
    });
    let study = lines.collect::<Vec<_>>().join("\n");
    let study = Study::parse(study.as_bytes()).unwrap();
    let outcome = run_plain(&study, &tables_with(&data, &study, "train", "0"));
    let weights = golden["centre_z/fedsgd_R100_lr1"]["weights"]
        .as_array()
        .unwrap();
    let (intercept, features) = outcome.model.parameters.split_first().unwrap();
    for (found, expected) in features.iter().chain([intercept]).zip(weights) {
        let expected = expected.as_f64().unwrap();
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

#[test]
fn a_hospital_without_a_negative_outcome_takes_part_and_is_warned() {
    let Some(data) = reference_data() else { return };
    let study = example_study("heart-fedsgd");
    let task = Task::new(&study).unwrap();
    let training = tables(&data, &study, "train");
    let one_sided: Vec<bool> = training
        .iter()
        .map(|table| {
            task.contribution(&task.initial_model(), table).unwrap();
            let warnings = task.warnings(table);
            warnings
                .iter()
                .any(|warning| matches!(warning, TableWarning::OneOutcomeOnly { .. }))
        })
        .collect();
    assert_eq!(one_sided, [false, false, true, false], "only Switzerland");
}

fn reference_data() -> Option<PathBuf> {
    let folder =
        std::env::var_os("CONSILIUM_REFERENCE_DATA").map(|root| PathBuf::from(root).join("data"));
    if folder.is_none() {
        eprintln!(
            "SKIPPED: set CONSILIUM_REFERENCE_DATA to the folder that holds data/heart and data/golden"
        );
    }
    folder
}

/// One part of the data as four hospitals hold it, cholesterol 0 (not measured) replaced by 240.
fn tables(data: &std::path::Path, study: &Study, part: &str) -> Vec<Table> {
    tables_with(data, study, part, "240")
}

/// The same with what stands for a cholesterol that was not measured.
fn tables_with(
    data: &std::path::Path,
    study: &Study,
    part: &str,
    not_measured: &str,
) -> Vec<Table> {
    let text = std::fs::read_to_string(data.join("heart/fed_heart_disease.csv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    (0..4)
        .map(|centre| {
            let mut csv = format!("{header}\n");
            for row in rows
                .lines()
                .filter(|row| row.starts_with(&format!("{centre},{part},")))
            {
                let mut cells: Vec<&str> = row.split(',').collect();
                if cells[5].parse::<f64>().unwrap() == 0.0 {
                    cells[5] = not_measured;
                }
                csv.push_str(&format!("{}\n", cells.join(",")));
            }
            Table::read(csv.as_bytes(), &study.data).unwrap()
        })
        .collect()
}
