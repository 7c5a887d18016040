// SPDX-License-Identifier: Apache-2.0
//! The mask loop against AES-256-CTR of aws-lc-rs, in one run on one core: gigabytes of keystream a
//! second and their ratio, as a table.
//!
//! `cargo bench -p consilium-mask-loop --bench ratios [-- REPETITIONS]`. Each repetition measures all
//! in turn, so that a machine that slows down slows down all; medians and bests are reported. Time is
//! the processor time of the thread: neighbours do not count. The mask loop reads ten million fields
//! from memory (`u16` at 16 bits, `u32` otherwise) and writes them packed; aws-lc-rs encrypts 16 KiB in
//! the first-level cache in place, and neither adds nor packs. The last lines compare one thread with
//! two, by the clock on the wall.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use consilium_mask_loop::{Field, Implementation, MaskLoop, Sign, Stream};

const FIELDS: usize = 10_000_000;
const STREAMS: u8 = 4;
const WIDTHS: [u8; 4] = [16, 20, 24, 32];

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let repetitions: usize = numbers.next().unwrap_or(9);
    let streams: Vec<_> = (0..STREAMS)
        .map(|number| {
            let sign = if number % 2 == 0 {
                Sign::Add
            } else {
                Sign::Subtract
            };
            (sign, Stream::new(&[number + 1; 32], &[number; 12]))
        })
        .collect();
    let narrow = vec![0x1234_u16; FIELDS];
    let wide = vec![0x0001_2345_u32; FIELDS];
    let mut packed = vec![1; FIELDS * 4];

    let mut rows: Vec<Row> = Vec::new();
    for implementation in Implementation::ALL {
        for bits in WIDTHS {
            if let Some(mask_loop) = MaskLoop::new(bits).unwrap().on(implementation) {
                rows.push(Row {
                    mask_loop,
                    bits,
                    speeds: Vec::new(),
                });
            }
        }
    }
    let mut yardstick = Vec::new();
    for _ in 0..repetitions {
        yardstick.push(aws_lc());
        for row in &mut rows {
            row.speeds.push(if row.bits == 16 {
                measure(row, &streams, &narrow, &mut packed)
            } else {
                measure(row, &streams, &wide, &mut packed)
            });
        }
    }
    let yardstick = Speeds::of(yardstick);
    println!(
        "{:18}{:>12}{:>8}{:>12}{:>8}",
        "", "median GB/s", "ratio", "best GB/s", "ratio"
    );
    println!(
        "{:18}{:>12.2}{:>8}{:>12.2}",
        "aws-lc-rs", yardstick.median, "", yardstick.best
    );
    for row in rows {
        let name = format!("{}, {}", row.mask_loop.implementation(), row.bits);
        let Speeds { median, best } = Speeds::of(row.speeds);
        let ratios = (median / yardstick.median, best / yardstick.best);
        println!(
            "{name:18}{median:>12.2}{:>8.2}{best:>12.2}{:>8.2}",
            ratios.0, ratios.1
        );
    }
    for bits in [24, 32] {
        let gain = (0..repetitions).map(|_| two_threads(bits, &streams, &wide, &mut packed));
        let Speeds { median, best } = Speeds::of(gain.collect());
        println!("two threads at {bits} bits: {median:.2} times as fast as one, at best {best:.2}");
    }
}

struct Row {
    mask_loop: MaskLoop,
    bits: u8,
    speeds: Vec<f64>,
}

fn measure<F: Field>(
    row: &Row,
    streams: &[(Sign, Stream)],
    fields: &[F],
    packed: &mut [u8],
) -> f64 {
    let length = row.mask_loop.packed_length(fields.len());
    let packed = &mut packed[..length];
    let start = thread_time();
    row.mask_loop.mask(streams, 0, black_box(fields), packed);
    let speed = (length * streams.len()) as f64 / (thread_time() - start);
    black_box(packed);
    speed
}

fn aws_lc() -> f64 {
    let key = UnboundCipherKey::new(&AES_256, &[7; 32]).unwrap();
    let key = EncryptingKey::ctr(key).unwrap();
    let mut buffer = vec![0; 16 << 10];
    let rounds = 5000;
    let start = thread_time();
    for _ in 0..rounds {
        let counter = EncryptionContext::Iv128((&[3; 16]).into());
        key.less_safe_encrypt(black_box(&mut buffer), counter)
            .unwrap();
    }
    (rounds * buffer.len()) as f64 / (thread_time() - start)
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

/// Nanoseconds of processor time that this thread has used.
fn thread_time() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

struct Speeds {
    median: f64,
    best: f64,
}

impl Speeds {
    fn of(mut speeds: Vec<f64>) -> Self {
        speeds.sort_by(f64::total_cmp);
        Self {
            median: speeds[speeds.len() / 2],
            best: speeds[speeds.len() - 1],
        }
    }
}
