// SPDX-License-Identifier: Apache-2.0
//! What an agent writes and sends tells nobody how many patients took part in a round.

use std::collections::BTreeMap;
use std::process::Command;
use std::{env, fs, io};

use consilium_learning::contribution::Contribution;

use super::hospital::{Hospital, POLICY};
use crate::folder_contents::lengths_below;

const LOCAL: &str = include_str!("../../../../examples/studies/private-local.toml");
const SAMPLED: &str = include_str!("../../../../examples/studies/private-sampled.toml");
/// Of the model of both.
const DIMENSION: usize = 5;

/// A policy that grants them.
fn policy() -> String {
    let permits = POLICY
        .replace("[\"statistics\"]", "[\"logistic-regression\"]")
        .replace(
            "rounds_per_job = 2",
            "modes = [\"distributed\", \"local\"]\nepsilon_per_job = \"3.0\"\ndelta_per_job = \"1e-5\"\nrounds_per_job = 40",
        );
    format!("{permits}\n[budget.\"ercp-trial\"]\nepsilon = \"8\"\ndelta = \"2e-5\"\n")
}

/// What is left behind by a round in which so many patients give vectors; printed by a process of its own.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Traces {
    /// The length of every frame that was sent, in order.
    sent: Vec<usize>,
    /// The length of every file, by its name.
    written: BTreeMap<String, u64>,
}

fn leave_traces(study: &str, patients: usize) -> Traces {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_writer(io::stderr)
        .init();
    let mut hospital = Hospital::new();
    fs::write(hospital.silo().policy(), policy()).unwrap();
    hospital.announce();
    hospital.answer_with(&Contribution::PatientVectors {
        dimension: DIMENSION,
        vectors: vec![vec![0.5; DIMENSION]; patients],
    });
    let key = hospital.federation.researcher_key();
    let id = hospital.begin_offer_of(study.as_bytes().to_vec(), &key);
    hospital.results(1);
    // The consent waits for a grid of wall time, which a slow machine passes sooner or later in the round.
    hospital.send_answers();
    hospital.open(&id, 1, &[]);
    hospital.finish(&id);
    let record = hospital.agent.journal.study(&id).unwrap().unwrap();
    assert_eq!(record.rounds_done, 1);
    Traces {
        sent: hospital.said_lengths.clone(),
        written: lengths_below(hospital.silo().path()),
    }
}

/// The traces of a process of its own, and what any of its threads told the operator.
fn traces_of(study: &str, patients: usize) -> (String, Vec<String>) {
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(CHILD, format!("{patients} {study}"))
        .output()
        .unwrap();
    let said = |bytes| String::from_utf8(bytes).unwrap();
    let (out, told) = (said(child.stdout), said(child.stderr));
    assert!(child.status.success(), "{out}\n{told}");
    let traces = out.lines().find(|line| line.contains("Traces {"));
    let traces = traces.unwrap().to_owned();
    // Threads speak in any order, and of digests that every installation draws anew.
    let mut told: Vec<String> = told.lines().map(without_digests).collect();
    told.sort();
    (traces, told)
}

/// The text with every digest as its length.
fn without_digests(text: &str) -> String {
    text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric())
        .map(|word| {
            if word.len() > 16 && word.chars().any(|letter| letter.is_ascii_digit()) {
                format!("<{}>", word.len())
            } else {
                word.to_owned()
            }
        })
        .collect()
}

const TEST: &str = "agent::tests::batches::batches_of_nobody_and_of_fifty_leave_equal_frames_files_and_words_to_the_operator";
/// Set for the process that leaves the traces: how many patients, and which study.
const CHILD: &str = "CONSILIUM_TEST_BATCH";

#[test]
fn batches_of_nobody_and_of_fifty_leave_equal_frames_files_and_words_to_the_operator() {
    if let Ok(order) = env::var(CHILD) {
        let (patients, study) = order.split_once(' ').unwrap();
        println!("\n{:?}", leave_traces(study, patients.parse().unwrap()));
        return;
    }
    for study in [LOCAL, SAMPLED] {
        let (nobody, told) = traces_of(study, 0);
        assert!(nobody.contains("ledger.jsonl"), "{nobody}");
        assert!(
            told.iter().any(|line| line.contains("consented")),
            "{told:?}"
        );
        assert_eq!((nobody, told), traces_of(study, 50));
    }
}
