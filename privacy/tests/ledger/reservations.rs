// SPDX-License-Identifier: Apache-2.0
//! What is set aside, spent and freed, and what is refused.

use std::sync::Mutex;

use consilium_privacy::accountant::RdpCurve;
use consilium_privacy::budget::{BudgetRefusal, Charge, replay};
use consilium_privacy::calibration::calibrate;
use consilium_privacy::loss::{Delta, Epsilon, SamplingRate};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, View};

use crate::{DATA, budget, charge, founded, record};

#[test]
fn a_study_of_epsilon_3_costs_60_percent_and_a_second_one_is_refused() {
    let attempts = 22;
    let (epsilon, delta) = (Epsilon::new(3.0).unwrap(), Delta::new(1e-5).unwrap());
    let multiplier = calibrate(epsilon, delta, SamplingRate::EVERYBODY, attempts).unwrap();
    let (mut ledger, mut text) = founded();
    let plan = NoisePlan::derive(&NoiseTerms {
        multiplier,
        silos: 4,
        dropouts: 1,
        colluders: 1,
        attempts,
        patients_cap: 1_000,
        dimension: 5,
    });
    let price = Charge::of_plan(&plan.unwrap(), View::Colluders, 5).unwrap();
    assert_eq!(
        ledger
            .account(DATA)
            .unwrap()
            .share_needed(attempts, &price)
            .to_string(),
        "59.9 %"
    );
    let first = ledger.reserve(DATA, "first", attempts, &price).unwrap();
    record(&mut ledger, &mut text, first);
    assert_eq!(
        ledger.account(DATA).unwrap().remaining_share().to_string(),
        "40.1 %"
    );
    let refusal = ledger
        .reserve(DATA, "second", attempts, &price)
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the study needs 59.9 % of the privacy budget of `ercp-trial`, and 40.1 % is left"
    );
}

#[test]
fn committed_is_spent_and_only_the_rest_is_released() {
    let (mut ledger, mut text) = founded();
    let reserve = ledger.reserve(DATA, "study", 10, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve);
    for attempt in ["1.1.0", "1.2.0", "1.2.1"] {
        let commit = ledger.commit("study", attempt).unwrap().unwrap();
        record(&mut ledger, &mut text, commit);
        // Asked again, after a crash for instance: charged once.
        assert_eq!(ledger.commit("study", attempt).unwrap(), None);
    }
    let release = ledger.release("study").unwrap().unwrap();
    record(&mut ledger, &mut text, release);
    assert_eq!(ledger.release("study").unwrap(), None);
    let account = ledger.account(DATA).unwrap();
    // Three attempts at order 6 and z = 10: 3 * 0.03 of 2.238.
    assert_eq!(account.committed_share().to_string(), "4.1 %");
    assert_eq!(account.reserved_share().to_string(), "0.0 %");
    assert_eq!(account.remaining_share().to_string(), "95.9 %");
    assert_eq!(
        ledger.commit("study", "1.3.0"),
        Err(BudgetRefusal::Ended {
            job: "study".to_owned()
        })
    );
    assert_eq!(
        replay(text.as_bytes(), Some(ledger.head())).unwrap().ledger,
        ledger
    );
}

#[test]
fn attempts_beyond_the_reserved_ones_are_refused() {
    let (mut ledger, mut text) = founded();
    let reserve = ledger.reserve(DATA, "study", 2, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve);
    for attempt in ["a", "b"] {
        let commit = ledger.commit("study", attempt).unwrap().unwrap();
        record(&mut ledger, &mut text, commit);
    }
    assert_eq!(
        ledger.commit("study", "c"),
        Err(BudgetRefusal::AttemptsUsedUp {
            job: "study".to_owned(),
            attempts: 2
        })
    );
}

#[test]
fn what_was_not_reserved_or_budgeted_is_refused() {
    let (mut ledger, mut text) = founded();
    assert!(matches!(
        ledger.commit("study", "a"),
        Err(BudgetRefusal::UnknownJob { .. })
    ));
    assert!(matches!(
        ledger.release("study"),
        Err(BudgetRefusal::UnknownJob { .. })
    ));
    assert!(matches!(
        ledger.reserve("other", "study", 1, &charge(10.0)),
        Err(BudgetRefusal::NoBudget { .. })
    ));
    assert!(matches!(
        ledger.create(DATA, budget()),
        Err(BudgetRefusal::BudgetExists { .. })
    ));
    assert!(matches!(
        ledger.reserve(DATA, "study", 0, &charge(10.0)),
        Err(BudgetRefusal::Unpriced { .. })
    ));
    let free = Charge::exact(RdpCurve::zero());
    assert!(matches!(
        ledger.reserve(DATA, "study", 1, &free),
        Err(BudgetRefusal::Unpriced { .. })
    ));
    assert_eq!(
        ledger.reserve(DATA, "", 1, &charge(10.0)),
        Err(BudgetRefusal::Name)
    );
    let reserve = ledger.reserve(DATA, "study", 1, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve);
    assert!(matches!(
        ledger.reserve(DATA, "study", 1, &charge(10.0)),
        Err(BudgetRefusal::AlreadyReserved { .. })
    ));
}

#[test]
fn a_thousand_parallel_reservations_never_overspend() {
    let (ledger, text) = founded();
    // Everybody prepares an entry against the same empty account; 7 fit.
    let shared = Mutex::new((ledger.clone(), text));
    let price = charge(10.0);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (ledger, shared, price) = (&ledger, &shared, &price);
            scope.spawn(move || {
                for number in 0..125 {
                    let entry = ledger
                        .reserve(DATA, &format!("{worker}-{number}"), 10, price)
                        .unwrap();
                    let (ledger, text) = &mut *shared.lock().unwrap();
                    if let Ok(line) = ledger.record(&entry, 1) {
                        text.push_str(&line);
                    }
                }
            });
        }
    });
    let (ledger, text) = shared.into_inner().unwrap();
    assert_eq!(ledger.jobs().count(), 7);
    assert_eq!(replay(text.as_bytes(), None).unwrap().ledger, ledger);
}
