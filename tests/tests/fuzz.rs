// SPDX-License-Identifier: Apache-2.0
//! Every corpus replayed, and a short fixed run of new damage.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use consilium_tests::fuzz::{Mutator, Speed, TARGETS};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn every_committed_input_keeps_the_laws() {
    for target in TARGETS {
        let corpus = target.corpus().unwrap();
        assert!(!corpus.is_empty(), "`{}` has no corpus", target.name);
        for (file, input) in corpus {
            let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
            assert!(
                outcome.is_ok(),
                "`{}` broke a law with `{file}`",
                target.name
            );
        }
    }
}

#[test]
fn damaged_inputs_keep_the_laws() {
    const SEED: u64 = 20_170_101;
    for target in TARGETS {
        let corpus: Vec<Vec<u8>> = target
            .corpus()
            .unwrap()
            .into_iter()
            .map(|(_, input)| input)
            .collect();
        let count = match target.speed {
            Speed::Fast => 3_000,
            Speed::Slow => 300,
        };
        let mut mutator = Mutator::new(SEED);
        for number in 0..count {
            let input = mutator.next(&corpus);
            let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
            assert!(
                outcome.is_ok(),
                "`{}` broke a law with input {number} of seed {SEED}",
                target.name
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let corpus = vec![b"one".to_vec(), b"another one".to_vec()];
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..100).map(|_| mutator.next(&corpus)).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}

#[test]
fn a_broken_law_is_noticed() {
    let strict = |input: &[u8]| assert!(!input.contains(&0xff));
    let mut mutator = Mutator::new(1);
    let corpus = vec![vec![0; 64]];
    let broken = (0..1_000).any(|_| {
        let input = mutator.next(&corpus);
        catch_unwind(|| strict(&input)).is_err()
    });
    assert!(broken);
}
