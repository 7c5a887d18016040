// SPDX-License-Identifier: Apache-2.0
//! Many worlds, one after another in number and side by side in time.

use super::faults::Mutation;
use super::generator::generate;
use super::invariants::Violation;
use super::operation::Operation;
use super::statistics::Statistics;
use super::world::{Report, Settings, run};
use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// Worlds are generated from this seed and their number.
    pub seed: u64,
    /// How many attempts must have met faults and ended.
    pub rounds: u64,
    /// Worlds run side by side; it changes nothing but the time.
    pub threads: usize,
    /// Which error the drivers make.
    pub mutation: Mutation,
}

/// What came of it.
#[derive(Debug)]
pub struct Summary {
    /// Of all worlds.
    pub statistics: Statistics,
    /// Worlds that were run.
    pub worlds: u64,
    /// Over the histories of all worlds, in order.
    pub digest: Digest,
    /// The first world, in order, in which an invariant did not hold.
    pub failure: Option<Failure>,
}

/// A world in which an invariant did not hold.
#[derive(Debug)]
pub struct Failure {
    /// Its input.
    pub operations: Vec<Operation>,
    /// What was seen.
    pub violation: Violation,
}

impl Campaign {
    /// The input of one world.
    #[must_use]
    pub fn operations(&self, world: u64) -> Vec<Operation> {
        let seed = self.seed.wrapping_mul(1_000_000_007).wrapping_add(world);
        generate(seed, ATTEMPTS)
    }

    /// Runs worlds until enough attempts have ended under faults, or an invariant does not hold.
    #[must_use]
    pub fn run(&self) -> Summary {
        let mut summary = Summary {
            statistics: Statistics::default(),
            worlds: 0,
            digest: sha256(&self.seed.to_le_bytes()),
            failure: None,
        };
        loop {
            for (operations, report) in self.batch(summary.worlds) {
                summary.worlds += 1;
                summary.statistics.add(&report.statistics);
                let both = [*summary.digest.as_bytes(), *report.digest.as_bytes()];
                summary.digest = sha256(&both.concat());
                if let Some(violation) = report.violation {
                    summary.failure = Some(Failure {
                        operations,
                        violation,
                    });
                    return summary;
                }
                if summary.statistics.of("attempts ended under faults") >= self.rounds {
                    return summary;
                }
            }
        }
    }

    /// The next worlds, in order. The batch's size is fixed: how many threads there are changes no result.
    fn batch(&self, first: u64) -> Vec<(Vec<Operation>, Report)> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        if at >= BATCH {
                            return;
                        }
                        let world = first + u64::try_from(at).unwrap_or(u64::MAX);
                        let operations = self.operations(world);
                        let settings = Settings {
                            mutation: self.mutation,
                            ..Settings::default()
                        };
                        let report = run(&operations, settings);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        done.push((at, operations, report));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(at, _, _)| *at);
        done.into_iter()
            .map(|(_, operations, report)| (operations, report))
            .collect()
    }
}

/// Attempts that a world's list asks for.
const ATTEMPTS: u32 = 14;
/// Worlds that are handed out together.
const BATCH: usize = 16;
