// SPDX-License-Identifier: Apache-2.0
//! What the public door does not show: the kernel at the size of AVX-512 on any processor with AES-NI,
//! and that secrets are wiped.

use std::mem::MaybeUninit;

use super::{Engine, Implementation, Instructions, RoundKeys, Table, Width, aes_ni, emulated};
use crate::fields::Lane;
use crate::pieces::GRANULE;
use crate::plain;
use crate::stream::{Sign, Stream};

#[test]
fn vectors_of_four_cells_sum_like_vectors_of_one() {
    if !Implementation::AesNi.is_available() {
        println!("SKIPPED: this processor has no AES-NI with AVX2");
        return;
    }
    for bits in [16, 20, 24, 32, 40, 48, 64] {
        let width = Width::new(bits).unwrap();
        for (streams, granules) in [(1, 1), (2, 3), (5, 20)] {
            for first in [0, 1, 2, 77, 1 << 20] {
                let block = first * u128::from(bits);
                match bits {
                    16 => check::<u16>(width, streams, granules, block),
                    ..=32 => check::<u32>(width, streams, granules, block),
                    _ => check::<u64>(width, streams, granules, block),
                }
            }
        }
    }
}

fn check<L: Lane + PartialEq>(width: Width, streams: u8, granules: usize, block: u128) {
    let fields: Vec<L> = (1..=granules * GRANULE)
        .map(|field| L::truncate((field as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let streams: Vec<_> = (0..streams)
        .map(|number| {
            let sign = if number % 2 == 0 {
                Sign::Subtract
            } else {
                Sign::Add
            };
            (sign, Stream::new(&[number; 32], &[!number; 12]))
        })
        .collect();
    let sum = |kernels, source: bool| {
        let streams = streams.iter().map(|(sign, stream)| (*sign, stream));
        let mut engine = Engine::new(width, Instructions { kernels }, streams);
        let mut lanes = fields.clone();
        let mut packed = vec![0; width.packed_length(fields.len())];
        let source = source.then_some(fields.as_slice());
        let done = engine.sum(block, source, &mut lanes, &mut packed);
        plain::pack(
            width,
            &lanes[done..],
            &mut packed[width.packed_length(done)..],
        );

        // The keystream too, from the middle of a block's counter on.
        let mut keystream = vec![0; 1000];
        engine.write_keystream(&engine.streams()[0], block, &mut keystream);
        (packed, keystream)
    };
    let expected = sum(aes_ni::kernels, true);
    assert!(
        sum(emulated::kernels, true) == expected,
        "{width:?} from {block}"
    );
    assert!(
        sum(emulated::kernels, false) == expected,
        "{width:?} from {block}, in place"
    );
}

#[test]
fn round_keys_and_tables_are_wiped() {
    if !Implementation::AesNi.is_available() {
        println!("SKIPPED: this processor has no AES-NI with AVX2");
        return;
    }
    // SAFETY: the processor has AES-NI.
    let round_keys = unsafe { RoundKeys::expand(&[7; 32], Sign::Subtract) };
    wiped(*round_keys, |keys| {
        keys.keys[14].0 != [0; 16] && keys.signed_last.0 != [0; 16]
    });
    let mut table = Table::zeroed();
    table.states[3].0 = [1; 16];
    table.drifts[5].0 = [2; 16];
    wiped(*table, |table| table.states[3].0 == [1; 16]);
}

/// Drops the value where it stands and looks at what is left.
fn wiped<T>(value: T, holds_secrets: impl Fn(&T) -> bool) {
    let mut place = MaybeUninit::new(value);
    // SAFETY: the place holds the value until it is dropped; its bytes stay readable afterwards.
    let bytes = unsafe {
        assert!(holds_secrets(place.assume_init_ref()));
        place.assume_init_drop();
        std::slice::from_raw_parts(place.as_ptr().cast::<u8>(), size_of::<T>())
    };
    assert!(bytes.iter().all(|byte| *byte == 0));
}
