// SPDX-License-Identifier: Apache-2.0
//! Proof by attack, short enough for every run of the tests; `audit-privacy` is the long form.
//!
//! Seeds are fixed. Over all seeds the honest canary fails for one in a thousand, and so does the honest run of a
//! thousand canaries; a mistake is told from honest noise for all seeds but one in a thousand, or fewer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use consilium_privacy::loss::{ClippingNorm, NoiseMultiplier};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, VectorPlan};
use consilium_tests::Federation;
use consilium_tests::privacy_audit::canary::{Attack, Canary, Path, Verdict};
use consilium_tests::privacy_audit::mutation::{Moment, Mutation, contribution};
use consilium_tests::privacy_audit::one_run::OneRun;

fn attack(mutation: Mutation, canary: Canary) -> Verdict {
    let attack = Attack {
        mutation,
        canary,
        path: Path::Addition,
        rounds: 10_000,
        seed: 42,
    };
    attack.run().unwrap()
}

#[test]
fn an_attacker_learns_what_is_claimed_and_no_more() {
    let verdict = attack(Mutation::None, Canary::TooLong);
    assert!(verdict.holds(), "{} {verdict:?}", verdict.ratio());
}

#[test]
fn the_machines_release_the_survivors_sum_to_the_unit_in_every_round() {
    // `run` compares each sum of the machines with the sum that the other tests attack.
    let short = Attack {
        mutation: Mutation::None,
        canary: Canary::TooLong,
        path: Path::Machines,
        rounds: 20,
        seed: 42,
    };
    let by_machines = short.run().unwrap();
    let by_addition = Attack {
        path: Path::Addition,
        ..short
    };
    assert_eq!(by_machines, by_addition.run().unwrap());
    assert_eq!(by_machines.when_present.all, 20);
}

#[test]
fn the_attack_finds_a_missing_share() {
    let verdict = attack(Mutation::MissingShare, Canary::TooLong);
    assert!(verdict.ratio() > 1.1, "{verdict:?}");
}

#[test]
fn the_attack_finds_shares_that_count_on_silos_that_are_gone() {
    let verdict = attack(Mutation::SharesOfAll, Canary::TooLong);
    assert!(verdict.ratio() > 1.1, "{verdict:?}");
}

#[test]
fn the_attack_finds_two_silos_that_draw_the_same_noise() {
    let verdict = attack(Mutation::EqualSeeds, Canary::TooLong);
    assert!(!verdict.holds(), "{verdict:?}");
}

#[test]
fn the_attack_finds_a_clip_of_twice_the_norm() {
    let verdict = attack(Mutation::DoubleClip, Canary::TooLong);
    assert!(verdict.ratio() > 1.1, "{verdict:?}");
}

#[test]
fn the_attack_finds_a_vector_that_is_not_clipped_because_a_coordinate_is_no_number() {
    let verdict = attack(Mutation::NotANumber, Canary::NotANumber);
    assert!(verdict.ratio() > 1.1, "{verdict:?}");
    let honest = attack(Mutation::None, Canary::NotANumber);
    assert!(honest.ratio() < 0.1, "{honest:?}");
}

#[test]
fn the_attack_finds_weights_that_come_after_the_noise() {
    let verdict = attack(Mutation::WeightAfterNoise, Canary::TooLong);
    assert!(verdict.ratio() > 1.1, "{verdict:?}");
}

#[test]
fn the_attack_finds_a_number_of_patients_beside_the_noise() {
    let verdict = attack(Mutation::CountBesideNoise, Canary::TooLong);
    assert!(verdict.ratio() > 1.1, "{verdict:?}");
}

#[test]
fn one_training_run_proves_most_of_the_distance_and_no_more_than_is_claimed() {
    let verdict = one_run(Mutation::None);
    assert!(verdict.parameters >= 1_000);
    assert!(verdict.holds(), "{} {verdict:?}", verdict.ratio());
}

#[test]
fn one_training_run_finds_a_missing_share_and_a_clip_of_twice_the_norm() {
    for mutation in [Mutation::MissingShare, Mutation::DoubleClip] {
        let verdict = one_run(mutation);
        assert!(verdict.ratio() > 1.0, "{mutation:?} {verdict:?}");
    }
}

fn one_run(mutation: Mutation) -> consilium_tests::privacy_audit::one_run::OneRunVerdict {
    OneRun { mutation, seed: 7 }.run().unwrap()
}

#[test]
fn no_patients_and_fifty_send_equal_fields_and_lengths() {
    let plan = NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(0.5).unwrap(),
        silos: 4,
        dropouts: 1,
        colluders: 1,
        attempts: 1,
        patients_cap: 100,
        dimension: 3,
    })
    .unwrap();
    let vector = VectorPlan::noised(3, plan).unwrap();
    let norm = ClippingNorm::new(1.0).unwrap();
    let traffic = |mutation, patients: usize| {
        let mut federation = Federation::new(&["a", "b", "c", "d"]).unwrap();
        let inputs: Vec<Vec<i64>> = (0..4)
            .map(|silo| {
                let patients = vec![vec![0.1, 0.2, 0.3]; if silo == 0 { patients } else { 5 }];
                let moment = Moment {
                    seed: 1,
                    round: 0,
                    silo,
                };
                contribution(mutation, &plan, norm, 3, &patients, moment).unwrap()
            })
            .collect();
        federation.sum(&vector, &inputs).unwrap();
        (federation.traffic().to_vec(), inputs[0].clone())
    };
    let (nobody, without) = traffic(Mutation::None, 0);
    let (fifty, with) = traffic(Mutation::None, 50);
    assert!(nobody.iter().any(|message| message.name == "Upload"));
    assert_eq!(nobody, fifty);
    // Nothing in the vector tells a number of patients: every coordinate is noised, of nobody's too.
    for vector in [without, with] {
        let far = |value: &i64| value.unsigned_abs() > 1_000;
        assert!(vector.iter().all(far), "{vector:?}");
    }
}
