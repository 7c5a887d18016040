// SPDX-License-Identifier: Apache-2.0
//! Proof by attack, short enough for every run of the tests; `audit-privacy` is the long form.
//!
//! Seeds are fixed. Over all seeds the honest canary fails for one in a thousand, and so does the honest run of a
//! thousand canaries; a mistake is told from honest noise for all seeds but one in a thousand, or fewer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use consilium_crypto::random::InsecureSeededRandom;
use consilium_privacy::batch::Batch;
use consilium_privacy::loss::{ClippingNorm, NoiseMultiplier};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, VectorPlan};
use consilium_tests::Federation;
use consilium_tests::privacy_audit::canary::{Attack, Canary, Path, Verdict, tenth};
use consilium_tests::privacy_audit::local::{
    LocalAttack, LocalMutation, LocalVerdict, OTHER_AND_CANARY, Silo,
};
use consilium_tests::privacy_audit::mutation::{Moment, Mutation, contribution};
use consilium_tests::privacy_audit::one_run::OneRun;

fn attack(mutation: Mutation, canary: Canary) -> Verdict {
    let attack = Attack {
        mutation,
        canary,
        batch: Batch::Everybody,
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
        batch: Batch::Everybody,
        path: Path::Machines,
        rounds: 20,
        seed: 42,
    };
    for batch in [Batch::Everybody, tenth().unwrap()] {
        let by_machines = Attack { batch, ..short }.run().unwrap();
        let by_addition = Attack {
            batch,
            path: Path::Addition,
            ..short
        };
        assert_eq!(by_machines, by_addition.run().unwrap());
        let canaries = u32::try_from(by_addition.canaries()).unwrap();
        assert_eq!(by_machines.when_present.all, 20 * canaries);
    }
}

/// Batches of one in ten, whose canaries are rarely there: four times as many guesses, sixteen in each round.
fn attack_on_batches(mutation: Mutation) -> Verdict {
    let attack = Attack {
        mutation,
        canary: Canary::TooLong,
        batch: tenth().unwrap(),
        path: Path::Addition,
        rounds: 2_500,
        seed: 42,
    };
    attack.run().unwrap()
}

#[test]
fn a_patient_in_a_batch_is_found_as_often_as_it_is_drawn_and_no_more() {
    let verdict = attack_on_batches(Mutation::None);
    assert!(verdict.holds(), "{} {verdict:?}", verdict.ratio());
}

#[test]
fn the_attack_finds_every_patient_in_a_round_that_is_charged_for_a_batch() {
    let verdict = attack_on_batches(Mutation::NoPoisson);
    assert!(verdict.ratio() > 5.0, "{verdict:?}");
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

fn local_attack(mutation: LocalMutation) -> LocalVerdict {
    let attack = LocalAttack {
        mutation,
        rounds: 10_000,
        seed: 42,
    };
    attack.run().unwrap()
}

#[test]
fn a_silos_own_message_after_noised_local_steps_tells_what_is_claimed_and_no_more() {
    let verdict = local_attack(LocalMutation::Honest);
    assert!(verdict.holds(), "{} {verdict:?}", verdict.ratio());
}

#[test]
fn the_attack_finds_noise_that_is_added_once_instead_of_at_every_local_step() {
    // Four steps with the noise of one: half of what was promised.
    let verdict = local_attack(LocalMutation::NoiseOnce);
    assert!(verdict.ratio() > 1.5, "{verdict:?}");
}

#[test]
fn the_attack_finds_a_local_step_that_divides_by_the_true_number_of_patients() {
    let verdict = local_attack(LocalMutation::TrueCount);
    assert!(verdict.ratio() > 1.1, "{verdict:?}");
}

#[test]
fn the_moves_of_local_steps_add_up_under_masks_with_one_silo_gone() {
    let silo = Silo::new().unwrap();
    let table = silo.table(OTHER_AND_CANARY).unwrap();
    let inputs: Vec<Vec<i64>> = (1..=4)
        .map(|seed| {
            let mut random = InsecureSeededRandom::from_bytes([seed; 32]);
            silo.message(LocalMutation::Honest, &table, &mut random)
                .unwrap()
        })
        .collect();
    let mut federation = Federation::new(&["a", "b", "c", "d"]).unwrap();
    let released = federation
        .sum_of_survivors(silo.plan(), &inputs, &[3])
        .unwrap();
    let added: Vec<i64> = (0..2)
        .map(|at| inputs[..3].iter().map(|input| input[at]).sum())
        .collect();
    assert_eq!(released, added);
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

#[test]
fn a_batch_of_nobody_and_one_of_fifty_send_equal_fields_and_lengths() {
    let plan = NoisePlan {
        batch: tenth().unwrap(),
        ..NoisePlan::derive(&NoiseTerms {
            multiplier: NoiseMultiplier::new(0.5).unwrap(),
            silos: 4,
            dropouts: 1,
            colluders: 1,
            attempts: 1,
            patients_cap: 1_000,
            dimension: 3,
        })
        .unwrap()
    };
    let vector = VectorPlan::noised(3, plan).unwrap();
    let norm = ClippingNorm::new(1.0).unwrap();
    let protected = |patients: &[Vec<f64>], seed: u64, silo: usize| {
        let moment = Moment {
            seed,
            round: 0,
            silo,
        };
        contribution(Mutation::None, &plan, norm, 3, patients, moment).unwrap()
    };
    // Equal noise cancels in the difference to vectors of zeros: what is left counts those drawn.
    let batch_size = |patients: usize, seed: u64| {
        let of = |vector: Vec<f64>| protected(&vec![vector; patients], seed, 0)[0];
        (of(vec![1.0, 0.0, 0.0]) - of(vec![0.0; 3])) / i64::try_from(plan.clip_integer).unwrap()
    };
    let seed_of = |patients: usize, size: i64| {
        // A batch of nobody out of 50 comes once in 194 draws, one of 50 out of 500 once in 17.
        let mut seeds = 0..5_000_u64;
        seeds
            .find(|seed| batch_size(patients, *seed) == size)
            .unwrap()
    };
    let traffic = |patients: usize, seed: u64| {
        let mut federation = Federation::new(&["a", "b", "c", "d"]).unwrap();
        let inputs: Vec<Vec<i64>> = (0..4)
            .map(|silo| {
                let count = if silo == 0 { patients } else { 5 };
                protected(&vec![vec![1.0, 0.0, 0.0]; count], seed, silo)
            })
            .collect();
        federation.sum(&vector, &inputs).unwrap();
        (federation.traffic().to_vec(), inputs[0].clone())
    };
    let (nobody, without) = traffic(50, seed_of(50, 0));
    let (fifty, with) = traffic(500, seed_of(500, 50));
    assert!(nobody.iter().any(|message| message.name == "Upload"));
    assert_eq!(nobody, fifty);
    assert_eq!(without.len(), with.len());
    for vector in [without, with] {
        assert!(vector.iter().all(|value| *value != 0), "{vector:?}");
    }
}
