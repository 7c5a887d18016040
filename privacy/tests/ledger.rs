// SPDX-License-Identifier: Apache-2.0
//! The ledger: what it refuses, what survives a crash, and that it never overspends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Mutex;

use consilium_privacy::accountant::{Adjacency, NoiseEvent, RdpCurve};
use consilium_privacy::budget::{
    Budget, BudgetRefusal, Charge, DeltaAmount, Ledger, LedgerEntry, LedgerFault, LedgerHead,
    OfficerSignature, RdpAmount, TopUp, replay,
};
use consilium_privacy::calibration::calibrate;
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, NoiseMultiplier, SamplingRate};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, View};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

const DATA: &str = "ercp-trial";

fn budget() -> Budget {
    Budget::create(Epsilon::new(4.0).unwrap(), Delta::new(2e-5).unwrap()).unwrap()
}

fn charge(multiplier: f64) -> Charge {
    let event = NoiseEvent::new(multiplier, ClippingNorm::ONE, Adjacency::AddRemove).unwrap();
    Charge::exact(RdpCurve::full_batch(&event, 1))
}

/// A ledger with a budget, and the text of its file.
fn founded() -> (Ledger, String) {
    let mut ledger = Ledger::new();
    let entry = ledger.create(DATA, budget()).unwrap();
    let line = ledger.record(&entry, 1).unwrap();
    (ledger, line)
}

fn record(ledger: &mut Ledger, text: &mut String, entry: LedgerEntry) {
    text.push_str(&ledger.record(&entry, 2).unwrap());
}

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
fn an_entry_whose_cost_is_not_that_of_its_curve_is_refused() {
    let (mut ledger, _) = founded();
    let honest = ledger.reserve(DATA, "study", 1, &charge(1.0)).unwrap_err();
    assert!(matches!(honest, BudgetRefusal::Exceeded { .. }));
    let LedgerEntry::Reserved {
        data_set,
        job,
        attempts,
        delta,
        curve,
        view,
        ..
    } = ledger.reserve(DATA, "study", 1, &charge(3.0)).unwrap()
    else {
        panic!("a reservation");
    };
    let cost: RdpAmount = "0.000000000001".parse().unwrap();
    let cheap = LedgerEntry::Reserved {
        data_set,
        job,
        attempts,
        cost,
        delta,
        curve,
        view,
    };
    assert!(matches!(
        ledger.record(&cheap, 1),
        Err(BudgetRefusal::Unpriced { .. })
    ));
}

#[test]
fn a_price_says_against_whom_it_holds_and_never_that_nobody_colludes() {
    let (mut ledger, mut text) = founded();
    let usual = ledger.reserve(DATA, "usual", 1, &charge(30.0)).unwrap();
    record(&mut ledger, &mut text, usual);
    // A ledger from before the choice reads the same.
    assert!(!text.contains("view"));
    let strict = Charge {
        view: View::MasksBroken,
        ..charge(30.0)
    };
    let strict = ledger.reserve(DATA, "strict", 1, &strict).unwrap();
    record(&mut ledger, &mut text, strict);
    assert!(text.contains("\"view\":\"masks_broken\""));
    let replayed = replay(text.as_bytes(), None).unwrap().ledger;
    let view = |job| replayed.job(job).unwrap().view();
    assert_eq!(
        (view("usual"), view("strict")),
        (View::Colluders, View::MasksBroken)
    );
    let careless = Charge {
        view: View::MasksHold,
        ..charge(30.0)
    };
    assert!(matches!(
        ledger.reserve(DATA, "careless", 1, &careless),
        Err(BudgetRefusal::Unpriced { .. })
    ));
}

#[test]
fn the_linear_part_of_delta_is_its_own_account() {
    let (mut ledger, mut text) = founded();
    let with_delta = Charge {
        delta: DeltaAmount::rounded_up(4e-6),
        ..charge(50.0)
    };
    let reserve = ledger.reserve(DATA, "study", 2, &with_delta).unwrap();
    record(&mut ledger, &mut text, reserve);
    assert!(matches!(
        ledger.reserve(DATA, "other", 1, &with_delta),
        Err(BudgetRefusal::DeltaExceeded { .. })
    ));
    ledger.reserve(DATA, "exact", 1, &charge(50.0)).unwrap();
}

