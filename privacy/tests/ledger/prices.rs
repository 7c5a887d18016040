// SPDX-License-Identifier: Apache-2.0
//! What an attempt costs, of the divergence and of delta.

use consilium_privacy::budget::{
    BudgetRefusal, Charge, DeltaAmount, LedgerEntry, RdpAmount, replay,
};
use consilium_privacy::loss::NoiseMultiplier;
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, View};

use crate::{DATA, charge, founded, record};

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
