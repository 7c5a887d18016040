// SPDX-License-Identifier: Apache-2.0
//! Laws of whole rounds under random drops: the released sum is the true one, or nothing is released.

use proptest::prelude::*;
use std::collections::BTreeMap;

use crate::federation::{Federation, Trouble};

const MESSAGES: [&str; 7] = [
    "AdvertiseKeys",
    "ShareKeys",
    "DealReceipt",
    "Ready",
    "MaskedInput",
    "Vote",
    "Reveal",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_released_sum_is_the_true_one_or_nothing_is_released(
        count in 4_usize..=9,
        seed in any::<u64>(),
        drops in prop::collection::btree_map(0_usize..9, 0_usize..7, 0..5),
    ) {
        let drops: BTreeMap<usize, &'static str> = drops
            .into_iter()
            .filter(|(silo, _)| *silo < count)
            .map(|(silo, message)| (silo, MESSAGES[message]))
            .collect();
        let trouble = Trouble::Drops(drops.clone().into_iter().collect());
        let mut federation = Federation::new(count, seed, trouble);
        let plan = federation.plan(1, 1, None);
        let thresholds = plan.thresholds;
        federation.run(plan);
        match federation.released.clone() {
            Some((survivors, dropped)) => {
                prop_assert!(survivors.len() >= thresholds.quorum as usize);
                prop_assert_eq!(survivors.len() + dropped.len(), count);
                let sum = federation.true_sum(&survivors);
                prop_assert_eq!(&federation.sum, &sum);
                for silo in &federation.silos {
                    for finished in &silo.finished {
                        prop_assert_eq!(&finished.words().unwrap(), &sum);
                        prop_assert_eq!(&finished.survivors, &survivors);
                    }
                }
            }
            None => {
                prop_assert!(federation.abandoned.is_some());
                prop_assert!(federation.silos.iter().all(|silo| silo.finished.is_empty()));
                // Live as long as no more silos drop than the plan tolerates.
                prop_assert!(drops.len() > thresholds.dropouts as usize);
            }
        }
    }
}
