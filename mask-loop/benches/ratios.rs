// SPDX-License-Identifier: Apache-2.0
//! The mask loop against AES-256-CTR of aws-lc-rs, in one run on one core: gigabytes of keystream a
//! second and their ratio, as a table of medians and bests.
//!
//! `cargo bench -p consilium-mask-loop --features yardstick --bench ratios [-- REPETITIONS]`. What is measured and
//! how stands in `src/yardstick.rs`. The last lines compare one thread with two, by the clock on the wall.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use consilium_mask_loop::yardstick::{self, Speed};
use consilium_mask_loop::{MaskLoop, Sign, Stream};

const FIELDS: usize = 10_000_000;
const WIDTHS: [u8; 4] = [16, 20, 24, 32];

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let repetitions: usize = numbers.next().unwrap_or(9);
    let mask_loops = yardstick::available(&WIDTHS);
    let measured = yardstick::compare(&mask_loops, FIELDS, repetitions);
    let yardstick = measured.aws_lc;
    println!(
        "{:18}{:>12}{:>8}{:>12}{:>8}",
        "", "median GB/s", "ratio", "best GB/s", "ratio"
    );
    println!(
        "{:18}{:>12.2}{:>8}{:>12.2}",
        "aws-lc-rs", yardstick.median, "", yardstick.best
    );
    for (mask_loop, Speed { median, best }) in mask_loops.iter().zip(measured.mask_loops) {
        let name = format!("{}, {}", mask_loop.implementation(), mask_loop.bits());
        let ratios = (median / yardstick.median, best / yardstick.best);
        println!(
            "{name:18}{median:>12.2}{:>8.2}{best:>12.2}{:>8.2}",
            ratios.0, ratios.1
        );
    }
    let streams = yardstick::streams();
    let fields = vec![0x0001_2345_u32; FIELDS];
    let mut packed = vec![1; FIELDS * 4];
    for bits in [24, 32] {
        let gain = (0..repetitions).map(|_| two_threads(bits, &streams, &fields, &mut packed));
        let Speed { median, best } = Speed::of(gain.collect());
        println!("two threads at {bits} bits: {median:.2} times as fast as one, at best {best:.2}");
    }
}

/// How many times faster two halves on two threads are than the whole on one.
fn two_threads(bits: u8, streams: &[(Sign, Stream)], fields: &[u32], packed: &mut [u8]) -> f64 {
    let mask_loop = MaskLoop::new(bits).unwrap();
    let packed = &mut packed[..mask_loop.packed_length(fields.len())];
    let start = Instant::now();
    mask_loop.mask(streams, 0, black_box(fields), packed);
    let one = start.elapsed();

    let half = fields.len() / 256 * 128;
    let (low, high) = fields.split_at(half);
    let (low_packed, high_packed) = packed.split_at_mut(mask_loop.packed_length(half));
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| mask_loop.mask(streams, half as u64, high, high_packed));
        mask_loop.mask(streams, 0, low, low_packed);
    });
    one.as_secs_f64() / start.elapsed().as_secs_f64()
}
