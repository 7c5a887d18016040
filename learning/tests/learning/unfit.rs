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
