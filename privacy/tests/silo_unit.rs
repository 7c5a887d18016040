// SPDX-License-Identifier: Apache-2.0
//! The silo as the unit: what its neighbours can differ by, what that costs, and an attack that tries to see more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss
)]

use consilium_crypto::random::InsecureSeededRandom;
use consilium_privacy::accountant::{Adjacency, NoiseEvent, PrivacyStatement, RdpCurve, gaussian};
use consilium_privacy::budget::{Budget, Charge, Ledger};
use consilium_privacy::clipping::quantise_patient;
use consilium_privacy::contribution::simulated_sum;
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, NoiseMultiplier, SamplingRate};
use consilium_privacy::noise_plan::{
    NoisePlan, NoisePlanFault, NoiseTerms, Unit, VectorPlan, View,
};
use proptest::prelude::*;

const SILOS: u32 = 4;

fn plan(multiplier: f64, attempts: u32) -> NoisePlan {
    let terms = NoiseTerms {
        multiplier: NoiseMultiplier::new(multiplier).unwrap(),
        silos: SILOS,
        dropouts: 1,
        colluders: 1,
        attempts,
        patients_cap: 1,
        dimension: 3,
    };
    NoisePlan::derive(&terms).unwrap().with_unit(Unit::Silo)
}

fn squared_distance(left: &[i64], right: &[i64]) -> u128 {
    let pairs = left.iter().zip(right);
    pairs
        .map(|(left, right)| u128::from(left.abs_diff(*right)).pow(2))
        .sum()
}

#[test]
fn two_data_sets_of_one_silo_may_lie_two_clips_apart_and_that_is_what_is_charged() {
    let plan = plan(3.0, 7);
    let whole = |first: f64| {
        let vector = [first, 0.0, 0.0];
        quantise_patient(&vector, ClippingNorm::ONE, plan.clip_integer)
    };
    let apart = squared_distance(&whole(1e9), &whole(-1e9));
    let sensitivity = 2 * u128::from(plan.clip_integer);
    assert_eq!(apart, sensitivity * sensitivity);
    // Order times squared distance over twice the variance that colluders face, by the real noise of n - t shares.
    let variance = 2.0 * plan.variance_below();
    let charge = Charge::of_plan(&plan, View::Colluders, 3).unwrap();
    for order in [2, 6, 18, 64] {
        let exact = f64::from(order) * apart as f64 / (2.0 * variance);
        let charged = charge.curve.at(order).unwrap();
        assert!(
            charged >= exact && charged < exact * (1.0 + 1e-9),
            "{charged} {exact}"
        );
    }
}

#[test]
fn one_patient_more_can_move_a_silo_by_more_than_a_clip_so_a_clip_alone_would_promise_patients_too_little()
 {
    let plan = plan(3.0, 7);
    // The mean of many zeros and one outlier, scaled by nobody: it points where the one patient points.
    let without = quantise_patient(&[-5.0, 0.0, 0.0], ClippingNorm::ONE, plan.clip_integer);
    let with = quantise_patient(&[5.0, 0.0, 0.0], ClippingNorm::ONE, plan.clip_integer);
    let clip = u128::from(plan.clip_integer);
    let moved = squared_distance(&with, &without);
    assert!(moved > clip * clip && moved <= 4 * clip * clip);
    // So a charge of a silo covers each of its patients: it is four times what a patient's vector of that clip costs.
    let patients = plan.with_unit(Unit::Patient);
    let (silo, patient) = (
        Charge::of_plan(&plan, View::Colluders, 3).unwrap(),
        Charge::of_plan(&patients, View::Colluders, 3).unwrap(),
    );
    for (order, of_silo) in silo.curve.points() {
        let of_patient = patient.curve.at(order).unwrap();
        assert!((of_silo / of_patient - 4.0).abs() < 1e-9, "order {order}");
    }
}

#[test]
fn the_promise_is_certified_in_the_view_that_is_charged_and_the_closed_form_stays_below() {
    let delta = Delta::new(1e-5).unwrap();
    let plan = plan(12.0, 5);
    let statement = PrivacyStatement::of_plan(&plan, 3, delta).unwrap();
    let multiplier = plan.multiplier(View::Colluders).unwrap().value();
    assert_eq!(plan.shares_seen(View::Colluders), 2);
    let over_sensitivity = NoiseMultiplier::new(multiplier / 2.0).unwrap();
    let exact = gaussian::estimate(over_sensitivity, 5, delta);
    assert!(statement.colluders.epsilon >= exact);
    assert!(
        statement.colluders.epsilon.value() < 1.2 * exact.value(),
        "{statement:?} {exact}"
    );
    assert!(statement.masks_hold.epsilon < statement.colluders.epsilon);
    assert!(statement.colluders.epsilon < statement.masks_broken.unwrap().epsilon);
    let event = NoiseEvent::of_plan(&plan, View::Colluders, 3).unwrap();
    assert_eq!(event.adjacency(), Adjacency::Replace);
}

