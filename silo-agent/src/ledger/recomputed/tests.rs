// SPDX-License-Identifier: Apache-2.0
use consilium_audit::entry::{Actor, AggregationStatement, Event, StudyReference};
use consilium_audit::time::Timestamp;
use consilium_crypto::transcript::sha256;
use consilium_privacy::budget::{Budget, LedgerEntry};
use consilium_privacy::loss::{Delta, Epsilon, SamplingRate};
use consilium_privacy::noise_plan::View;

use super::*;
use crate::test_federation::{self, Federation, NAMES};

const PRIVATE: &[u8] = include_bytes!("../../../../examples/studies/private-logistic.toml");
const STUDY: &str = "study-1";
const ROUNDS: u64 = 20;

/// The shared log of a study in which the victim dropped out of the last round, after a failed attempt at the first.
fn log() -> Vec<Entry> {
    let actor = || Actor::coordinator("federation");
    let at = Timestamp::from_unix_microseconds(1_790_000_000_000_000).unwrap();
    let event = |kind| Event::new(kind, at, actor()).with_study(StudyReference::new(STUDY));
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let statement = |included: &[&str]| AggregationStatement {
        invited: names(&NAMES),
        included: names(included),
        dropped: Vec::new(),
        threshold: 3,
    };
    let mut events =
        vec![event(EventKind::StudySubmitted).with_reference("study", sha256(PRIVATE))];
    events.push(
        event(EventKind::RoundFrozen)
            .with_attempt(1, 1, 1)
            .with_aggregation(statement(&NAMES)),
    );
    for round in 1..=ROUNDS {
        let attempt = if round == 1 { 2 } else { 1 };
        let included = if round == ROUNDS { &NAMES[..3] } else { &NAMES };
        for kind in [EventKind::RoundCertified, EventKind::RoundReleased] {
            let event = event(kind).with_attempt(1, round, attempt);
            events.push(event.with_aggregation(statement(included)));
        }
    }
    (0..)
        .zip(events)
        .map(|(sequence, event)| Entry::new(sequence, event).unwrap())
        .collect()
}

/// A ledger with a budget of so much epsilon, in which the study has set its attempts aside at a price.
fn reserved(epsilon: f64, price_of: impl FnOnce(&VectorPlan) -> (u32, Charge)) -> budget::Ledger {
    let mut ledger = budget::Ledger::new();
    let (epsilon, delta) = (Epsilon::new(epsilon).unwrap(), Delta::new(2e-5).unwrap());
    let created = ledger
        .create("ercp-trial", Budget::create(epsilon, delta).unwrap())
        .unwrap();
    ledger.record(&created, 1).unwrap();
    let invited: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
    let terms = StudyTerms::derive(PRIVATE, &invited, &membership()).unwrap();
    let (attempts, charge) = price_of(&terms.vectors.training);
    let reserved = ledger
        .reserve("ercp-trial", STUDY, attempts, &charge)
        .unwrap();
    ledger.record(&reserved, 2).unwrap();
    ledger
}

/// A ledger that was charged for the attempts that `keep` names.
fn ledger(keep: impl Fn(u64) -> bool) -> budget::Ledger {
    charged_for(keep, |_| {})
}

/// The same with another charge in the place of the price.
fn charged_for(keep: impl Fn(u64) -> bool, change: impl Fn(&mut Charge)) -> budget::Ledger {
    let mut ledger = reserved(8.0, |plan| {
        let (attempts, mut charge) = price(plan, View::Colluders).unwrap();
        change(&mut charge);
        (attempts, charge)
    });
    for round in (1..=ROUNDS).filter(|round| keep(*round)) {
        let attempt = if round == 1 { 2 } else { 1 };
        let committed = ledger
            .commit(STUDY, &format!("1.{round}.{attempt}"))
            .unwrap()
            .unwrap();
        ledger.record(&committed, 3).unwrap();
    }
    ledger
}

fn membership() -> Membership {
    test_federation::membership(&Federation::new().roster)
}

fn compared(ledger: &budget::Ledger, silo: &str) -> Comparison {
    let studies = |digest: &Digest| (*digest == sha256(PRIVATE)).then(|| PRIVATE.to_vec());
    compare(ledger, &charged(&log(), silo), studies, &membership())
}

#[test]
fn a_ledger_with_every_attempt_agrees_with_the_log() {
    let whole = compared(&ledger(|_| true), NAMES[0]);
    assert_eq!(whole.differences, []);
    assert_eq!((whole.studies, whole.attempts), (1, 20));
    // The silo that was not among the last survivors may have been charged all the same, or not.
    assert_eq!(compared(&ledger(|_| true), NAMES[3]).attempts, 19);
    assert_eq!(
        compared(&ledger(|round| round != ROUNDS), NAMES[3]).differences,
        []
    );
}

#[test]
fn a_certificate_or_a_release_in_another_role_than_the_coordinators_charges_nobody() {
    let whole = log();
    let mut told = whole.clone();
    for kind in [EventKind::RoundCertified, EventKind::RoundReleased] {
        let told_before = whole.iter().find(|entry| entry.event.kind == kind).unwrap();
        let mut event = told_before.event.clone().with_attempt(1, ROUNDS + 1, 1);
        event.actor = Actor::silo(NAMES[1]);
        told.push(Entry::new(u64::try_from(told.len()).unwrap(), event).unwrap());
    }
    assert_eq!(charged(&told, NAMES[0]), charged(&whole, NAMES[0]));
}

