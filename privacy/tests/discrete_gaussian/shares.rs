// SPDX-License-Identifier: Apache-2.0
//! Noise of several silos and rounds: how it adds up, and that none tells of another.

use consilium_crypto::random::InsecureSeededRandom;
use consilium_crypto::ring::WordBits;
use consilium_privacy::contribution::simulated_sum;
use consilium_privacy::discrete_gaussian::DiscreteGaussian;
use consilium_privacy::loss::{ClippingNorm, NoiseMultiplier};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms};

use crate::samples;
use crate::statistics::{assert_fits, convolve, histogram, probabilities};

#[test]
fn sums_of_shares_follow_the_exact_convolution() {
    for (scale, shares, half, count) in [(2, 4_u64, 14, 1_000_000), (12, 3, 80, 1_000_000)] {
        let one = probabilities(scale, half);
        let exact = (1..shares).fold(one.clone(), |sum, _| convolve(&sum, &one));
        let mut sums = vec![0; count];
        for silo in 0..shares {
            // A generator for each silo, as in a round.
            let mut random = InsecureSeededRandom::from_seed(100 + silo);
            DiscreteGaussian::new(scale)
                .unwrap()
                .add_to(&mut sums, &mut random);
        }
        let counts = histogram(sums, half * i64::try_from(shares).unwrap());
        assert_fits(
            &counts,
            &exact,
            &format!("{shares} shares of scale {scale}"),
        );
    }
}

#[test]
fn noise_of_two_silos_of_two_rounds_and_of_two_coordinates_is_independent() {
    let count = 1_000_000;
    let (first, second) = (samples(2, 1, count), samples(2, 2, count));
    let later = samples(2, 1, 2 * count)[count..].to_vec();
    let neighbour = first[1..].to_vec();
    // What lies beyond five counts as five.
    let all = probabilities(2, 20);
    let mut one = all[15..=25].to_vec();
    one[0] += all[..15].iter().sum::<f64>();
    one[10] += all[26..].iter().sum::<f64>();
    let exact: Vec<f64> = one
        .iter()
        .flat_map(|p| one.iter().map(move |q| p * q))
        .collect();
    for (what, other) in [
        ("silos", second),
        ("rounds", later),
        ("coordinates", neighbour),
    ] {
        let cells = first
            .iter()
            .zip(other)
            .map(|(a, b)| (a.clamp(&-5, &5) * 11) + b.clamp(-5, 5));
        assert_fits(&histogram(cells, 60), &exact, what);
    }
}

#[test]
fn two_silos_with_one_seed_would_be_seen() {
    let (first, second) = (samples(12, 1, 1_000), samples(12, 1, 1_000));
    assert_eq!(first, second);
    let correlated = |other: &[i64]| first.iter().zip(other).filter(|(a, b)| a == b).count();
    assert_eq!(correlated(&second), 1_000);
    // Two independent values are equal in 3 of 100 cases.
    assert!(correlated(&samples(12, 2, 1_000)) < 70);
}

#[test]
fn four_noised_vectors_come_back_from_the_ring_in_which_they_are_added() {
    let plan = NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(1.0).unwrap(),
        silos: 4,
        dropouts: 1,
        colluders: 1,
        attempts: 1,
        patients_cap: 1,
        dimension: 500,
    })
    .unwrap();
    let bits = WordBits::new(plan.word_bits().unwrap()).unwrap();
    let norm = ClippingNorm::new(1.0).unwrap();
    let mut ring_sum = vec![0; 500];
    let mut sum = vec![0_i64; 500];
    for silo in 0..4 {
        // Every patient pulls one coordinate as far down as the clip lets them: below zero, most of the time.
        let mut patient = vec![0.0; 500];
        patient[usize::from(silo)] = -1e300;
        let mut random = InsecureSeededRandom::from_bytes([silo; 32]);
        let vector = simulated_sum(&plan, norm, 500, [patient], &mut random).unwrap();
        let words: Vec<u64> = vector.iter().map(|value| bits.encode(*value)).collect();
        bits.add_assign(&mut ring_sum, &words);
        for (total, value) in sum.iter_mut().zip(vector) {
            *total += value;
        }
    }
    let lifted: Vec<i64> = ring_sum.iter().map(|word| bits.lift(*word)).collect();
    assert_eq!(lifted, sum);
    assert!(sum.iter().any(|value| *value < 0) && sum.iter().any(|value| *value > 0));
}

#[test]
fn noise_beyond_the_integers_wraps_as_the_ring_does() {
    let gaussian = DiscreteGaussian::new(1 << 30).unwrap();
    let noise = gaussian.sample_vector(64, &mut InsecureSeededRandom::from_seed(9));
    let mut edge = vec![i64::MAX; 64];
    gaussian.add_to(&mut edge, &mut InsecureSeededRandom::from_seed(9));
    for (edge, noise) in edge.iter().zip(&noise) {
        assert_eq!(*edge, i64::MAX.wrapping_add(*noise));
    }
    assert!(edge.iter().any(|value| *value < 0));
}
