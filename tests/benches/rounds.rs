// SPDX-License-Identifier: Apache-2.0
//! Whole rounds of the real state machines in one process, and what the protocol does with a chunk of a vector.
//!
//! `cargo bench -p consilium-tests --bench rounds [-- WORD]`. Where a round's time goes is shown by
//! `consilium bench aggregation`.
#![allow(clippy::unwrap_used)]

use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::chunk_digest;
use consilium_tests::Federation;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// Fields of a chunk.
const FIELDS: usize = 32_768;

#[divan::bench(args = [(4, 1_000), (10, 1_000), (10, 100_000), (30, 1_000)], sample_count = 5, sample_size = 1)]
fn round(bencher: Bencher<'_, '_>, (silos, parameters): (usize, usize)) {
    let mut federation = federation(silos);
    let vector = vector(silos, parameters);
    let inputs = vec![vec![1; parameters]; silos];
    bencher.bench_local(|| federation.sum(&vector, &inputs).unwrap());
}

/// As every silo and the coordinator digest every chunk of every masked vector.
#[divan::bench(sample_count = 20)]
fn digest_of_chunk(bencher: Bencher<'_, '_>) {
    let chunk = vec![7; FIELDS * 4];
    bencher
        .counter(BytesCount::new(chunk.len()))
        .bench_local(|| chunk_digest(black_box(&chunk)));
}

/// A silo's tag over its own vector, the coordinator's and everybody's check of the sum: the same inner product.
#[divan::bench(args = [16, 20, 24, 32, 64], sample_count = 20)]
fn tag_of_chunk(bencher: Bencher<'_, '_>, bits: u8) {
    let vector = VectorPlan::plain(FIELDS as u64, 3, bits, 0).unwrap();
    let inputs = vec![vec![1; FIELDS]; 3];
    let mut bencher = Some(bencher);
    // The product is taken many times too often, so the round itself comes to nothing.
    let _ = federation(3).sum_checked_by(&vector, &inputs, |product, index, words| {
        if let Some(bencher) = bencher.take() {
            bencher
                .counter(ItemsCount::new(FIELDS))
                .bench_local(|| product.add_chunk(index, black_box(words)));
        }
    });
    assert!(bencher.is_none(), "no sum was checked");
}

fn federation(silos: usize) -> Federation {
    let names: Vec<String> = (0..silos).map(|silo| format!("silo-{silo:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Federation::new(&names).unwrap()
}

fn vector(silos: usize, parameters: usize) -> VectorPlan {
    let silos = u32::try_from(silos).unwrap();
    VectorPlan::plain(parameters as u64, silos, 32, 0).unwrap()
}
