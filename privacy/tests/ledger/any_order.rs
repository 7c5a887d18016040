// SPDX-License-Identifier: Apache-2.0
//! Whatever is done in whatever order: the promise holds, and the file tells the same.

use consilium_privacy::budget::replay;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::{DATA, budget, charge, founded};

#[derive(Debug, Clone)]
enum Operation {
    Reserve {
        job: u8,
        attempts: u32,
        multiplier: f64,
    },
    Commit {
        job: u8,
        attempt: u8,
    },
    Release {
        job: u8,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (0_u8..12, 1_u32..12, 2.0_f64..30.0).prop_map(|(job, attempts, multiplier)| {
            Operation::Reserve {
                job,
                attempts,
                multiplier,
            }
        }),
        (0_u8..12, 0_u8..15).prop_map(|(job, attempt)| Operation::Commit { job, attempt }),
        (0_u8..12).prop_map(|job| Operation::Release { job }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_promise_holds_and_the_file_tells_the_same(
        operations in prop::collection::vec(operation(), 0..120),
    ) {
        let (mut ledger, mut text) = founded();
        let mut spent = 0.0;
        let mut costs = std::collections::BTreeMap::new();
        for operation in operations {
            let before = ledger.account(DATA).unwrap().committed_share();
            let entry = match &operation {
                Operation::Reserve { job, attempts, multiplier } => ledger
                    .reserve(DATA, &job.to_string(), *attempts, &charge(*multiplier))
                    .ok()
                    .inspect(|_| { costs.insert(*job, 3.0 / (multiplier * multiplier)); }),
                Operation::Commit { job, attempt } => ledger
                    .commit(&job.to_string(), &attempt.to_string())
                    .ok()
                    .flatten()
                    .inspect(|_| spent += costs[job]),
                Operation::Release { job } => ledger.release(&job.to_string()).ok().flatten(),
            };
            if let Some(entry) = entry {
                text.push_str(&ledger.record(&entry, 9).unwrap());
            }
            // A charge is never lowered, and never more than the budget.
            prop_assert!(ledger.account(DATA).unwrap().committed_share() >= before);
            prop_assert!(spent <= budget().capacity.approximate());
        }
        let replayed = replay(text.as_bytes(), Some(ledger.head())).unwrap();
        prop_assert_eq!(replayed.ledger, ledger);
        prop_assert!(!replayed.torn);
    }
}
