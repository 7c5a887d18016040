// SPDX-License-Identifier: Apache-2.0
//! A trainer that fails after consent: with noise, nobody outside the hospital can tell it from one that does not.
//!
//! Whether it fails may follow the data: a researcher chooses what a patient costs it.

use std::collections::BTreeMap;
use std::fs;

use consilium_learning::contribution::Contribution;
use consilium_policies::Isolation;
use consilium_privacy::budget::LedgerEntry;
use consilium_privacy::noise_plan::Unit;

use super::declined;
use super::evaluation::TRIED;
use super::hospital::{Hospital, POLICY};
use crate::trainer_child::pipe::{Answer, Finding, TableFacts, write_message};

macro_rules! shipped {
    ($name:literal) => {
        include_str!(concat!("../../../../examples/studies/", $name, ".toml"))
    };
}

/// Sums of patients, of drawn patients, of local steps, of Newton's steps, of whole silos, and an evaluation.
const STUDIES: [&str; 6] = [
    shipped!("private-statistics"),
    shipped!("private-sampled"),
    shipped!("private-local"),
    shipped!("private-newton"),
    shipped!("private-silo"),
    TRIED,
];

/// A policy that grants them all.
fn policy() -> String {
    let permits = POLICY
        .replace(
            "[\"statistics\"]",
            "[\"statistics\", \"logistic-regression\"]",
        )
        .replace(
            "rounds_per_job = 2",
            "units = [\"patient\", \"silo\"]\nmodes = [\"distributed\", \"local\"]\nepsilon_per_job = \"8\"\n\
             delta_per_job = \"1e-5\"\nrounds_per_job = 40",
        );
    format!("{permits}\n[budget.\"ercp-trial\"]\nepsilon = \"20\"\ndelta = \"1e-3\"\n")
}

/// How a trainer answers the question for a contribution.
#[derive(Clone, Copy, Debug)]
enum Trainer {
    Answers,
    /// Killed, or out of memory, before it said a word.
    Dies,
    Refuses,
    DiesHalfway,
    DiesAfterTheHead,
    GivesAnotherDimension,
    GivesAnotherKind,
    GivesMoreThanAllowed,
    GivesNoNumbers,
}

const FAILURES: [Trainer; 8] = [
    Trainer::Dies,
    Trainer::Refuses,
    Trainer::DiesHalfway,
    Trainer::DiesAfterTheHead,
    Trainer::GivesAnotherDimension,
    Trainer::GivesAnotherKind,
    Trainer::GivesMoreThanAllowed,
    Trainer::GivesNoNumbers,
];

impl Trainer {
    /// The bytes on the pipe, for a contribution of this shape.
    fn bytes(self, unit: Unit, dimension: usize) -> Vec<u8> {
        let sum = Contribution::Sum(vec![0.5; dimension]);
        let vectors = |patients: usize, dimension: usize| Contribution::PatientVectors {
            dimension,
            vectors: vec![vec![0.5; dimension]; patients],
        };
        let (asked, other) = match unit {
            Unit::Patient => (vectors(50, dimension), sum),
            Unit::Silo => (sum, vectors(50, dimension)),
        };
        let mut bytes = Vec::new();
        let outcome = match self {
            Trainer::Refuses => Err("a reason that follows the data".to_owned()),
            _ => Ok(Finding::Contributed(TableFacts {
                patients: 50,
                warnings: Vec::new(),
            })),
        };
        let answer = Answer {
            isolation: Isolation::Sandbox,
            outcome,
        };
        write_message(&mut bytes, &answer).unwrap();
        let head = bytes.len() + 9;
        match self {
            Trainer::Dies => bytes.clear(),
            Trainer::Refuses => {}
            Trainer::Answers => bytes.extend(asked.to_bytes()),
            Trainer::DiesHalfway => {
                bytes.extend(asked.to_bytes());
                bytes.truncate(bytes.len() - 3);
            }
            Trainer::DiesAfterTheHead => {
                bytes.extend(asked.to_bytes());
                bytes.truncate(head + 4);
            }
            Trainer::GivesAnotherDimension => bytes.extend(vectors(50, dimension + 1).to_bytes()),
            Trainer::GivesAnotherKind => bytes.extend(other.to_bytes()),
            Trainer::GivesMoreThanAllowed => bytes.extend(vectors(1001, dimension).to_bytes()),
            Trainer::GivesNoNumbers => {
                let nothing = match unit {
                    Unit::Patient => vectors(0, dimension),
                    Unit::Silo => Contribution::Sum(vec![f64::NAN; dimension]),
                };
                bytes.extend(nothing.to_bytes());
            }
        }
        bytes
    }
}

