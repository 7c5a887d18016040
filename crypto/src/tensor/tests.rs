// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::mersenne::PRIME;
use crate::random::{InsecureSeededRandom, RandomSource};
use proptest::prelude::*;

fn key() -> Secret<[u8; 44]> {
    Secret::new(std::array::from_fn(|byte| byte as u8))
}

/// The coefficient of one coordinate, by the description.
fn coefficient(coefficients: &mut TensorCoefficients, coordinate: u64) -> i128 {
    let column = coefficients.columns.values[place(coordinate % ROW)];
    let row = coefficients.row(coordinate / ROW);
    i128::from(row.times(column).value())
}

fn slowly(coefficients: &mut TensorCoefficients, bits: WordBits, first: u64, words: &[u64]) -> u64 {
    let products = words.iter().zip(first..).map(|(word, coordinate)| {
        let lifted = i128::from(bits.lift(*word));
        (coefficient(coefficients, coordinate) * lifted).rem_euclid(PRIME.into())
    });
    (products.sum::<i128>() % i128::from(PRIME)) as u64
}

// Computed from the description with AES of OpenSSL and the integers of Python.
#[test]
fn the_coefficients_of_a_known_key_are_the_known_ones() {
    let mut coefficients = TensorCoefficients::new(&key());
    let columns = [0, 1, 1023].map(|at| coefficients.columns.values[at].value());
    assert_eq!(
        columns,
        [
            0x0c6d_82bb_292a_34b9,
            0x1f81_7225_d584_3a31,
            0x1b4a_be38_16e3_0cf1
        ]
    );
    let rows = [0, 1, 255, 256, 300].map(|row| coefficients.row(row).value());
    assert_eq!(
        rows,
        [
            0x1cda_4ded_b17e_ee8e,
            0x07fc_0c8d_b575_cbf6,
            0x1faf_d177_8095_3dff,
            0x0bcf_4f69_1077_47a8,
            0x09fe_6bd5_bc53_fe61
        ]
    );
    let bits = WordBits::new(32).unwrap();
    let words: Vec<u64> = (0..3000)
        .map(|at: i64| {
            bits.encode(if at % 2 == 0 {
                at * at + 7
            } else {
                -at * at - 7
            })
        })
        .collect();
    let known = coefficients.inner_product(bits, 0, &words);
    assert_eq!(known.value(), 0x10fb_6279_6168_d05c);
    let known = coefficients.inner_product(bits, 1024 * 256 - 5, &words);
    assert_eq!(known.value(), 0x03e2_b242_a9b3_8e1d);
}

#[test]
fn the_ends_of_every_range_have_their_inner_product() {
    let mut coefficients = TensorCoefficients::new(&key());
    for bits in 8..=64 {
        let bits = WordBits::new(bits).unwrap();
        let least = i64::MIN >> (64 - bits.bits());
        for value in [least, least + 1, -1, 0, 1, -(least + 1)] {
            let words = [bits.encode(value); 2 * COLUMNS + 3];
            let expected = slowly(&mut coefficients, bits, 1000, &words);
            let found = coefficients.inner_product(bits, 1000, &words);
            assert_eq!(found.value(), expected, "{bits:?} {value}");
        }
    }
}

#[test]
fn rows_beyond_any_number_of_groups_have_coefficients() {
    let mut coefficients = TensorCoefficients::new(&key());
    let mut seen = std::collections::BTreeSet::new();
    for row in (0..2000).chain([1 << 30, 1 << 40]) {
        assert!(seen.insert(coefficients.row(row).value()));
    }
}

proptest! {
    #[test]
    fn it_is_the_inner_product_of_the_description(
        bits in 8_u8..=64,
        first in 0_u64..1 << 40,
        length in 0_usize..5000,
        seed: u64,
    ) {
        let bits = WordBits::new(bits).unwrap();
        let mut random = InsecureSeededRandom::from_seed(seed);
        let words: Vec<u64> = (0..length).map(|_| random.next_u64() & bits.mask()).collect();
        let mut coefficients = TensorCoefficients::new(&key());
        let expected = slowly(&mut coefficients, bits, first, &words);
        prop_assert_eq!(coefficients.inner_product(bits, first, &words).value(), expected);
    }

    #[test]
    fn it_adds_up_over_parts_in_any_order(cut in 0_usize..4000, first in 0_u64..1 << 20) {
        let bits = WordBits::new(20).unwrap();
        let words: Vec<u64> = (0..4000).map(|word| (word * 0x9e37) & bits.mask()).collect();
        let mut coefficients = TensorCoefficients::new(&key());
        let whole = coefficients.inner_product(bits, first, &words);
        let (low, high) = words.split_at(cut);
        let high = coefficients.inner_product(bits, first + cut as u64, high);
        let low = coefficients.inner_product(bits, first, low);
        prop_assert_eq!(low.plus(high), whole);
    }
}
