// SPDX-License-Identifier: Apache-2.0
//! What holds for all masks, and what is refused.

use consilium_mask_loop::{FIELD_ALIGNMENT, Implementation, MaskLoop, Sign, Stream, WidthFault};

use crate::definition::{Numbers, every_implementation};

const WIDTHS: [u8; 8] = [16, 20, 24, 32, 40, 48, 64, 27];

#[test]
fn what_is_added_and_subtracted_is_gone() {
    let stream = Stream::new(&[7; 32], &[9; 12]);
    for bits in WIDTHS {
        for mask_loop in every_implementation(bits) {
            let mask = u64::MAX >> (64 - bits);
            let fields: Vec<u64> = Numbers(21)
                .words(10_000)
                .iter()
                .map(|word| word & mask)
                .collect();
            let mut words = fields.clone();
            mask_loop.apply(&[(Sign::Add, &stream)], 1280, &mut words);
            assert_ne!(words, fields);
            mask_loop.apply(&[(Sign::Subtract, &stream)], 1280, &mut words);
            assert_eq!(words, fields);
        }
    }
}

#[test]
fn parts_masked_by_threads_are_the_parts_of_the_whole() {
    let mut numbers = Numbers(22);
    let streams: Vec<_> = numbers.streams(4).iter().map(|one| one.stream()).collect();
    for bits in WIDTHS {
        for mask_loop in every_implementation(bits) {
            let fields = numbers.words(100_000);
            let mut whole = vec![0; mask_loop.packed_length(fields.len())];
            mask_loop.mask(&streams, 0, &fields, &mut whole);
            for part in [1152, 8192, 40_960] {
                let mut packed = vec![0; whole.len()];
                let parts = packed.chunks_mut(mask_loop.packed_length(part));
                let parts = (0..).step_by(part).zip(fields.chunks(part).zip(parts));
                std::thread::scope(|scope| {
                    for (first, (fields, packed)) in parts {
                        let streams = &streams;
                        let mut work = move || mask_loop.mask(streams, first, fields, packed);
                        if part > 8192 {
                            scope.spawn(work);
                        } else {
                            work();
                        }
                    }
                });
                assert!(packed == whole, "{} at {bits}", mask_loop.implementation());
            }
        }
    }
}

#[test]
fn only_eight_to_sixty_four_bits_exist() {
    for bits in 0..=255 {
        match MaskLoop::new(bits) {
            Ok(_) => assert!((8..=64).contains(&bits)),
            Err(fault) => {
                assert_eq!(fault, WidthFault { bits });
                assert!(!(8..=64).contains(&bits));
            }
        }
    }
}

#[test]
fn the_fastest_implementation_comes_first_and_the_portable_one_is_everywhere() {
    let mask_loop = MaskLoop::new(32).unwrap();
    assert_eq!(mask_loop.implementation(), Implementation::fastest());
    assert!(Implementation::Portable.is_available());
    let first = Implementation::ALL
        .into_iter()
        .find(|one| one.is_available());
    assert_eq!(first, Some(Implementation::fastest()));
    for one in Implementation::ALL {
        assert_eq!(mask_loop.on(one).is_some(), one.is_available());
    }
}

#[test]
#[should_panic(expected = "entered at a multiple of 128")]
fn a_vector_is_not_entered_between_blocks() {
    let streams: [(Sign, Stream); 0] = [];
    MaskLoop::new(20)
        .unwrap()
        .apply(&streams, FIELD_ALIGNMENT / 2, &mut [0]);
}

#[test]
#[should_panic(expected = "exactly as many bytes")]
fn room_for_other_than_the_packed_fields_is_refused() {
    let streams: [(Sign, Stream); 0] = [];
    MaskLoop::new(20)
        .unwrap()
        .mask(&streams, 0, &[0_u32; 3], &mut [0; 7]);
}

#[test]
fn a_stream_does_not_print_its_key() {
    let stream = Stream::new(&[0xAB; 32], &[0xCD; 12]);
    assert_eq!(format!("{stream:?}"), "Stream(..)");
}