/// What others learn of a study that runs to its end, and what the hospital paid.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// The length of every frame that was sent, in order.
    sent: Vec<usize>,
    declined: usize,
    rounds: u32,
    /// Attempts charged, by job.
    charged: BTreeMap<String, usize>,
    /// What operators are shown of the last attempt.
    shown: Vec<String>,
}

/// A study whose last round meets this trainer.
fn seen(study: &str, trainer: Trainer) -> Seen {
    let mut hospital = Hospital::new();
    fs::write(hospital.silo().policy(), policy()).unwrap();
    hospital.announce();
    let key = hospital.federation.researcher_key();
    let id = hospital.begin_offer_of(study.as_bytes().to_vec(), &key);
    hospital.results(1);
    hospital.send_answers();
    let record = hospital.agent.journal.study(&id).unwrap().unwrap();
    assert_eq!(record.state.word(), "granted", "{record:?}");

    let terms = hospital.terms_of(&id);
    let rounds = if terms.vectors.evaluation.is_some() {
        3
    } else {
        1
    };
    let unit = terms.vectors.training.noise.unwrap().unit;
    let mut proofs = Vec::new();
    for round in 1..=rounds {
        let met = if round == rounds {
            trainer
        } else {
            Trainer::Answers
        };
        let dimension = terms.task.dimension_at(hospital.model_of(&id).stage);
        let answer = hospital.folder.path().join("answer.3");
        fs::write(answer, met.bytes(unit, dimension)).unwrap();
        hospital.open(&id, round, &proofs);
        hospital.finish(&id);
        proofs = vec![hospital.release_proof()];
    }
    let log = hospital.own_log();
    let told = log.contains("the trainer failed");
    let fails = !matches!(trainer, Trainer::Answers | Trainer::GivesNoNumbers);
    assert_eq!(told, fails, "the hospital's own log: {log}");

    let mut charged = BTreeMap::new();
    for (_, entry) in hospital.agent.ledger.entries() {
        if let LedgerEntry::Committed { job, .. } = entry {
            *charged.entry(job.clone()).or_default() += 1;
        }
    }
    let record = hospital.agent.journal.study(&id).unwrap().unwrap();
    let status = hospital.agent.journal.status().unwrap();
    Seen {
        sent: hospital.said_lengths.clone(),
        declined: declined(&hospital).len(),
        rounds: record.rounds_done,
        charged,
        shown: status
            .into_iter()
            .filter(|(name, _)| name == "attempt")
            .map(|(_, value)| value)
            .collect(),
    }
}

#[test]
fn however_a_trainer_fails_the_frames_the_charge_and_the_release_are_those_of_one_that_does_not() {
    for study in STUDIES {
        let answered = seen(study, Trainer::Answers);
        assert_eq!((answered.declined, answered.charged.is_empty()), (0, false));
        for failure in FAILURES {
            assert_eq!(seen(study, failure), answered, "{failure:?}\n{study}");
        }
    }
}

#[test]
fn without_noise_a_trainer_that_fails_ends_the_attempt() {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    fs::write(hospital.folder.path().join("answer.3"), []).unwrap();
    hospital.open(&study, 1, &[]);
    hospital.advance_to(&study, "DealBook");
    let deals = hospital.to_agent.pop_front().unwrap();
    hospital.deliver(&study, &deals);
    hospital.results(1);
    // While an attempt was in flight, answers wait for the grid.
    hospital.send_answers();
    assert_eq!(declined(&hospital), [(study.as_str(), "not_ready")]);
    assert_eq!(hospital.agent.machine.attempt(), None);
}
