// SPDX-License-Identifier: Apache-2.0
//! Files that people write or that the trainer hands over: policies, studies, tables, models, vectors, settings.

use super::steer;
use anyhow::Result;
use consilium_learning::result::{Count, RegressionResult, StudyResult};
use consilium_learning::{Contribution, Model, Study, Table, Task};
use consilium_policies::Policy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::Path;

/// A policy is read alike each time.
pub(super) fn policy(input: &[u8]) {
    match (Policy::parse(input), Policy::parse(input)) {
        (Ok(first), Ok(second)) => assert_eq!(first, second),
        (Err(first), Err(second)) => assert_eq!(first.to_string(), second.to_string()),
        _ => assert_eq!("one reading", "another"),
    }
}

pub(super) fn policy_seeds() -> Result<Vec<Vec<u8>>> {
    let mut seeds = files("examples/policies")?;
    seeds.extend(files("policies/examples")?);
    Ok(seeds)
}

/// A study that is read has one task, and a plan or a reason why not.
pub(super) fn study(input: &[u8]) {
    if let Ok(study) = Study::parse(input) {
        assert_eq!(study.task_bytes(), study.task_bytes());
        for silos in [1, 4, 255] {
            let _ = study.vector_plan(silos, 0, 1);
        }
        if let Ok(task) = Task::new(&study) {
            let model = task.initial_model();
            assert_eq!(Model::from_bytes(&model.to_bytes()).ok(), Some(model));
        }
    }
}

pub(super) fn study_seeds() -> Result<Vec<Vec<u8>>> {
    files("examples/studies")
}

/// A table under one of the shipped schemas: as many rows as patients have, none lost.
pub(super) fn table(input: &[u8]) {
    let (which, csv) = steer(input);
    let Ok(studies) = study_seeds() else { return };
    let Some(study) = studies
        .get(which % studies.len().max(1))
        .and_then(|study| Study::parse(study).ok())
    else {
        return;
    };
    if let Ok(table) = Table::read(csv, &study.data) {
        let held: usize = table.patients().iter().map(Vec::len).sum();
        assert_eq!(held, table.row_count());
        assert_eq!(table.patients().len(), table.patient_count());
        if let Ok(task) = Task::new(&study) {
            let _ = task.contribution(&task.initial_model(), &table);
        }
    }
    let _ = consilium_learning::table::count_rows(csv);
}

pub(super) fn table_seeds() -> Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for csv in files("examples/data/indo-rct")?.into_iter().take(1) {
        // The heading and a few rows are enough.
        let head: Vec<&[u8]> = csv.split_inclusive(|byte| *byte == b'\n').take(6).collect();
        for which in 0..6 {
            seeds.push([&[which], head.concat().as_slice()].concat());
        }
    }
    Ok(seeds)
}

/// Models and contributions have one spelling.
pub(super) fn vectors(input: &[u8]) {
    if let Ok(model) = Model::from_bytes(input) {
        assert_eq!(model.to_bytes(), input);
    }
    let (dimension, rest) = steer(input);
    if let Ok(contribution) = Contribution::from_bytes(rest, dimension) {
        assert_eq!(contribution.to_bytes(), rest);
    }
}

pub(super) fn vectors_seeds() -> Result<Vec<Vec<u8>>> {
    let mut seeds = vec![Model::none().to_bytes()];
    for study in study_seeds()? {
        if let Ok(study) = Study::parse(&study)
            && let Ok(task) = Task::new(&study)
        {
            seeds.push(task.initial_model().to_bytes());
        }
    }
    let sum = Contribution::Sum(vec![0.5, -1.0, f64::MAX]);
    seeds.push([vec![3], sum.to_bytes()].concat());
    Ok(seeds)
}

/// A result as a researcher receives it is written so that it is read alike.
pub(super) fn result(input: &[u8]) {
    let Ok(result) = serde_json::from_slice::<StudyResult>(input) else {
        return;
    };
    let _ = (
        result.parameters(),
        result.statistics(),
        result.regression(),
    );
    let written = serde_json::to_vec(&result).unwrap_or_default();
    let again = serde_json::from_slice::<StudyResult>(&written);
    let again = again
        .ok()
        .map(|again| serde_json::to_vec(&again).unwrap_or_default());
    assert_eq!(again, Some(written));
}

pub(super) fn result_seeds() -> Result<Vec<Vec<u8>>> {
    let regression = RegressionResult {
        method: "Newton's method".to_owned(),
        names: vec!["intercept".to_owned(), "age".to_owned()],
        coefficients: vec![0.25, -1.5e-300],
        standard_errors: Some(vec![0.1, f64::MAX]),
        odds_ratios: vec![1.0, 2.0],
        intervals: Some(vec![[0.5, 1.5], [1.5, 2.5]]),
        rounds: 3,
        converged: Some(true),
        log_likelihood: Some(-1.5),
        examples: Some(Count(120.0)),
        evaluation: None,
    };
    [
        StudyResult::LogisticRegression(regression.clone()),
        StudyResult::NeuralNetwork(regression),
    ]
    .iter()
    .map(|result| Ok(serde_json::to_vec_pretty(result)?))
    .collect()
}

/// `silo.toml`, `coordinator.toml`, and the description of a data set.
pub(super) fn settings(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    reads_again::<consilium_silo_agent::config::Config>(text);
    reads_again::<consilium_coordinator::config::Config>(text);
    reads_again::<consilium_silo_agent::registration::DataSet>(text);
}

pub(super) fn settings_seeds() -> Result<Vec<Vec<u8>>> {
    let hosts = vec!["coordinator.example".to_owned()];
    let coordinator =
        consilium_coordinator::config::Config::new("coordinator", "127.0.0.1:0", hosts);
    let digest = consilium_crypto::transcript::sha256(b"file");
    Ok(vec![
        toml::to_string(&coordinator)?.into_bytes(),
        b"[silo]\nname = \"3_UK\"\n[coordinator]\naddress = \"coordinator.example:8443\"\nserver_name = \"coordinator.example\"\n".to_vec(),
        format!(
            "name = \"trial\"\npath = \"/data/trial.csv\"\nsha256 = \"{digest}\"\nlineage = \"trial\"\nrows = 120\npatient = \"id\"\npatients = 100\nmin_patients = 20\npatients_at_most = 128\ncolumns = [\"age\"]\nregistered = \"2026-01-01T00:00:00Z\"\n"
        )
        .into_bytes(),
    ])
}

/// The files of a folder of the repository, in the order of their names; folders in it are left out.
fn files(folder: &str) -> Result<Vec<Vec<u8>>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(folder);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    let files = paths.iter().filter(|path| path.is_file());
    files.map(|path| Ok(std::fs::read(path)?)).collect()
}

/// What is read is read again from what is written.
fn reads_again<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    if let Ok(value) = toml::from_str::<T>(text)
        && let Ok(written) = toml::to_string(&value)
    {
        assert_eq!(toml::from_str::<T>(&written).ok(), Some(value));
    }
}
