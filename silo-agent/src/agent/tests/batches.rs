// SPDX-License-Identifier: Apache-2.0
//! What an agent writes and sends tells nobody how many patients took part in a round.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;

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

/// What a round in which so many patients give vectors leaves behind.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    /// The length of every frame that was sent, in order.
    sent: Vec<usize>,
    /// The length of every file, by its name.
    written: BTreeMap<String, u64>,
    /// What the agent told the operator, but for what every installation draws anew.
    told: String,
}

fn traces(study: &str, patients: usize) -> Traces {
    listen();
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
        told: without_digests(&TOLD.take()),
    }
}

/// The text with every digest as its length.
fn without_digests(text: &[u8]) -> String {
    str::from_utf8(text)
        .unwrap()
        .split_inclusive(|letter: char| !letter.is_ascii_alphanumeric())
        .map(|word| {
            if word.len() > 16 && word.chars().any(|letter| letter.is_ascii_digit()) {
                format!("<{}>", word.len())
            } else {
                word.to_owned()
            }
        })
        .collect()
}

thread_local! {
    /// What was told on this thread, on which the agent of this test runs.
    static TOLD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Ear;

impl io::Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TOLD.with_borrow_mut(|told| told.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Listens to every thread of this process: a subscriber of one thread misses the places that another thread came to first.
fn listen() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(|| Ear)
            .init();
    });
    TOLD.take();
}

#[test]
fn batches_of_nobody_and_of_fifty_leave_equal_frames_files_and_words_to_the_operator() {
    for study in [LOCAL, SAMPLED] {
        let (nobody, fifty) = (traces(study, 0), traces(study, 50));
        assert!(
            nobody.sent.len() > 5 && nobody.written.len() > 5 && nobody.told.contains("consented"),
            "{nobody:?}"
        );
        assert_eq!(nobody, fifty);
    }
}
