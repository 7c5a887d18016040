// SPDX-License-Identifier: Apache-2.0
//! Proof by attack: whether a patient took part is guessed from released sums, and the guesses are as
//! good as claimed, no better (the noise is there) and hardly worse (the attack is a real one).
//!
//! The worst case: exactly the survivors that a release needs, the colluders' shares subtracted, the
//! patient's vector of exactly the clipping norm. 10,000 rounds with and without the patient; the
//! bound is one-sided at 99 %. Seeded; over all seeds the honest case fails less than once in 1,000.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use consilium_crypto::random::RoundRandom;
use consilium_crypto::secret::Secret32;
use consilium_privacy::contribution::noised_sum;
use consilium_privacy::loss::{ClippingNorm, NoiseMultiplier};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, View};

const ROUNDS: u32 = 10_000;

#[test]
fn an_attacker_sees_what_is_claimed_and_no_more() {
    let plan = plan(1, 1);
    let ratio = attack(
        &plan,
        plan.shares_seen(View::Colluders),
        claim(&plan),
        Seeds::OfTheirOwn,
    );
    assert!((0.93..=1.0).contains(&ratio), "{ratio}");
}

#[test]
fn the_attack_notices_a_missing_share() {
    let plan = plan(1, 1);
    let shares = plan.shares_seen(View::Colluders) - 1;
    let ratio = attack(&plan, shares, claim(&plan), Seeds::OfTheirOwn);
    assert!(ratio > 1.1, "{ratio}");
}

#[test]
fn the_attack_notices_shares_of_z_over_sqrt_n() {
    // Shares that count on all four silos, while one drops out and one colludes.
    let ratio = attack(&plan(0, 0), 2, claim(&plan(1, 1)), Seeds::OfTheirOwn);
    assert!(ratio > 1.1, "{ratio}");
}

#[test]
fn the_attack_notices_two_silos_with_one_seed() {
    // Equal noise adds up to twice, not to the square root of two: the claim is no longer what is measured.
    let plan = plan(1, 1);
    let ratio = attack(
        &plan,
        plan.shares_seen(View::Colluders),
        claim(&plan),
        Seeds::Equal,
    );
    assert!(ratio < 0.93, "{ratio}");
}

fn plan(dropouts: u32, colluders: u32) -> NoisePlan {
    NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(0.5).unwrap(),
        silos: 4,
        dropouts,
        colluders,
        attempts: 1,
        patients_cap: 1_000,
        dimension: 2,
    })
    .unwrap()
}

/// The claimed distance of the two cases, in standard deviations: 2 at z = 0.5.
fn claim(plan: &NoisePlan) -> f64 {
    1.0 / plan.multiplier(View::Colluders).unwrap().value()
}

/// How the silos' generators are seeded.
#[derive(Clone, Copy)]
enum Seeds {
    OfTheirOwn,
    Equal,
}

/// The distance that the attack proves, over the claim.
fn attack(plan: &NoisePlan, shares: u32, claim: f64, seeds: Seeds) -> f64 {
    let norm = ClippingNorm::new(1.0).unwrap();
    let mut silos: Vec<RoundRandom> = (0..shares)
        .map(|silo| match seeds {
            Seeds::OfTheirOwn => 40 + u8::try_from(silo).unwrap(),
            Seeds::Equal => 40,
        })
        .map(|seed| RoundRandom::from_seed(Secret32::new([seed; 32])))
        .collect();
    // Sent longer than the norm: clipping leaves exactly the norm.
    let canary: &[f64] = &[0.0, 3.0];
    let others: &[f64] = &[0.6, 0.0];
    let threshold = i64::try_from(plan.clip_integer / 2).unwrap();
    let mut guessed_present = |present: bool| {
        let mut guesses = 0;
        for _ in 0..ROUNDS {
            let mut sum = 0;
            for (silo, random) in silos.iter_mut().enumerate() {
                let patients = if present && silo == 0 {
                    vec![others, canary]
                } else {
                    vec![others]
                };
                sum += noised_sum(plan, norm, 2, patients, random).unwrap()[1];
            }
            guesses += u32::from(sum > threshold);
        }
        f64::from(guesses) / f64::from(ROUNDS)
    };
    let true_positives = guessed_present(true);
    let false_positives = guessed_present(false);
    let proven = quantile(bound(true_positives, -1.0)) - quantile(bound(false_positives, 1.0));
    proven / claim
}

/// The one-sided 99 % bound of a proportion (Wilson), below for -1 and above for 1.
fn bound(proportion: f64, side: f64) -> f64 {
    let (n, z) = (f64::from(ROUNDS), 2.326_347_874_040_841);
    let centre = proportion + z * z / (2.0 * n);
    let spread = z * (proportion * (1.0 - proportion) / n + z * z / (4.0 * n * n)).sqrt();
    (centre + side * spread) / (1.0 + z * z / n)
}

/// The standard normal quantile.
fn quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        let below = libm::erfc(-middle / 2_f64.sqrt()) / 2.0;
        if below < probability {
            low = middle
        } else {
            high = middle
        }
    }
    high
}
