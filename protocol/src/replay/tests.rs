// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::example_plan::example_plan;

#[test]
fn every_survivor_computes_a_small_vector_whole() {
    let plan = example_plan(7, 1000, 32);
    assert_eq!(cover_of(&plan, 7), 7);
    for place in 0..7 {
        let parts = parts_of(&plan, 7, place, 7);
        assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>(), vec![0]);
    }
}

#[test]
fn the_parts_of_a_large_vector_are_each_computed_often_enough() {
    let plan = example_plan(9, 20_000_000, 32);
    let cover = cover_of(&plan, 9);
    assert_eq!(cover, plan.thresholds.colluders + 1);
    let mut times = vec![0; usize::try_from(plan.chunk_count()).unwrap()];
    for place in 0..9 {
        for index in parts_of(&plan, 9, place, cover).into_iter().flatten() {
            times[usize::try_from(index).unwrap()] += 1;
        }
    }
    assert!(times.iter().all(|times| *times == cover));
}

#[test]
fn a_sum_is_vouched_for_when_no_part_was_left_to_the_colluders() {
    let plan = example_plan(7, 20_000_000, 32);
    let colluders = usize::try_from(plan.thresholds.colluders).unwrap();
    assert_eq!(colluders, 2);
    // Everything computed by each: any three of seven are enough, no two are.
    assert!(vouched_for(&plan, 7, 7, [1, 4, 6].into_iter()));
    assert!(!vouched_for(&plan, 7, 7, [1, 4].into_iter()));
    // Three parts each: all seven are needed.
    assert!(vouched_for(&plan, 7, 3, 0..7));
    assert!(!vouched_for(&plan, 7, 3, 0..6));
    // What foreign bytes claim to cover is at most everything, and nobody covers nothing.
    assert!(vouched_for(&plan, 7, u32::MAX, [0, 1, 2].into_iter()));
    assert!(!vouched_for(&plan, 7, 0, 0..7));
    assert!(!vouched_for(&plan, 7, 7, std::iter::empty()));
}