#[test]
fn the_distance_of_the_sampler_from_exact_is_charged_at_the_epsilon_of_the_budget() {
    let (mut ledger, mut text) = founded();
    let plan = NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(50.0).unwrap(),
        silos: 4,
        dropouts: 1,
        colluders: 1,
        attempts: 2,
        patients_cap: 1_000,
        dimension: 1_000_000,
    });
    let price = Charge::of_plan(&plan.unwrap(), View::Colluders, 1_000_000).unwrap();
    let reserve = ledger.reserve(DATA, "study", 2, &price).unwrap();
    let LedgerEntry::Reserved { delta, .. } = &reserve else {
        panic!("{reserve:?}")
    };
    // Of one attempt: 4 silos, a million coordinates, a budget of epsilon 4.
    let expected = 4e6 * 2_f64.powi(-96) * (1.0 + 4_f64.exp());
    let charged = delta.approximate();
    assert!(
        charged >= expected && charged < expected * 1.000_001,
        "{charged}"
    );
    record(&mut ledger, &mut text, reserve);
    // A charge that is not paid for by the linear part of delta is refused.
    let far = Charge {
        distance: DeltaAmount::rounded_up(1e-6),
        ..charge(50.0)
    };
    assert!(matches!(
        ledger.reserve(DATA, "other", 1, &far),
        Err(BudgetRefusal::DeltaExceeded { .. })
    ));
}

#[test]
fn a_study_calibrated_at_its_own_order_may_cost_far_more_than_its_epsilon_suggests() {
    // One loud round: cheap at order 2, ruinous at order 6.
    let (ledger, _) = founded();
    let account = ledger.account(DATA).unwrap();
    assert!(account.share_needed(1, &charge(1.0)).fraction() > 1.3);
    assert!(ledger.reserve(DATA, "study", 1, &charge(1.0)).is_err());
}

#[test]
fn officers_are_warned_at_50_80_and_95_percent() {
    let (mut ledger, mut text) = founded();
    let mut warnings = vec![ledger.account(DATA).unwrap().warning_percent()];
    for study in 0..7 {
        // 0.3 of 2.238 each: 13.4, 26.8, .. percent.
        let reserve = ledger
            .reserve(DATA, &study.to_string(), 10, &charge(10.0))
            .unwrap();
        record(&mut ledger, &mut text, reserve);
        warnings.push(ledger.account(DATA).unwrap().warning_percent());
    }
    assert_eq!(
        warnings,
        [
            None,
            None,
            None,
            None,
            Some(50),
            Some(50),
            Some(80),
            Some(80)
        ]
    );
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

#[test]
fn a_torn_last_line_is_cut_off_and_writing_goes_on() {
    let (mut ledger, mut text) = founded();
    let before = text.len();
    let reserve = ledger.reserve(DATA, "study", 1, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve.clone());
    for length in before + 1..text.len() {
        let replayed = replay(&text.as_bytes()[..length], None).unwrap();
        assert!(replayed.torn);
        assert_eq!(replayed.whole_bytes, before);
        assert!(replayed.ledger.job("study").is_none());
    }
    let mut resumed = replay(&text.as_bytes()[..text.len() - 1], None)
        .unwrap()
        .ledger;
    assert_eq!(text[before..], resumed.record(&reserve, 2).unwrap());
}

#[test]
fn any_changed_byte_is_noticed() {
    let (mut ledger, mut text) = founded();
    let reserve = ledger.reserve(DATA, "study", 2, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve);
    let commit = ledger.commit("study", "1.1.0").unwrap().unwrap();
    record(&mut ledger, &mut text, commit);
    let head = ledger.head();
    for position in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[position] ^= 1;
        assert!(replay(&changed, Some(head)).is_err(), "byte {position}");
    }
}

