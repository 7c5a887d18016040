// SPDX-License-Identifier: Apache-2.0
//! What a cell that no study expects does to a private study: nothing that others could see, and nothing to other patients.

use consilium_learning::{Contribution, Study, Table, Task};

use crate::federation::{example_study, examples};

/// Every kind of private study that is shipped on these patients.
const STUDIES: [&str; 7] = [
    "private-statistics",
    "private-logistic",
    "private-linear",
    "private-network",
    "private-newton",
    "private-sampled",
    "private-local",
];

/// Cells that no study expects.
const UNFIT: [&str; 8] = ["", "NA", "?", "9_other", "nan", "-inf", "1e999", "0x10"];

/// One hospital's file, with the cells of one patient's row replaced where `with` says so.
fn file_with(with: impl Fn(&str) -> Option<&'static str>) -> String {
    let csv = std::fs::read_to_string(examples().join("data/indo-rct/3_UK.csv")).unwrap();
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let lines = csv.lines().enumerate().map(|(number, line)| {
        if number != 6 {
            return format!("{line}\n");
        }
        let cells: Vec<&str> = header
            .iter()
            .zip(line.split(','))
            .map(|(name, cell)| with(name).unwrap_or(cell))
            .collect();
        format!("{}\n", cells.join(","))
    });
    lines.collect()
}

fn vectors(study: &Study, csv: &str) -> Vec<Vec<f64>> {
    let table = Table::of_study(csv.as_bytes(), study).unwrap();
    let task = Task::new(study).unwrap();
    match task.contribution(&task.initial_model(), &table).unwrap() {
        Contribution::PatientVectors { vectors, .. } => vectors,
        Contribution::Sum(_) => panic!("the study is noised"),
    }
}

#[test]
fn whatever_one_patients_cells_hold_changes_that_patients_vector_only() {
    for name in STUDIES {
        let study = example_study(name);
        let whole = vectors(&study, &file_with(|_| None));
        let others: Vec<_> = (0..whole.len())
            .filter(|patient| *patient != 5)
            .map(|patient| whole[patient].clone())
            .collect();
        assert_eq!(others.len() + 1, whole.len());
        let used: Vec<&str> = study.data.columns.keys().map(String::as_str).collect();
        assert!(!used.is_empty());
        for cell in UNFIT {
            for column in &used {
                let found = vectors(
                    &study,
                    &file_with(|named| (named == *column).then_some(cell)),
                );
                assert_eq!(found, others, "{name}: `{cell}` in `{column}`");
            }
        }
        for cell in ["", "NA", "?"] {
            let found = vectors(&study, &file_with(|named| (named == "id").then_some(cell)));
            assert_eq!(found, others, "{name}: `{cell}` for the patient");
        }
    }
}

#[test]
fn a_level_that_the_researcher_leaves_out_is_answered_as_one_that_is_there() {
    let path = examples().join("studies/private-statistics.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let asked = |levels: &str| {
        let known =
            "levels = { \"0_placebo\" = \"placebo\", \"1_indomethacin\" = \"indomethacin\" }";
        assert!(text.contains(known));
        Study::parse(text.replace(known, levels).as_bytes()).unwrap()
    };
    let every = asked("levels = { \"0_placebo\" = \"p\", \"1_indomethacin\" = \"i\" }");
    let one = asked("levels = { \"0_placebo\" = \"p\", \"2_nothing\" = \"i\" }");
    let (every, one) = (
        vectors(&every, &file_with(|_| None)),
        vectors(&one, &file_with(|_| None)),
    );
    assert!(!one.is_empty() && one.len() < every.len());
    assert!(one.iter().all(|vector| every.contains(vector)));
}

/// Who fits must not show in how much work a table is, beyond what a patient's own rows are.
#[test]
fn a_patient_who_does_not_fit_is_as_many_vectors_and_bytes_as_one_who_does() {
    let written = |study: &Study, csv: &str| {
        let (task, table) = (
            Task::new(study).unwrap(),
            Table::of_study(csv.as_bytes(), study).unwrap(),
        );
        let model = task.initial_model();
        let unfit = task.unfit_patients(model.stage, &table);
        let mut bytes = Vec::new();
        let contributing = task.contributing(&model, &table).unwrap();
        contributing.and_zeros(unfit).write_to(&mut bytes).unwrap();
        (unfit, bytes.len())
    };
    for name in STUDIES.into_iter().chain(["private-evaluated"]) {
        let study = example_study(name);
        let column = study.data.columns.keys().next().unwrap().clone();
        let (nobody, whole) = written(&study, &file_with(|_| None));
        assert_eq!(nobody, 0);
        for cell in UNFIT {
            let found = file_with(|named| (named == column).then_some(cell));
            let (unfit, length) = written(&study, &found);
            assert_eq!(length, whole, "{name}: `{cell}`");
            // In the study with an evaluation the patient may be on the other side.
            assert!(unfit == 1 || name == "private-evaluated", "{name}");
        }
    }
}

#[test]
fn a_patient_with_one_row_that_fits_is_no_zero_and_one_of_many_unfit_rows_is_one_zero() {
    let path = examples().join("studies/private-logistic.toml");
    let study = Study::parse(&std::fs::read(path).unwrap()).unwrap();
    let csv = std::fs::read_to_string(examples().join("data/indo-rct/3_UK.csv")).unwrap();
    let line = csv.lines().nth(6).unwrap();
    let unfit = line.replace(['0', '1', '2', '3'], "?");
    let name = line.split(',').nth(1).unwrap();
    let unfit: Vec<&str> = unfit
        .split(',')
        .enumerate()
        .map(|(place, cell)| if place == 1 { name } else { cell })
        .collect();
    let unfit = unfit.join(",");
    let task = Task::new(&study).unwrap();
    let zeros = |rows: &[&str]| {
        let lines = csv.lines().enumerate();
        let kept = lines.filter_map(|(number, line)| (number != 6).then_some(line));
        let text: Vec<&str> = kept.chain(rows.iter().copied()).collect();
        let table = Table::of_study(text.join("\n").as_bytes(), &study).unwrap();
        task.unfit_patients(task.initial_model().stage, &table)
    };
    assert_eq!(zeros(&[line]), 0);
    assert_eq!(zeros(&[&unfit, line, &unfit]), 0);
    assert_eq!(zeros(&[&unfit, &unfit]), 1);
}
