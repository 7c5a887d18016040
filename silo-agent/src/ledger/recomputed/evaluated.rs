// SPDX-License-Identifier: Apache-2.0
//! A study with an evaluation: two jobs in the ledger, and which attempt of the log belongs to which.
#![allow(clippy::unwrap_used, clippy::panic)]

use consilium_audit::entry::{Actor, AggregationStatement, Event, StudyReference};
use consilium_audit::time::Timestamp;
use consilium_crypto::transcript::sha256;
use consilium_privacy::budget::Budget;
use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::View;

use super::*;
use crate::test_federation::{self, Federation, NAMES};

const EVALUATED: &[u8] = include_bytes!("../../../../examples/studies/private-evaluated.toml");
const STUDY: &str = "study-1";
const ROUNDS: u64 = 20;
/// The evaluation failed once after it was certified, and its second attempt was released.
const EVALUATIONS: [u32; 2] = [1, 2];

fn log() -> Vec<Entry> {
    let at = Timestamp::from_unix_microseconds(1_790_000_000_000_000).unwrap();
    let names = || NAMES.iter().map(ToString::to_string).collect::<Vec<_>>();
    let event = |kind, round, attempt| {
        Event::new(kind, at, Actor::coordinator("federation"))
            .with_study(StudyReference::new(STUDY))
            .with_attempt(1, round, attempt)
            .with_aggregation(AggregationStatement {
                invited: names(),
                included: names(),
                dropped: Vec::new(),
                threshold: 3,
            })
    };
    let submitted = Event::new(
        EventKind::StudySubmitted,
        at,
        Actor::coordinator("federation"),
    );
    let mut events = vec![
        submitted
            .with_study(StudyReference::new(STUDY))
            .with_reference("study", sha256(EVALUATED)),
    ];
    for round in 1..=ROUNDS {
        events.push(event(EventKind::RoundCertified, round, 1));
        events.push(event(EventKind::RoundReleased, round, 1));
    }
    for attempt in EVALUATIONS {
        events.push(event(EventKind::RoundCertified, ROUNDS + 1, attempt));
    }
    events.push(event(EventKind::RoundReleased, ROUNDS + 1, 2));
    (0..)
        .zip(events)
        .map(|(sequence, event)| Entry::new(sequence, event).unwrap())
        .collect()
}

fn membership() -> Membership {
    test_federation::membership(&Federation::new().roster)
}

/// A ledger with the jobs of these stages, each at the price of the stage beside it, charged for all that the log holds.
fn ledger(stages: &[(Stage, Stage)]) -> budget::Ledger {
    let invited: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
    let terms = StudyTerms::derive(EVALUATED, &invited, &membership()).unwrap();
    let mut ledger = budget::Ledger::new();
    // Large enough for either price on both jobs, and not so large that the sampler uses its delta up.
    let (epsilon, delta) = (Epsilon::new(20.0).unwrap(), Delta::new(2e-5).unwrap());
    let mut record = |make: &dyn Fn(&budget::Ledger) -> budget::LedgerEntry| {
        let entry = make(&ledger);
        ledger.record(&entry, 1).unwrap();
    };
    record(&|ledger| {
        let budget = Budget::create(epsilon, delta).unwrap();
        ledger.create("ercp-trial", budget).unwrap()
    });
    for (stage, priced_as) in stages {
        let job = job_name(STUDY, *stage);
        let (attempts, _) = price(&terms.vectors.at(*stage).unwrap(), View::Colluders).unwrap();
        let plan = terms.vectors.at(*priced_as).unwrap();
        let (_, charge) = price(&plan, View::Colluders).unwrap();
        record(&|ledger| {
            ledger
                .reserve("ercp-trial", &job, attempts, &charge)
                .unwrap()
        });
        let committed: Vec<String> = match stage {
            Stage::Training => (1..=ROUNDS).map(|round| format!("1.{round}.1")).collect(),
            Stage::Evaluation => EVALUATIONS
                .iter()
                .map(|attempt| format!("1.{}.{attempt}", ROUNDS + 1))
                .collect(),
        };
        for attempt in committed {
            record(&|ledger| ledger.commit(&job, &attempt).unwrap().unwrap());
        }
    }
    ledger
}

fn compared(ledger: &budget::Ledger) -> Comparison {
    let studies = |digest: &Digest| (*digest == sha256(EVALUATED)).then(|| EVALUATED.to_vec());
    compare(ledger, &charged(&log(), NAMES[0]), studies, &membership())
}

#[test]
fn both_jobs_of_a_study_agree_with_the_log() {
    use Stage::{Evaluation, Training};
    let whole = compared(&ledger(&[(Training, Training), (Evaluation, Evaluation)]));
    assert_eq!(whole.differences, []);
    assert_eq!((whole.studies, whole.attempts), (1, 22));
}

#[test]
fn an_evaluation_that_the_ledger_was_never_charged_for_is_found_with_its_failed_attempt() {
    let found = compared(&ledger(&[(Stage::Training, Stage::Training)])).differences;
    let [Difference::NoReservation { attempts: 2, .. }] = found[..] else {
        panic!("{found:?}");
    };
}

#[test]
fn an_evaluation_charged_at_the_price_of_a_round_or_a_round_at_that_of_the_evaluation_is_found() {
    use Stage::{Evaluation, Training};
    // One of the two prices is the lower one: whichever job has the other's is wrong in one of these ledgers.
    let swapped = compared(&ledger(&[(Training, Evaluation), (Evaluation, Training)]));
    let cheap = |difference: &&Difference| matches!(difference, Difference::TooCheap { .. });
    let found = swapped.differences;
    assert_eq!(found.iter().filter(cheap).count(), 1, "{found:?}");
}

#[test]
fn the_attempts_of_one_job_do_not_pay_for_those_of_the_other() {
    use Stage::{Evaluation, Training};
    let mut half = ledger(&[(Training, Training)]);
    let invited: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
    let terms = StudyTerms::derive(EVALUATED, &invited, &membership()).unwrap();
    let plan = terms.vectors.at(Evaluation).unwrap();
    let (attempts, charge) = price(&plan, View::Colluders).unwrap();
    let job = job_name(STUDY, Evaluation);
    let reserved = half.reserve("ercp-trial", &job, attempts, &charge).unwrap();
    half.record(&reserved, 2).unwrap();
    // The evaluation's second attempt is committed under its training.
    let first = half.commit(&job, "1.21.1").unwrap().unwrap();
    half.record(&first, 3).unwrap();
    let misplaced = half.commit(STUDY, "1.21.2").unwrap().unwrap();
    half.record(&misplaced, 4).unwrap();
    let expected = Difference::NotCharged {
        study: STUDY.to_owned(),
        attempt: "1.21.2".to_owned(),
    };
    assert_eq!(compared(&half).differences, [expected]);
}
