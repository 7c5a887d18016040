// SPDX-License-Identifier: Apache-2.0
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::discrete_gaussian::DiscreteGaussian;
use crate::loss::NoiseMultiplier;

fn terms(multiplier: f64, silos: u32, dropouts: u32, colluders: u32) -> NoiseTerms {
    NoiseTerms {
        multiplier: NoiseMultiplier::new(multiplier).unwrap(),
        silos,
        dropouts,
        colluders,
        attempts: 22,
        patients_cap: 1_000,
        dimension: 5,
    }
}

#[test]
fn the_share_grows_with_dropouts_and_colluders_as_the_reference_says() {
    // Facts of the reference vectors `dropout_share`: (n, n_d, n_c, z) -> sigma of a share.
    for (n, n_d, n_c, z, share) in [
        (4, 0, 0, 1.0, 0.5),
        (4, 0, 1, 1.0, 0.577_350_269_189_625_7),
        (8, 2, 2, 2.0, 1.0),
    ] {
        let plan = NoisePlan::derive(&terms(z, n, n_d, n_c)).unwrap();
        let broken = plan.multiplier(View::MasksBroken).unwrap().value();
        assert!(
            (share..share * 1.0001).contains(&broken),
            "{broken} against {share}"
        );
    }
}

#[test]
fn the_three_views_see_the_shares_that_are_certain() {
    let plan = NoisePlan::derive(&terms(2.0, 10, 3, 2)).unwrap();
    let shares = View::ALL.map(|view| plan.shares_seen(view));
    assert_eq!(shares, [7, 5, 1]);
    let seen = View::ALL.map(|view| plan.multiplier(view).unwrap().value());
    assert!((seen[0] / seen[2] - 7_f64.sqrt()).abs() < 1e-12);
    assert!(seen[1] >= 2.0 && seen[1] < 2.0002);
}

#[test]
fn the_variance_is_the_integer_above_the_scale() {
    // k = 2^14: 2^28 * .72134752044448170368 = 193635250.58...
    assert_eq!(variance_above(1 << 14), 193_635_251);
    for scale in [1 << 14, 20_001, 1 << 20, MOST_SCALE] {
        let real = scale as f64 * scale as f64 * HALF_OVER_LN_2;
        let above = variance_above(scale) as f64;
        assert!(
            above >= real * (1.0 - 1e-15) && above <= real * (1.0 + 1e-15) + 1.001,
            "{scale}"
        );
    }
}

#[test]
fn widths_leave_room_for_every_patient_and_twelve_sigma() {
    let plan = NoisePlan::derive(&terms(1.0, 4, 1, 1)).unwrap();
    let sigma = plan.variance_below().sqrt();
    let largest = 4.0 * 1_000.0 * plan.clip_integer as f64 + 12.0 * sigma * 2.0;
    let bits = plan.word_bits().unwrap();
    assert!(largest < 2_f64.powi(i32::from(bits) - 1));
    let narrower = WORD_WIDTHS
        .into_iter()
        .rev()
        .find(|width| *width < bits)
        .unwrap();
    assert!(largest >= 2_f64.powi(i32::from(narrower) - 1));
    assert_eq!(bits, 32);
}

#[test]
fn impossible_terms_are_refused() {
    assert!(matches!(
        NoisePlan::derive(&terms(1.0, 3, 2, 1)),
        Err(NoisePlanFault::NobodyHonest { .. })
    ));
    assert!(matches!(
        NoisePlan::derive(&terms(1.0, 3, 4, 0)),
        Err(NoisePlanFault::NobodyHonest { .. })
    ));
    assert!(matches!(
        NoisePlan::derive(&terms(1e6, 3, 0, 1)),
        Err(NoisePlanFault::NoiseOutOfRange)
    ));
    assert!(matches!(
        NoisePlan::derive(&terms(1e-6, 3, 0, 1)),
        Err(NoisePlanFault::NoiseOutOfRange)
    ));
    let zero = NoiseTerms {
        attempts: 0,
        ..terms(1.0, 4, 1, 1)
    };
    assert_eq!(NoisePlan::derive(&zero), Err(NoisePlanFault::NoAttempts));
    let wide = NoiseTerms {
        patients_cap: 1 << 32,
        dimension: 1 << 30,
        silos: MOST_SILOS,
        ..terms(10.0, 4, 1, 1)
    };
    assert_eq!(NoisePlan::derive(&wide), Err(NoisePlanFault::SumTooWide));
}

#[test]
fn a_plan_from_elsewhere_with_too_little_noise_is_refused() {
    let plan = NoisePlan::derive(&terms(1.0, 4, 1, 1)).unwrap();
    for scale in [3, LEAST_SCALE - 1, MOST_SCALE + 1] {
        let thin = NoisePlan { scale, ..plan };
        assert_eq!(thin.validate(), Err(NoisePlanFault::NoiseOutOfRange));
    }
    let odd = NoisePlan {
        clip_integer: 20_000,
        ..plan
    };
    assert!(matches!(
        odd.validate(),
        Err(NoisePlanFault::ClipInteger { .. })
    ));
}

proptest! {
    #[test]
    fn no_plan_gives_less_noise_than_was_asked_for(
        z in 0.05_f64..500.0,
        silos in 2..=MOST_SILOS,
        lost in 0.0_f64..1.0,
        dimension in 1_u64..1_000_000,
    ) {
        let lost = (f64::from(silos - 1) * lost) as u32;
        let asked = NoiseTerms { dimension, ..terms(z, silos, lost / 2, lost - lost / 2) };
        let plan = NoisePlan::derive(&asked).unwrap();
        let given = plan.multiplier(View::Colluders).unwrap().value();
        prop_assert!(given >= z && given <= z * 1.0001, "{} for {}", given, z);
        let shares = f64::from(plan.shares_seen(View::Colluders));
        let sampled = plan.scale as f64 * (shares * HALF_OVER_LN_2).sqrt() / plan.clip_integer as f64;
        prop_assert!(sampled >= given, "the accountant counts on more than is sampled");
        prop_assert!(DiscreteGaussian::new(plan.scale).is_ok());
        prop_assert!(plan.clip_integer as f64 >= 64.0 * (dimension as f64).sqrt());
        prop_assert_eq!(plan.validate(), Ok(()));
    }
}