#[test]
fn a_line_removed_repeated_or_swapped_breaks_the_chain() {
    let (mut ledger, mut text) = founded();
    for study in ["a", "b", "c"] {
        let reserve = ledger.reserve(DATA, study, 1, &charge(10.0)).unwrap();
        record(&mut ledger, &mut text, reserve);
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for order in [
        vec![0, 2, 3],
        vec![0, 1, 1, 2, 3],
        vec![0, 2, 1, 3],
        vec![1, 2, 3],
    ] {
        let changed: String = order.into_iter().map(|index| lines[index]).collect();
        assert!(matches!(
            replay(changed.as_bytes(), None),
            Err(LedgerFault::Broken { .. })
        ));
    }
}

#[test]
fn a_restored_backup_is_noticed_by_the_head_kept_elsewhere() {
    let (mut ledger, mut text) = founded();
    let backup = text.clone();
    let reserve = ledger.reserve(DATA, "study", 1, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve);
    let known = ledger.head();
    assert_eq!(
        replay(backup.as_bytes(), Some(known)),
        Err(LedgerFault::RolledBack { length: 1 })
    );
    assert_eq!(
        replay(b"", Some(known)),
        Err(LedgerFault::RolledBack { length: 0 })
    );
    assert_eq!(
        replay(text.as_bytes(), Some(known)).unwrap().beyond_known,
        0
    );
    assert_eq!(replay(text.as_bytes(), None).unwrap().beyond_known, 2);
    // A head of an earlier moment is part of the chain still.
    let earlier = replay(backup.as_bytes(), None).unwrap().ledger.head();
    assert_eq!(
        replay(text.as_bytes(), Some(earlier)).unwrap().beyond_known,
        1
    );
    replay(b"", Some(LedgerHead::empty())).unwrap();
}

#[test]
fn a_ledger_is_bound_to_its_installation_by_its_first_entry_and_no_other() {
    let instance = consilium_crypto::digest::Digest::from_bytes([7; 32]);
    let (mut ledger, mut text) = (Ledger::new(), String::new());
    let begun = ledger.begin(instance).unwrap();
    record(&mut ledger, &mut text, begun);
    assert_eq!(ledger.begin(instance), Err(BudgetRefusal::AlreadyBegun));
    let replayed = replay(text.as_bytes(), None).unwrap();
    assert_eq!(replayed.ledger.instance(), Some(instance));
    let (founded, _) = founded();
    assert_eq!(founded.instance(), None);
    assert_eq!(founded.begin(instance), Err(BudgetRefusal::AlreadyBegun));
}

#[test]
fn a_budget_that_permits_more_than_it_promises_is_refused() {
    let honest = budget();
    let forged = [
        Budget {
            capacity: RdpAmount::rounded_up(99.0),
            ..honest
        },
        Budget {
            capacity: honest.capacity.plus("0.001".parse().unwrap()),
            ..honest
        },
        Budget {
            delta_linear: DeltaAmount::rounded_up(1.0),
            ..honest
        },
        Budget {
            delta_rdp: honest.delta,
            ..honest
        },
        Budget { order: 3, ..honest },
        Budget { order: 1, ..honest },
        Budget {
            epsilon: Epsilon::new(3.9).unwrap(),
            ..honest
        },
    ];
    for budget in forged {
        assert_eq!(
            Ledger::new().create(DATA, budget).unwrap_err(),
            BudgetRefusal::BrokenPromise {
                data_set: DATA.to_owned()
            },
            "{budget:?}"
        );
    }
    for (epsilon, delta) in [(0.1, 1e-5), (1.0, 1e-3), (8.0, 1e-9), (40.0, 1e-5)] {
        let budget =
            Budget::create(Epsilon::new(epsilon).unwrap(), Delta::new(delta).unwrap()).unwrap();
        assert!(Ledger::new().create(DATA, budget).is_ok());
    }
}

#[test]
fn a_chain_that_is_whole_but_breaks_the_rules_is_refused() {
    use consilium_privacy::budget::encode_line;
    let (ledger, mut text) = founded();
    let commit = LedgerEntry::Committed {
        job: "never reserved".to_owned(),
        attempt: "1".to_owned(),
    };
    text.push_str(&encode_line(&ledger.head().digest, 2, 5, &commit).0);
    assert!(matches!(
        replay(text.as_bytes(), None),
        Err(LedgerFault::Impossible { line: 2, .. })
    ));
}

fn signature(officer: &str, key: &str) -> OfficerSignature {
    OfficerSignature {
        officer: officer.to_owned(),
        key: key.to_owned(),
        signature: format!("of {officer}"),
    }
}

fn top_up(to: f64) -> TopUp {
    TopUp {
        data_set: DATA.to_owned(),
        from: Epsilon::new(4.0).unwrap(),
        to: Epsilon::new(to).unwrap(),
        reason: "ethics amendment 3".to_owned(),
        signed: vec![signature("m.keller", "k1"), signature("a.berg", "k2")],
    }
}

#[test]
fn a_budget_that_is_raised_has_room_for_exactly_as_much_more_at_its_order() {
    let (mut ledger, mut text) = founded();
    let seven = |ledger: &Ledger, job: &str| ledger.reserve(DATA, job, 70, &charge(10.0));
    let reserve = seven(&ledger, "first").unwrap();
    record(&mut ledger, &mut text, reserve);
    assert!(seven(&ledger, "second").is_err());
    let raised = ledger.top_up(top_up(6.5)).unwrap();
    record(&mut ledger, &mut text, raised);
    let account = ledger.account(DATA).unwrap();
    assert_eq!(account.budget().order, budget().order);
    assert_eq!(account.budget().delta, budget().delta);
    assert_eq!(account.budget().epsilon.value(), 6.5);
    let grown = account.budget().capacity.approximate() - budget().capacity.approximate();
    assert!((2.5 - 1e-9..=2.5).contains(&grown), "{grown}");
    let reserve = seven(&ledger, "second").unwrap();
    record(&mut ledger, &mut text, reserve);
    assert!(seven(&ledger, "third").is_err());
    assert_eq!(
        replay(text.as_bytes(), Some(ledger.head())).unwrap().ledger,
        ledger
    );
}

#[test]
fn a_top_up_prices_the_distance_of_earlier_studies_at_the_new_epsilon() {
    let (mut ledger, mut text) = founded();
    let distance = 1e-9;
    let far = Charge {
        distance: DeltaAmount::rounded_up(distance),
        ..charge(30.0)
    };
    let price = |epsilon: f64, attempts: f64| attempts * distance * (1.0 + epsilon.exp());
    for job in ["running", "ended", "waiting"] {
        let reserve = ledger.reserve(DATA, job, 10, &far).unwrap();
        record(&mut ledger, &mut text, reserve);
    }
    for (job, attempt) in [
        ("running", "1.1.1"),
        ("running", "1.2.1"),
        ("ended", "1.1.1"),
    ] {
        let commit = ledger.commit(job, attempt).unwrap().unwrap();
        record(&mut ledger, &mut text, commit);
    }
    let release = ledger.release("ended").unwrap().unwrap();
    record(&mut ledger, &mut text, release);
    let used = |ledger: &Ledger| ledger.account(DATA).unwrap().delta_used().approximate();
    let close = |ours: f64, exact: f64| ours >= exact && ours <= exact * (1.0 + 1e-9);
    // Ten attempts of two studies, one of the third.
    assert!(close(used(&ledger), price(4.0, 21.0)), "{}", used(&ledger));
    let raised = ledger.top_up(top_up(6.0)).unwrap();
    record(&mut ledger, &mut text, raised);
    assert!(close(used(&ledger), price(6.0, 21.0)), "{}", used(&ledger));
    // What is charged and freed afterwards is charged and freed at the new price.
    let commit = ledger.commit("running", "1.3.1").unwrap().unwrap();
    record(&mut ledger, &mut text, commit);
    assert!(close(used(&ledger), price(6.0, 21.0)), "{}", used(&ledger));
    for (job, left) in [("running", 14.0), ("waiting", 4.0)] {
        let release = ledger.release(job).unwrap().unwrap();
        record(&mut ledger, &mut text, release);
        assert!(
            close(used(&ledger), price(6.0, left)),
            "{job} {}",
            used(&ledger)
        );
    }
    assert_eq!(
        replay(text.as_bytes(), Some(ledger.head())).unwrap().ledger,
        ledger
    );
}

#[test]
fn a_top_up_that_delta_could_not_pay_for_is_refused() {
    let (mut ledger, mut text) = founded();
    // A tenth of the linear part of delta at epsilon 4; at epsilon 7 twenty times as much.
    let far = Charge {
        distance: DeltaAmount::rounded_up(1e-6 / (1.0 + 4_f64.exp())),
        ..charge(30.0)
    };
    let reserve = ledger.reserve(DATA, "study", 1, &far).unwrap();
    record(&mut ledger, &mut text, reserve);
    assert!(matches!(
        ledger.top_up(top_up(7.0)),
        Err(BudgetRefusal::DeltaExceeded { .. })
    ));
    assert!(matches!(
        ledger.top_up(top_up(1e6)),
        Err(BudgetRefusal::DeltaExceeded { .. })
    ));
    ledger.top_up(top_up(6.0)).unwrap();
    // A study without such a price stands in no budget's way.
    let (mut exact, mut text) = founded();
    let reserve = exact.reserve(DATA, "study", 1, &charge(30.0)).unwrap();
    record(&mut exact, &mut text, reserve);
    exact.top_up(top_up(1e6)).unwrap();
}

#[test]
fn a_top_up_that_is_old_lower_or_not_signed_by_two_officers_is_refused() {
    let (mut ledger, mut text) = founded();
    let good = top_up(6.0);
    let unfit = [
        top_up(4.0),
        top_up(3.0),
        TopUp {
            from: Epsilon::new(5.0).unwrap(),
            ..good.clone()
        },
        TopUp {
            reason: String::new(),
            ..good.clone()
        },
        TopUp {
            reason: "one\nepsilon from 4 to 400".to_owned(),
            ..good.clone()
        },
        TopUp {
            signed: vec![signature("m.keller", "k1")],
            ..good.clone()
        },
        TopUp {
            signed: vec![signature("m.keller", "k1"), signature("m.keller", "k2")],
            ..good.clone()
        },
        TopUp {
            signed: vec![signature("m.keller", "k1"), signature("a.berg", "k1")],
            ..good.clone()
        },
        TopUp {
            signed: [good.signed.clone(), vec![signature("x", "k3")]].concat(),
            ..good.clone()
        },
    ];
    for top_up in unfit {
        let refusal = ledger.record(&LedgerEntry::ToppedUp(top_up.clone()), 1);
        assert!(
            matches!(refusal, Err(BudgetRefusal::TopUp { .. })),
            "{top_up:?}"
        );
    }
    let elsewhere = TopUp {
        data_set: "other".to_owned(),
        ..good.clone()
    };
    assert!(matches!(
        ledger.top_up(elsewhere),
        Err(BudgetRefusal::NoBudget { .. })
    ));
    let raised = ledger.top_up(good.clone()).unwrap();
    record(&mut ledger, &mut text, raised);
    // The same signatures a second time.
    assert!(matches!(
        ledger.top_up(good),
        Err(BudgetRefusal::TopUp { .. })
    ));
}

#[test]
fn a_file_cut_at_any_byte_never_forgets_a_charge_that_was_acted_on() {
    let (mut ledger, mut text) = founded();
    // The state after each entry, with the bytes that were on the disk when somebody acted on it.
    let mut states = vec![(text.len(), ledger.clone())];
    let reserve = ledger.reserve(DATA, "study", 3, &charge(10.0)).unwrap();
    record(&mut ledger, &mut text, reserve);
    states.push((text.len(), ledger.clone()));
    for attempt in ["1.1.1", "1.2.1"] {
        let commit = ledger.commit("study", attempt).unwrap().unwrap();
        record(&mut ledger, &mut text, commit);
        states.push((text.len(), ledger.clone()));
    }
    let raised = ledger.top_up(top_up(5.0)).unwrap();
    record(&mut ledger, &mut text, raised);
    states.push((text.len(), ledger.clone()));
    let release = ledger.release("study").unwrap().unwrap();
    record(&mut ledger, &mut text, release);
    states.push((text.len(), ledger.clone()));
    for cut in states[0].0..=text.len() {
        let replayed = replay(&text.as_bytes()[..cut], None).unwrap();
        let (whole, state) = states.iter().rev().find(|(end, _)| *end <= cut).unwrap();
        assert_eq!(&replayed.ledger, state, "cut at byte {cut}");
        assert_eq!(replayed.whole_bytes, *whole);
        assert_eq!(replayed.torn, cut > *whole);
        // Whoever remembers a later head is told that the file lacks it.
        for (end, later) in &states {
            let known = replay(&text.as_bytes()[..cut], Some(later.head()));
            assert_eq!(known.is_ok(), *end <= *whole, "cut at byte {cut}");
        }
    }
}

#[test]
fn times_that_run_backwards_or_stand_still_change_no_charge() {
    let price = charge(10.0);
    let told_at = |times: [u64; 4]| {
        let mut ledger = Ledger::new();
        let mut text = String::new();
        let mut write = |ledger: &mut Ledger, entry: LedgerEntry, at: u64| {
            text.push_str(&ledger.record(&entry, at).unwrap());
        };
        let created = ledger.create(DATA, budget()).unwrap();
        write(&mut ledger, created, times[0]);
        let reserved = ledger.reserve(DATA, "study", 3, &price).unwrap();
        write(&mut ledger, reserved, times[1]);
        for (attempt, at) in ["1.1.1", "1.2.1"].into_iter().zip(&times[2..]) {
            let committed = ledger.commit("study", attempt).unwrap().unwrap();
            write(&mut ledger, committed, *at);
        }
        let replayed = replay(text.as_bytes(), Some(ledger.head())).unwrap();
        assert_eq!(replayed.ledger, ledger);
        let account = ledger.account(DATA).unwrap().clone();
        (account, ledger.job("study").unwrap().clone())
    };
    let forwards = told_at([1_000, 2_000, 3_000, 4_000]);
    assert_eq!(told_at([4_000, 3_000, 2_000, 1_000]), forwards);
    assert_eq!(told_at([0, u64::MAX, 0, u64::MAX]), forwards);
    assert_eq!(told_at([7, 7, 7, 7]), forwards);
}

#[test]
fn the_stored_form_is_fixed() {
    let (_, line) = founded();
    assert_eq!(line, KNOWN_LINE);
}

/// Computed apart: SHA-256 over the length-prefixed label, 32 zero bytes and the record.
const KNOWN_LINE: &str = concat!(
    r#"{"digest":"4b508abf9612156ef53b8957a9a87482bf6d731ee1e9531d936c504702486e6a","record":"#,
    r#"{"sequence":1,"at":1,"entry":{"created":{"data_set":"ercp-trial","budget":{"epsilon":"4","#,
    r#""delta":"2e-5","delta_rdp":"1e-5","order":6,"capacity":"2.238088357623","#,
    r#""delta_linear":"0.000009999999999900001182416896"}}}}}"#,
    "\n"
);

#[derive(Debug, Clone)]
enum Operation {
    Reserve {
        job: u8,
        attempts: u32,
        multiplier: f64,
    },
    Commit {
        job: u8,
        attempt: u8,
    },
    Release {
        job: u8,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (0_u8..12, 1_u32..12, 2.0_f64..30.0).prop_map(|(job, attempts, multiplier)| {
            Operation::Reserve {
                job,
                attempts,
                multiplier,
            }
        }),
        (0_u8..12, 0_u8..15).prop_map(|(job, attempt)| Operation::Commit { job, attempt }),
        (0_u8..12).prop_map(|job| Operation::Release { job }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_promise_holds_and_the_file_tells_the_same(
        operations in prop::collection::vec(operation(), 0..120),
    ) {
        let (mut ledger, mut text) = founded();
        let mut spent = 0.0;
        let mut costs = std::collections::BTreeMap::new();
        for operation in operations {
            let before = ledger.account(DATA).unwrap().committed_share();
            let entry = match &operation {
                Operation::Reserve { job, attempts, multiplier } => ledger
                    .reserve(DATA, &job.to_string(), *attempts, &charge(*multiplier))
                    .ok()
                    .inspect(|_| { costs.insert(*job, 3.0 / (multiplier * multiplier)); }),
                Operation::Commit { job, attempt } => ledger
                    .commit(&job.to_string(), &attempt.to_string())
                    .ok()
                    .flatten()
                    .inspect(|_| spent += costs[job]),
                Operation::Release { job } => ledger.release(&job.to_string()).ok().flatten(),
            };
            if let Some(entry) = entry {
                text.push_str(&ledger.record(&entry, 9).unwrap());
            }
            // A charge is never lowered, and never more than the budget.
            prop_assert!(ledger.account(DATA).unwrap().committed_share() >= before);
            prop_assert!(spent <= budget().capacity.approximate());
        }
        let replayed = replay(text.as_bytes(), Some(ledger.head())).unwrap();
        prop_assert_eq!(replayed.ledger, ledger);
        prop_assert!(!replayed.torn);
    }
}
