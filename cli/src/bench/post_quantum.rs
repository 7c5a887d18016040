// SPDX-License-Identifier: Apache-2.0
//! What ML-KEM takes of a round, from the time of each operation in this run and from how many a round has.

use super::accounts::thread_seconds;
use anyhow::Context;
use consilium_crypto::key_encapsulation::{DecapsulationSecret, SEED_LENGTH};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::secret::Secret;
use std::hint::black_box;

/// Seconds of processor time of all silos together.
///
/// Every silo makes its key twice, for its advertisement and to open what was dealt to it, checks everybody's, and
/// encapsulates a secret to everybody, itself included, who decapsulates it.
pub(super) fn seconds(silos: u32) -> anyhow::Result<f64> {
    let mut random = InsecureSeededRandom::from_seed(1);
    let seed: Secret<[u8; SEED_LENGTH]> = Secret::filled(|seed| random.fill(seed));
    let key = DecapsulationSecret::from_seed(&seed);
    let (encapsulated, _) = key
        .encapsulation_key()
        .encapsulate(&mut random)
        .context("a key that is none")?;
    let generating = least(|| {
        black_box(DecapsulationSecret::from_seed(&seed));
    });
    let checking = least(|| {
        black_box(key.encapsulation_key().is_well_formed());
    });
    let encapsulating = least(|| {
        let _ = black_box(key.encapsulation_key().encapsulate(&mut random));
    });
    let decapsulating = least(|| {
        black_box(key.decapsulate(&encapsulated));
    });
    let silos = f64::from(silos);
    Ok(2.0 * silos * generating + silos * silos * (checking + encapsulating + decapsulating))
}

/// How long one call takes in the fastest of a few hundred repetitions of several calls.
fn least(mut operation: impl FnMut()) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..REPETITIONS {
        let start = thread_seconds();
        for _ in 0..CALLS {
            operation();
        }
        least = least.min(thread_seconds() - start);
    }
    least / f64::from(CALLS)
}

const REPETITIONS: usize = 100;
const CALLS: u32 = 8;
