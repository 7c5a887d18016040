// SPDX-License-Identifier: Apache-2.0
//! The abstract rule over everything that two views can be, for three to seven silos.

use super::{Rules, Sets, Shown, Votes};
use crate::exhaustive::{everybody, subsets};
use std::collections::BTreeSet;

/// Every case of these rules: how many, and what they break.
fn every_case(rules: &Rules) -> (u64, BTreeSet<&'static str>) {
    let views = rules.views();
    let mut cases = 0;
    let mut broken = BTreeSet::new();
    let sets = subsets(everybody(rules.count), 0).into_iter();
    let sets: Vec<u8> = sets
        .filter(|set| set.count_ones() <= rules.colluders)
        .collect();
    for (at, first) in views.iter().enumerate() {
        // Twice the same sets are two uploads of a colluder.
        for second in &views[at..] {
            let views = [*first, *second];
            for colluders in &sets {
                cases += every_choice(rules, views, *colluders, &mut broken);
            }
        }
    }
    (cases, broken)
}

/// Every honest silo is shown nothing, or one of the views first and the other, if at all, too late.
fn every_choice(
    rules: &Rules,
    views: [Sets; 2],
    colluders: u8,
    broken: &mut BTreeSet<&'static str>,
) -> u64 {
    let honest = everybody(rules.count) & !colluders;
    let mut choices = 0;
    for some in subsets(honest, 0) {
        for other in subsets(honest & !some, 0) {
            choices += 1;
            let shown = Shown {
                first: [some, other],
                other_early: 0,
            };
            let gains = rules.play(views, colluders, shown);
            broken.extend(rules.broken(views, colluders, gains));
        }
    }
    choices
}

fn nothing_breaks(count: usize) -> u64 {
    let (cases, broken) = every_case(&Rules::of(count));
    println!("{count} silos: {cases} cases of the abstract core");
    assert!(broken.is_empty(), "{broken:?}");
    cases
}

#[test]
fn two_views_of_three_to_five_silos_break_no_invariant_of_the_core() {
    assert_eq!((3..=5).map(nothing_breaks).sum::<u64>(), 51_327);
}

#[test]
fn two_views_of_six_silos_break_no_invariant_of_the_core() {
    assert_eq!(nothing_breaks(6), 309_582);
}

#[test]
fn two_views_of_seven_silos_break_no_invariant_of_the_core() {
    assert_eq!(nothing_breaks(7), 61_345_350);
}

#[test]
fn the_core_finds_the_attacks_on_weaker_rules() {
    let both = "threshold shares of both kinds of one peer";
    let few = "a release with fewer than quorum - n_c honest inputs";
    let two = "two sums in one attempt";
    for count in 4..=5 {
        let rules = Rules::of(count);
        let twice = Rules {
            votes: Votes::ForEveryView,
            ..rules
        };
        assert!(every_case(&twice).1.contains(two), "{count}: votes");
        // No certificate at all, as in the paper's version against a passive coordinator.
        let without = Rules { quorum: 0, ..rules };
        assert!(every_case(&without).1.contains(two), "{count}: quorum");
        let small = Rules {
            quorum: 2,
            fewest: 2,
            threshold: 2,
            ..rules
        };
        let broken = every_case(&small).1;
        assert!(
            broken.contains(few) && broken.contains(both),
            "{count}: {broken:?}"
        );
    }
}
