// SPDX-License-Identifier: Apache-2.0
//! How long the accountant takes: `cargo bench -p consilium-privacy --bench accountant`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use consilium_privacy::accountant::{Adjacency, Job, NoiseEvent, Sampling, certificate, pld};
use consilium_privacy::calibration::calibrate;
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, SamplingRate};
use divan::Bencher;

fn main() {
    divan::main();
}

/// The noise for epsilon 1 in ten thousand rounds, at several sampling rates.
#[divan::bench(args = [0.001, 0.01, 0.1, 1.0])]
fn calibrate_ten_thousand_rounds(bencher: Bencher<'_, '_>, rate: f64) {
    let (epsilon, delta) = (Epsilon::new(1.0).unwrap(), Delta::new(1e-5).unwrap());
    let rate = SamplingRate::new(rate).unwrap();
    bencher.bench(|| calibrate(epsilon, delta, rate, 10_000).unwrap());
}

#[divan::bench(args = [1_000, 100_000])]
fn certificate_of_sampled_rounds(bencher: Bencher<'_, '_>, attempts: u32) {
    let jobs = [sampled(attempts)];
    bencher.bench(|| certificate(&jobs, Delta::new(1e-5).unwrap()).unwrap());
}

#[divan::bench(args = [1_000, 100_000], sample_count = 5)]
fn estimate_of_sampled_rounds(bencher: Bencher<'_, '_>, attempts: u32) {
    let jobs = [sampled(attempts)];
    bencher.bench(|| pld::epsilon(&jobs, Delta::new(1e-5).unwrap()).unwrap());
}

fn sampled(attempts: u32) -> Job {
    Job {
        event: NoiseEvent::new(1.0, ClippingNorm::ONE, Adjacency::AddRemove).unwrap(),
        sampling: Sampling::Poisson(SamplingRate::new(0.001).unwrap()),
        attempts,
    }
}
