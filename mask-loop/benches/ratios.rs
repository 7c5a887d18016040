// SPDX-License-Identifier: Apache-2.0
//! The mask loop against AES-256-CTR of aws-lc-rs, in one run on one core: gigabytes of keystream a
//! second and their ratio, as a table of medians and bests, and what a second thread brings.
//!
//! `cargo bench -p consilium-mask-loop --features yardstick --bench ratios [-- REPETITIONS]`. What is measured and
//! how stands in `src/yardstick.rs`.

use consilium_mask_loop::yardstick;

const FIELDS: usize = 10_000_000;
const WIDTHS: [u8; 4] = [16, 20, 24, 32];

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let repetitions: usize = numbers.next().unwrap_or(9);
    let mask_loops = yardstick::available(&WIDTHS);
    let measured = yardstick::compare(&mask_loops, FIELDS, repetitions);
    let yardstick = measured.aws_lc;
    println!(
        "{:18}{:>12}{:>8}{:>12}{:>8}{:>14}",
        "", "median GB/s", "ratio", "best GB/s", "ratio", "two threads"
    );
    println!(
        "{:18}{:>12.2}{:>8}{:>12.2}",
        "aws-lc-rs", yardstick.median, "", yardstick.best
    );
    for (mask_loop, speeds) in mask_loops.iter().zip(measured.mask_loops) {
        let name = format!("{}, {}", mask_loop.implementation(), mask_loop.bits());
        let one = speeds.one_thread;
        println!(
            "{name:18}{:>12.2}{:>8.2}{:>12.2}{:>8.2}{:>9.2} times",
            one.median,
            one.median / yardstick.median,
            one.best,
            one.best / yardstick.best,
            speeds.gain()
        );
    }
}
