// SPDX-License-Identifier: Apache-2.0
//! Noise on one core, beside the reference of the tests and OpenDP: `cargo bench -p consilium-privacy`.
//!
//! Read the fastest time: other work on the machine only ever adds to it, and each measurement is short. For ten million parameters the
//! memory that was allocated for the noise is shown too.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/discrete_gaussian/canonne_kamath_steinke.rs"]
mod canonne_kamath_steinke;

use canonne_kamath_steinke::Reference;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_privacy::discrete_gaussian::DiscreteGaussian;
use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Of standard deviation 1.7, 10.2, 1000.5 and 10^6.
const SCALES: [u64; 4] = [2, 12, 1178, 1_177_411];

fn main() {
    divan::main();
}

#[divan::bench(args = SCALES, sample_count = 1_000, sample_size = 1)]
fn table_and_rejection(bencher: Bencher, scale: u64) {
    let gaussian = DiscreteGaussian::new(scale).unwrap();
    let (mut random, mut vector) = (generator(), vec![0; 8_000]);
    bencher
        .counter(ItemsCount::new(vector.len()))
        .bench_local(|| gaussian.add_to(&mut vector, &mut random));
}

#[divan::bench(args = SCALES, sample_count = 500, sample_size = 1)]
fn canonne_kamath_steinke_in_128_bits(bencher: Bencher, scale: u64) {
    let reference = Reference::new(variance(scale).ceil() as u64);
    let mut random = generator();
    bencher
        .counter(ItemsCount::new(4_000_usize))
        .bench_local(|| (0..4_000).fold(0, |sum, _| sum ^ reference.sample(&mut random)));
}

#[divan::bench(args = SCALES, sample_count = 50, sample_size = 1)]
fn opendp(bencher: Bencher, scale: u64) {
    let sigma = variance(scale).sqrt();
    bencher.counter(ItemsCount::new(100_usize)).bench_local(|| {
        for _ in 0..100 {
            let sigma = sigma.try_into().unwrap();
            divan::black_box(opendp::traits::samplers::sample_discrete_gaussian(sigma).unwrap());
        }
    });
}

#[divan::bench(sample_count = 50, sample_size = 10)]
fn random_bytes(bencher: Bencher) {
    let (mut random, mut bytes) = (generator(), vec![0; 1 << 16]);
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| random.fill(&mut bytes));
}

#[divan::bench(args = [20_001], sample_count = 5, sample_size = 1)]
fn ten_million_parameters(bencher: Bencher, scale: u64) {
    let gaussian = DiscreteGaussian::new(scale).unwrap();
    let (mut random, mut vector) = (generator(), vec![0; 10_000_000]);
    bencher
        .counter(ItemsCount::new(vector.len()))
        .bench_local(|| gaussian.add_to(&mut vector, &mut random));
}

fn generator() -> InsecureSeededRandom {
    InsecureSeededRandom::from_bytes([1; 32])
}

fn variance(scale: u64) -> f64 {
    (scale * scale) as f64 / (2.0 * std::f64::consts::LN_2)
}
