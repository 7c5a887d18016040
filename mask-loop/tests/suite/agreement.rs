// SPDX-License-Identifier: Apache-2.0
//! All implementations give the bits of the definition.

use consilium_mask_loop::{FIELD_ALIGNMENT, Field, MaskLoop, Sign, Stream};
use proptest::prelude::*;

use crate::definition::{Material, Numbers, every_implementation, masked, packed};

fn streams(material: &[Material]) -> Vec<(Sign, Stream)> {
    material.iter().map(Material::stream).collect()
}

/// Checks one vector in every form that it can be given in.
fn check(bits: u8, material: &[Material], first: u64, fields: &[u64]) {
    let expected = masked(bits, material, first, fields);
    let expected_packed = packed(bits, &expected);
    let streams = streams(material);
    for mask_loop in every_implementation(bits) {
        let name = mask_loop.implementation();
        let at = || format!("{name}, {bits} bits, {} fields from {first}", fields.len());
        let mask = |fields: &[u64]| mask_as(&mask_loop, &streams, first, fields);
        assert!(mask(fields) == expected_packed, "{}", at());
        if bits <= 32 {
            let fields: Vec<u32> = fields.iter().map(|field| *field as u32).collect();
            let found = mask_as(&mask_loop, &streams, first, &fields);
            assert!(found == expected_packed, "{} of u32", at());
        }
        if bits <= 16 {
            let fields: Vec<u16> = fields.iter().map(|field| *field as u16).collect();
            let found = mask_as(&mask_loop, &streams, first, &fields);
            assert!(found == expected_packed, "{} of u16", at());
        }
        let mut words = fields.to_vec();
        mask_loop.apply(&streams, first, &mut words);
        assert!(words == expected, "{} in place", at());
    }
}

fn mask_as<F: Field>(
    mask_loop: &MaskLoop,
    streams: &[(Sign, Stream)],
    first: u64,
    fields: &[F],
) -> Vec<u8> {
    // What stood in the buffer before does not shine through.
    let mut packed = vec![0xA5; mask_loop.packed_length(fields.len())];
    mask_loop.mask(streams, first, fields, &mut packed);
    packed
}

#[test]
fn every_width_and_length_gives_the_bits_of_the_definition() {
    let mut numbers = Numbers(1);
    for bits in 8..=64 {
        for length in (0..20).chain([127, 128, 129, 255, 256, 257, 511, 767, 1000]) {
            let material = numbers.streams(2);
            let first = numbers.next() % 1000 * FIELD_ALIGNMENT;
            check(bits, &material, first, &numbers.words(length));
        }
    }
}

#[test]
fn several_pieces_and_their_ends_give_the_bits_of_the_definition() {
    let mut numbers = Numbers(2);
    for bits in [16, 20, 24, 32, 40, 48, 64, 13, 31] {
        for length in [
            1500, 4095, 8192, 16_384, 16_385, 16_700, 32_768, 32_900, 70_000,
        ] {
            let material = numbers.streams(3);
            let first = numbers.next() % 1000 * FIELD_ALIGNMENT;
            check(bits, &material, first, &numbers.words(length));
        }
    }
}

#[test]
fn any_number_of_streams_gives_the_bits_of_the_definition() {
    let mut numbers = Numbers(3);
    for bits in [16, 20, 24, 32, 40, 48, 64, 11] {
        for count in [0, 1, 2, 3, 4, 9, 40] {
            let material = numbers.streams(count);
            check(bits, &material, 0, &numbers.words(700));
        }
    }
}

#[test]
fn many_subtracted_streams_wrap_like_one() {
    // One for each subtracted stream is added to 16-bit lanes, more often than these can count.
    let mut numbers = Numbers(4);
    let fields = numbers.words(256);
    let mut one = numbers.streams(1);
    one[0].sign = Sign::Subtract;
    let repeated: Vec<_> = (0..65_537).map(|_| one[0].stream()).collect();
    for mask_loop in every_implementation(16) {
        let mut many = fields.clone();
        mask_loop.apply(&repeated, 0, &mut many);
        assert_eq!(many, masked(16, &one, 0, &fields));
    }
}

#[test]
fn a_vector_entered_anywhere_gives_the_bits_of_the_definition() {
    let mut numbers = Numbers(5);
    for bits in 8..=64 {
        for first in [1, 2, 3, 5, 15, 16, 1 << 20, (1 << 40) + 7] {
            let material = numbers.streams(2);
            check(
                bits,
                &material,
                first * FIELD_ALIGNMENT,
                &numbers.words(300),
            );
        }
    }
}

#[test]
fn the_counter_carries_into_every_byte() {
    let mut numbers = Numbers(6);
    for bits in 8..=64_u8 {
        for carry in [8, 16, 24] {
            let blocks_before = (1_u64 << carry) - 40;
            let first = blocks_before / u64::from(bits) * FIELD_ALIGNMENT;
            check(bits, &numbers.streams(2), first, &numbers.words(600));
        }
    }
}

#[test]
fn after_the_last_block_of_a_nonce_comes_the_next_nonce() {
    let mut numbers = Numbers(7);
    for bits in 8..=64_u8 {
        // More than a piece before the boundary, and little.
        for distance in [5000, 70] {
            let first = ((1 << 32) - distance) / u64::from(bits) * FIELD_ALIGNMENT;
            let mut material = numbers.streams(3);
            material[0].nonce = [0xFF; 12];
            material[1].nonce[8..].fill(0xFF);
            let fields = 2 * usize::try_from(distance * 128 / u64::from(bits)).unwrap();
            if distance == 70 || bits.is_multiple_of(4) {
                check(bits, &material, first, &numbers.words(fields));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_is_masked_has_the_bits_of_the_definition(
        bits in 8_u8..=64,
        count in 0_usize..6,
        length in 0_usize..3000,
        first in 0_u64..1 << 44,
        seed: u64,
    ) {
        let mut numbers = Numbers(seed);
        let material = numbers.streams(count);
        check(bits, &material, first * FIELD_ALIGNMENT, &numbers.words(length));
    }
}
