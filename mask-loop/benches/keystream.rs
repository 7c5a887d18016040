// SPDX-License-Identifier: Apache-2.0
//! Throughput of the mask loop in bytes of keystream: every implementation that the processor has, at
//! every width that plans choose, four streams over ten million fields in memory.
//!
//! `cargo bench -p consilium-mask-loop --bench keystream`; `ratios` compares with aws-lc-rs.
#![allow(clippy::unwrap_used)]

use consilium_mask_loop::{Field, Implementation, MaskLoop, Sign, Stream};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

const FIELDS: usize = 10_000_000;

fn main() {
    divan::main();
}

#[divan::bench(args = available(), consts = [16], sample_count = 9, sample_size = 1)]
fn u16_fields<const BITS: u8>(bencher: Bencher<'_, '_>, implementation: Implementation) {
    bench::<BITS, u16>(bencher, implementation);
}

#[divan::bench(args = available(), consts = [20, 24, 32], sample_count = 9, sample_size = 1)]
fn u32_fields<const BITS: u8>(bencher: Bencher<'_, '_>, implementation: Implementation) {
    bench::<BITS, u32>(bencher, implementation);
}

#[divan::bench(args = available(), consts = [16, 20, 24, 32, 40, 48, 64], sample_count = 9, sample_size = 1)]
fn u64_fields<const BITS: u8>(bencher: Bencher<'_, '_>, implementation: Implementation) {
    bench::<BITS, u64>(bencher, implementation);
}

fn bench<const BITS: u8, F: Field + Default>(
    bencher: Bencher<'_, '_>,
    implementation: Implementation,
) {
    let mask_loop = MaskLoop::new(BITS).unwrap().on(implementation).unwrap();
    let streams: Vec<_> = (0..4_u8)
        .map(|number| (Sign::Add, Stream::new(&[number; 32], &[number; 12])))
        .collect();
    // Written one by one: a vector of zeros would be one page of zeros, mapped again and again.
    let fields: Vec<F> = (0..FIELDS).map(|_| black_box(F::default())).collect();
    let mut packed = vec![1; mask_loop.packed_length(FIELDS)];
    bencher
        .counter(BytesCount::new(packed.len() * streams.len()))
        .bench_local(|| mask_loop.mask(&streams, 0, black_box(&fields), &mut packed));
}

fn available() -> Vec<Implementation> {
    let all = Implementation::ALL.into_iter();
    all.filter(|implementation| implementation.is_available())
        .collect()
}
