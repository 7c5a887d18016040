// SPDX-License-Identifier: Apache-2.0
//! What one patient's cells change of a private study up to consent: nothing that leaves the hospital.

use std::fs;

use consilium_crypto::transcript::sha256;
use consilium_wire::v1::{consent::Decision, silo_frame};

use super::hospital::Hospital;
use super::*;
use crate::consent::job;
use crate::registration::DataSet;
use crate::test_federation::STATISTICS;
use crate::trainer_child::check_without_walls;
use crate::trainer_child::pipe::write_message;

macro_rules! shipped {
    ($name:literal) => {
        include_str!(concat!("../../../../examples/studies/", $name, ".toml"))
    };
}

/// Every kind of private study that is shipped on these patients.
const STUDIES: [&str; 7] = [
    shipped!("private-statistics"),
    shipped!("private-logistic"),
    shipped!("private-linear"),
    shipped!("private-network"),
    shipped!("private-newton"),
    shipped!("private-sampled"),
    shipped!("private-local"),
];

const PATIENTS: &str = include_str!("../../../../examples/data/indo-rct/3_UK.csv");

/// The demonstration's policy, for all these studies.
fn policy() -> String {
    let text = include_str!("../../../../examples/policies/3_UK.toml");
    let rules = text.split("[[example]]").next().unwrap();
    [
        ("epsilon = \"4\"", "epsilon = \"20\""),
        ("delta = \"2e-5\"", "delta = \"1e-3\""),
        ("\"3.0\"", "\"8\""),
        ("[\"distributed\"]", "[\"distributed\", \"local\"]"),
        (
            "[\"statistics\",",
            "[\"statistics\", \"linear-regression\", \"neural-network\",",
        ),
    ]
    .into_iter()
    .fold(rules.to_owned(), |text, (part, by)| {
        assert!(text.contains(part), "{part}");
        text.replace(part, by)
    })
}

/// The file with every cell of one patient but the name replaced, or without that patient.
fn file(cells: Option<&str>) -> String {
    let row = |(number, line): (usize, &str)| {
        let width = line.split(',').count();
        match (number, cells) {
            (6, None) => None,
            (6, Some(cell)) if !cell.is_empty() => {
                let mut row = vec![cell; width];
                row[1] = "3006";
                Some(format!("{}\n", row.join(",")))
            }
            (_, Some(_) | None) => Some(format!("{line}\n")),
        }
    };
    PATIENTS.lines().enumerate().filter_map(row).collect()
}

/// Every frame about a study that leaves this hospital up to consent, and the last decision.
fn answered(study: &str, csv: &str) -> (Vec<silo_frame::Frame>, Decision) {
    let mut hospital = Hospital::new();
    fs::write(hospital.silo().policy(), policy()).unwrap();
    let path = hospital.folder.path().join("patients.csv");
    fs::write(&path, csv).unwrap();
    let data_set = DataSet {
        name: hospital::DATA.to_owned(),
        lineage: hospital::DATA.to_owned(),
        path,
        sha256: sha256(csv.as_bytes()),
        rows: 22,
        patient: Some("id".to_owned()),
        patients: 22,
        min_patients: 20,
        patients_at_most: Some(1000),
        columns: Vec::new(),
        registered: "2026-11-24T00:00:00Z".to_owned(),
    };
    let description = hospital.silo().path().join("data/ercp-trial.toml");
    fs::write(description, toml::to_string(&data_set).unwrap()).unwrap();
    // What a trainer finds is what the real one finds.
    let mut finding = Vec::new();
    let answer = check_without_walls(&job(&data_set, study.as_bytes()));
    write_message(&mut finding, &answer).unwrap();
    fs::write(hospital.folder.path().join("answer.2"), finding).unwrap();

    let key = hospital.federation.researcher_key();
    let id = hospital.begin_offer_of(study.as_bytes().to_vec(), &key);
    if hospital.agent.checking.contains(&id) {
        hospital.results(1);
    }
    hospital.send_answers();
    let about = |frame: &silo_frame::Frame| match frame {
        silo_frame::Frame::Consent(consent) => consent.decision.clone(),
        _ => None,
    };
    let decision = hospital.said.iter().rev().find_map(about).unwrap();
    let frames = hospital
        .said
        .iter()
        .filter(|frame| about(frame).is_some())
        .cloned()
        .collect();
    (frames, decision)
}

/// Cells that no study expects, as they are and next to them: the whole file, and one patient less.
fn tables() -> Vec<String> {
    let mut tables: Vec<String> = ["", "NA", "9_other", "-inf"]
        .into_iter()
        .map(|cell| file(Some(cell)))
        .collect();
    tables.push(file(None));
    tables.push(PATIENTS.lines().next().unwrap().to_owned() + "\n");
    tables
}

#[test]
fn whatever_one_patients_cells_hold_the_same_frames_leave_up_to_consent() {
    for study in STUDIES {
        let mut first = None;
        for table in tables() {
            let (frames, decision) = answered(study, &table);
            assert!(
                matches!(decision, Decision::Granted(_)),
                "{decision:?}\n{study}"
            );
            assert_eq!(*first.get_or_insert_with(|| frames.clone()), frames);
        }
    }
}

#[test]
fn without_noise_a_cell_that_is_no_number_is_still_a_reason_of_the_hospital() {
    let granted = answered(STATISTICS, &file(Some(""))).1;
    assert!(matches!(granted, Decision::Granted(_)), "{granted:?}");
    let refused = answered(STATISTICS, &file(Some("9_other"))).1;
    assert!(matches!(refused, Decision::NotReady(_)), "{refused:?}");
}