#[test]
fn one_ledger_holds_charges_of_both_units_and_keeps_its_promise_to_patients() {
    let budget = Budget::create(Epsilon::new(4.0).unwrap(), Delta::new(2e-5).unwrap()).unwrap();
    let mut ledger = Ledger::new();
    let entry = ledger.create("trial", budget).unwrap();
    ledger.record(&entry, 1).unwrap();
    let silo = plan(15.0, 5);
    let patient = plan(15.0, 5).with_unit(Unit::Patient);
    let mut whole = RdpCurve::zero();
    for (job, plan) in [("silo", silo), ("patient", patient)] {
        let charge = Charge::of_plan(&plan, View::Colluders, 3).unwrap();
        let reserved = ledger.reserve("trial", job, 5, &charge).unwrap();
        ledger.record(&reserved, 2).unwrap();
        // What each patient loses: sensitivity D in both, or 2 D where the silo is the unit.
        for _ in 0..5 {
            whole = whole.compose(&charge.curve);
        }
    }
    let used = 1.0
        - ledger
            .account("trial")
            .unwrap()
            .remaining_share()
            .fraction();
    let spent = whole.at(budget.order).unwrap() / budget.capacity.approximate();
    assert!(used >= spent && used < spent + 0.002, "{used} {spent}");
    assert!(whole.epsilon(budget.delta_rdp).epsilon.value() <= 4.0);
}

#[test]
fn a_plan_for_silos_counts_draws_and_notes_no_patients() {
    let good = plan(3.0, 1);
    assert_eq!(good.validate(), Ok(()));
    let rate = SamplingRate::new(0.5).unwrap();
    for bad in [
        NoisePlan {
            patients_cap: 2,
            ..good
        },
        good.with_sampling_rate(rate),
    ] {
        assert_eq!(bad.validate(), Err(NoisePlanFault::SiloUnit));
        assert!(VectorPlan::noised(3, bad).is_err());
    }
    // A plan that was written before there were two units is about patients.
    let mut json = serde_json::to_value(good).unwrap();
    assert_eq!(json["unit"], "silo");
    json.as_object_mut().unwrap().remove("unit");
    let read: NoisePlan = serde_json::from_value(json).unwrap();
    assert_eq!(read, good.with_unit(Unit::Patient));
}

/// What the colluder's attack on one silo finds: the distance, in standard deviations, at which two Gaussians are told apart
/// as well as the silo's two data sets are. `contribute` gives what the silo puts into the sum, noise included.
///
/// n - t = 2 honest shares are in the sum that colluders are left with: the silo's own and one of a silo without data.
fn told_apart(
    plan: &NoisePlan,
    contribute: impl Fn(&NoisePlan, f64, &mut InsecureSeededRandom) -> i64,
) -> f64 {
    let mut seed = 0_u64;
    let mut share_positive = |direction: f64| {
        let positive = (0..ROUNDS)
            .filter(|_| {
                let mut next = || {
                    seed += 1;
                    let mut bytes = [0; 32];
                    bytes[..8].copy_from_slice(&seed.to_le_bytes());
                    InsecureSeededRandom::from_bytes(bytes)
                };
                let attacked = contribute(plan, direction, &mut next());
                let other =
                    simulated_sum(plan, ClippingNorm::ONE, 1, [[0.0]], &mut next()).unwrap();
                // The midpoint of the two is zero, fixed beforehand.
                attacked + other[0] > 0
            })
            .count();
        positive as f64 / f64::from(ROUNDS)
    };
    let (hits, alarms) = (share_positive(1.0), share_positive(-1.0));
    quantile(hits) - quantile(alarms)
}

#[test]
fn an_attack_through_the_real_path_sees_two_clips_and_no_more() {
    // z = 1 and two clips: a distance of 2. Each of the two shares of 0.841 is known to 0.0037, so the distance to 0.021:
    // 0.1 is more than four and a half of them, a false alarm in 10^5 with other seeds than these.
    let plan = plan(1.0, 1);
    let claim = 2.0 / plan.multiplier(View::Colluders).unwrap().value();
    let seen = told_apart(&plan, |plan, direction, random| {
        simulated_sum(plan, ClippingNorm::ONE, 1, [[direction * 1e6]], random).unwrap()[0]
    });
    assert!((seen - claim).abs() < 0.1, "{seen} for {claim}");
}

#[test]
fn the_attack_sees_a_silo_whose_patients_are_clipped_one_by_one() {
    // The mistake that the unit forbids: three patients, each within the clip, and one share of noise on their sum.
    let plan = plan(1.0, 1);
    let claim = 2.0 / plan.multiplier(View::Colluders).unwrap().value();
    let patients = plan.with_unit(Unit::Patient);
    let counted = NoisePlan {
        patients_cap: 3,
        ..patients
    };
    let seen = told_apart(&plan, |_, direction, random| {
        let each = [[direction]; 3];
        simulated_sum(&counted, ClippingNorm::ONE, 1, each, random).unwrap()[0]
    });
    assert!(seen > 2.0 * claim, "{seen} for {claim}");
}

proptest! {
    #[test]
    fn no_two_data_sets_of_a_silo_are_further_apart_than_two_clips(
        left in prop::collection::vec(any::<f64>(), 3),
        right in prop::collection::vec(any::<f64>(), 3),
        clip in 1e-6_f64..1e6,
    ) {
        let plan = plan(1.0, 1);
        let norm = ClippingNorm::new(clip).unwrap();
        let whole = |vector: &[f64]| quantise_patient(vector, norm, plan.clip_integer);
        let sensitivity = 2 * u128::from(plan.clip_integer);
        prop_assert!(squared_distance(&whole(&left), &whole(&right)) <= sensitivity * sensitivity);
    }
}

/// The inverse of the normal distribution, by bisection of its closed form.
fn quantile(probability: f64) -> f64 {
    let below = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if below(middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

const ROUNDS: u32 = 10_000;