#[test]
fn a_ledger_that_charged_half_the_rounds_is_found_out_attempt_by_attempt() {
    let half = compared(&ledger(|round| round % 2 == 0), NAMES[0]);
    assert_eq!(half.differences.len(), 10);
    let first = Difference::NotCharged {
        study: STUDY.to_owned(),
        attempt: "1.1.2".to_owned(),
    };
    assert!(half.differences.contains(&first), "{half:?}");
    let one = compared(&ledger(|round| round != 7), NAMES[0]);
    assert_eq!(one.differences.len(), 1);
    assert!(one.differences[0].to_string().contains("1.7.1"));
}

#[test]
fn a_study_that_is_unknown_here_or_whose_file_is_missing_is_found() {
    let nothing = compared(&budget::Ledger::new(), NAMES[0]);
    assert!(matches!(
        nothing.differences[..],
        [Difference::NoReservation { attempts: 20, .. }]
    ));
    let lost = compare(
        &ledger(|_| true),
        &charged(&log(), NAMES[0]),
        |_| None,
        &membership(),
    );
    assert!(matches!(lost.differences[..], [Difference::NoStudy { .. }]));
}

#[test]
fn a_ledger_that_was_charged_for_a_sample_where_everybody_took_part_is_found() {
    // The ledger is charged for rounds on a tenth of the patients, with the noise of the study; the log's study takes all.
    let ledger = reserved(8.0, |plan| {
        let mut sampled = *plan;
        let tenth = SamplingRate::new(0.1).unwrap();
        sampled.noise = sampled.noise.map(|noise| noise.with_sampling_rate(tenth));
        price(&sampled, View::Colluders).unwrap()
    });
    let found = compared(&ledger, NAMES[0]).differences;
    let cheap = |difference: &&Difference| matches!(difference, Difference::TooCheap { .. });
    assert_eq!(found.iter().filter(cheap).count(), 1, "{found:?}");
}

#[test]
fn a_charge_below_the_price_of_the_studys_noise_is_found() {
    let cheaper = String::from_utf8(PRIVATE.to_vec())
        .unwrap()
        .replace("epsilon = \"3\"", "epsilon = \"4\"");
    let studies =
        |digest: &Digest| (*digest == sha256(PRIVATE)).then(|| cheaper.clone().into_bytes());
    // The log's study has less noise than the one that was reserved for.
    let found = compare(
        &ledger(|_| true),
        &charged(&log(), NAMES[0]),
        studies,
        &membership(),
    );
    // At the order that decides and at others; delta is the same, for it follows from coordinates and silos.
    assert!(
        matches!(
            found.differences[..],
            [Difference::CurveTooLow { .. }, Difference::TooCheap { .. }]
        ),
        "{found:?}"
    );
}

#[test]
fn a_study_charged_as_if_masks_were_broken_is_due_that_price() {
    // The word of the strict price beside the cheap one.
    let ledger = reserved(20.0, |plan| {
        let (attempts, mut charge) = price(plan, View::Colluders).unwrap();
        charge.view = View::MasksBroken;
        (attempts, charge)
    });
    let found = compared(&ledger, NAMES[0]).differences;
    let cheap = |difference: &&Difference| matches!(difference, Difference::TooCheap { .. });
    assert_eq!(found.iter().filter(cheap).count(), 1, "{found:?}");
}

/// A ledger in which every attempt was recorded with this charge in the place of its price.
fn recorded(change: impl Fn(&mut Charge)) -> budget::Ledger {
    charged_for(|_| true, change)
}

#[test]
fn a_charge_that_leaves_out_what_the_sampler_costs_of_delta_is_found() {
    assert_eq!(compared(&recorded(|_| {}), NAMES[0]).differences, []);
    let free = recorded(|charge| charge.distance = DeltaAmount::ZERO);
    let found = compared(&free, NAMES[0]).differences;
    assert!(
        matches!(found[..], [Difference::DeltaTooLow { .. }]),
        "{found:?}"
    );
}

#[test]
fn a_curve_that_is_right_at_the_order_that_decides_alone_is_found() {
    // A line as the agent would have written it, with one number of the curve lowered.
    let whole = recorded(|_| {});
    let account = whole.account("ercp-trial").unwrap();
    let job = whole.job(STUDY).unwrap();
    let mut curve = job.curve().clone();
    let other = if account.budget().order == 2 { 3 } else { 2 };
    curve.insert(other, RdpAmount::rounded_up(1e-9));
    let mut ledger = budget::Ledger::new();
    for entry in [
        LedgerEntry::Created {
            data_set: "ercp-trial".to_owned(),
            budget: *account.budget(),
        },
        LedgerEntry::Reserved {
            data_set: "ercp-trial".to_owned(),
            job: STUDY.to_owned(),
            attempts: job.attempts(),
            cost: job.cost(),
            delta: job.delta(),
            view: job.view(),
            curve,
        },
    ] {
        ledger.record(&entry, 1).unwrap();
    }
    for attempt in job.committed() {
        let entry = LedgerEntry::Committed {
            job: STUDY.to_owned(),
            attempt: attempt.to_owned(),
        };
        ledger.record(&entry, 2).unwrap();
    }
    let found = compared(&ledger, NAMES[0]).differences;
    let [Difference::CurveTooLow { order, .. }] = found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(order, other);
}
