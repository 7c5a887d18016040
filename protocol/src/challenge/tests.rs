// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::example_plan::example_plan;
use consilium_crypto::mask::{MaskSet, Sign};
use consilium_crypto::mersenne::PRIME;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};

fn digest(text: &[u8]) -> Digest {
    hash(Label::VectorInput, &[text])
}

/// The coefficients by the description: block k of the stream is column k's, block 1024 + i is row i's.
fn coefficients(challenge: &Challenge, cohort: &Digest, count: usize) -> Vec<i128> {
    let key = derive_key::<44>(
        cohort,
        challenge.digest.as_bytes(),
        Label::ChallengeStream,
        &[],
    );
    let mut stream = MaskSet::new(WordBits::new(64).unwrap());
    stream.push(Sign::Add, &key);
    let mut words = vec![0; 2 * (1024 + count / 1024 + 1)];
    stream.apply(0, &mut words);
    let residues: Vec<u128> = words
        .chunks(2)
        .map(|block| (u128::from(block[0]) | u128::from(block[1]) << 64) % u128::from(PRIME))
        .collect();
    (0..count)
        .map(|at| residues[at % 1024] * residues[1024 + at / 1024] % u128::from(PRIME))
        .map(|coefficient| i128::try_from(coefficient).unwrap())
        .collect()
}

#[test]
fn the_inner_product_is_that_of_signed_integers_at_every_width() {
    let mut random = InsecureSeededRandom::from_seed(11);
    let (cohort, count) = (digest(b"X"), 40_000_usize);
    for word_bits in [8, 16, 24, 33, 48, 64] {
        let plan = example_plan(3, count as u64, word_bits);
        let bits = plan.word_bits().unwrap();
        let challenge = Challenge {
            digest: digest(&[word_bits]),
        };
        let words: Vec<u64> = (0..count)
            .map(|_| random.next_u64() & bits.mask())
            .collect();
        let p = i128::from(PRIME);
        let expected = coefficients(&challenge, &cohort, count)
            .iter()
            .zip(&words)
            .fold(0_i128, |sum, (coefficient, word)| {
                (sum + coefficient * i128::from(bits.lift(*word))).rem_euclid(p)
            });
        let mut product = challenge.inner_product(&plan, &cohort).unwrap();
        // In any order.
        let size = plan.chunk_fields as usize;
        for (index, chunk) in words.chunks(size).enumerate().rev() {
            product.add_chunk(index as u64, chunk);
        }
        assert_eq!(i128::from(product.product.expose().value()), expected);
    }
}

#[test]
fn an_integer_of_two_to_the_sixtieth_has_no_checked_inner_product() {
    let plan = example_plan(3, 3, 64);
    let challenge = Challenge {
        digest: digest(b"c"),
    };
    let inner_product = |integer: i64| {
        let mut product = challenge.inner_product(&plan, &digest(b"X")).unwrap();
        product.add_chunk(0, &[0, integer.cast_unsigned(), 5]);
        product.finish_within_range()
    };
    let most = (1 << 60) - 1;
    for inside in [0, 1, -1, most, -most] {
        assert!(inner_product(inside).is_some(), "{inside}");
    }
    for outside in [most + 1, -most - 1, i64::MAX, i64::MIN] {
        assert!(inner_product(outside).is_none(), "{outside}");
    }
    // The reason: these two differ by the prime.
    let (low, high) = (-most - 1, most);
    assert_eq!(i128::from(high) - i128::from(low), i128::from(PRIME));
}

#[test]
fn one_unit_more_at_one_coordinate_is_another_inner_product() {
    let (cohort, plan) = (digest(b"X"), example_plan(3, 5, 32));
    let challenge = Challenge {
        digest: digest(b"c"),
    };
    let inner_product = |words: &[u64]| {
        let mut product = challenge.inner_product(&plan, &cohort).unwrap();
        product.add_chunk(0, words);
        product.finish_within_range().unwrap()
    };
    let words = [1, 2, 3, 4, 5];
    let right = inner_product(&words);
    for at in 0..5 {
        let mut changed = words;
        changed[at] += 1;
        assert_ne!(inner_product(&changed), right);
    }
}
