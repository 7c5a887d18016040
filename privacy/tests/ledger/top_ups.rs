// SPDX-License-Identifier: Apache-2.0
//! A budget that two officers raise.

use consilium_privacy::budget::{
    BudgetRefusal, Charge, DeltaAmount, Ledger, LedgerEntry, OfficerSignature, TopUp, replay,
};
use consilium_privacy::loss::Epsilon;

use crate::{DATA, budget, charge, founded, record};

fn signature(officer: &str, key: &str) -> OfficerSignature {
    OfficerSignature {
        officer: officer.to_owned(),
        key: key.to_owned(),
        signature: format!("of {officer}"),
    }
}

pub(crate) fn top_up(to: f64) -> TopUp {
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
