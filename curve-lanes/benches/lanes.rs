// SPDX-License-Identifier: Apache-2.0
//! What eight lanes take: `cargo bench -p consilium-curve-lanes --bench lanes`.
#![allow(missing_docs, clippy::unwrap_used)]

use consilium_curve_lanes::{EightLanes, LANES, Product};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::scalar::Scalar;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// One scalar and eight points.
#[divan::bench]
fn multiply(bencher: Bencher<'_, '_>) {
    let Some(lanes) = EightLanes::find() else {
        return;
    };
    let points: [[u8; 32]; LANES] = std::array::from_fn(|lane| [u8::try_from(lane).unwrap(); 32]);
    bencher.bench_local(|| lanes.multiply(black_box(&[7; 32]), black_box(&points)));
}

/// As for a list of that many signatures of different keys.
#[divan::bench(args = [1, 7, 15, 30, 100])]
fn sum_vanishes(bencher: Bencher<'_, '_>, signatures: u64) {
    let Some(lanes) = EightLanes::find() else {
        return;
    };
    let (long, short) = (products(signatures + 1, 2), products(signatures, 1000));
    bencher.bench_local(|| lanes.sum_vanishes(&[], black_box(&long), black_box(&short)));
}

/// The same with keys and base point prepared.
#[divan::bench(args = [1, 7, 15, 30, 100])]
fn sum_vanishes_prepared(bencher: Bencher<'_, '_>, signatures: u64) {
    let Some(lanes) = EightLanes::find() else {
        return;
    };
    let (long, short) = (products(signatures + 1, 2), products(signatures, 1000));
    let points: Vec<[u8; 32]> = long.iter().map(|product| product.point).collect();
    let points = lanes.prepare(&points).unwrap();
    let prepared: Vec<_> = points
        .iter()
        .zip(&long)
        .map(|(point, product)| (point, product.scalar))
        .collect();
    bencher.bench_local(|| lanes.sum_vanishes(black_box(&prepared), &[], black_box(&short)));
}

/// Once for every roster.
#[divan::bench]
fn prepare_eight(bencher: Bencher<'_, '_>) {
    let Some(lanes) = EightLanes::find() else {
        return;
    };
    let points: Vec<[u8; 32]> = products(8, 2).iter().map(|product| product.point).collect();
    bencher.bench_local(|| lanes.prepare(black_box(&points)));
}

fn products(count: u64, start: u64) -> Vec<Product> {
    (start..start + count)
        .map(|number| Product {
            point: (ED25519_BASEPOINT_POINT * Scalar::from(number))
                .compress()
                .to_bytes(),
            scalar: (Scalar::from(number).invert() * Scalar::from(u64::MAX)).to_bytes(),
        })
        .collect()
}
