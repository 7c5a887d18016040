// SPDX-License-Identifier: Apache-2.0

//! Files that are no policy: each fault with its line, its key and the fix.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use consilium_policies::{Policy, Problem};
use proptest::prelude::*;

const GOOD: &str = include_str!("../examples/research-hospital.toml");
const SMALL: &str = include_str!("../examples/small-hospital.toml");

/// The faults of a good policy in which one text is replaced.
fn faults_of(file: &str, old: &str, new: &str) -> Vec<String> {
    assert!(file.contains(old), "the file holds no `{old}`");
    let invalid =
        Policy::parse(file.replacen(old, new, 1).as_bytes()).expect_err("the file must be refused");
    invalid.faults().iter().map(ToString::to_string).collect()
}

#[test]
fn each_fault_names_line_key_and_fix() {
    let cases = [
        (
            "min_silos = 4 ",
            "min_sillos = 4 ",
            "`floor.min_sillos` is not a key of a policy; did you mean `min_silos`?",
        ),
        (
            "[[grant]]\nname = \"sepsis-consortium\"",
            "[[grants]]\nname = \"sepsis-consortium\"",
            "did you mean `grant`?",
        ),
        (
            "version = 1 ",
            "version = 0 ",
            "line 5: `policy.version` is `0`; write a whole number from 1, one more than before",
        ),
        (
            "version = 1 ",
            "version = \"1\" ",
            "line 5: `policy.version` is a text; write a whole number from 1",
        ),
        (
            "min_silos = 4 ",
            "min_silos = 2 ",
            "line 10: `floor.min_silos` is `2`; write a whole number from 3",
        ),
        (
            "min_survivors = 3 ",
            "min_survivors = 5 ",
            "line 11: `floor.min_survivors` is 5, more than the 4 silos of `min_silos`",
        ),
        (
            "min_patients = 20",
            "min_patients = 9",
            "line 13: `floor.min_patients` is below 10 without a reason; write it beside it as `min_patients_reason`",
        ),
        (
            "isolation = \"sandbox\"",
            "isolation = \"chroot\"",
            "line 14: `floor.isolation` is `chroot`; write the least isolation: `process`",
        ),
        (
            "aggregation = \"secure\"",
            "aggregation = \"plain\"",
            "line 9: `floor.aggregation` is `plain`; write `secure`",
        ),
        (
            "epsilon = \"4\"",
            "epsilon = 4.0",
            "line 19: `budget.\"sepsis-2026\".epsilon` is a decimal number without quotes; write a decimal in quotes",
        ),
        (
            "epsilon = \"4\"",
            "epsilon = \"-4\"",
            "line 19: `budget.\"sepsis-2026\".epsilon` is `-4`",
        ),
        (
            "analyses = [\"statistics\", \"logistic-regression\"]",
            "analyses = [\"statistics\", \"logistic-regresion\"]",
            "`grant.analyses` is `logistic-regresion` (did you mean `logistic-regression`?)",
        ),
        (
            "modes = [\"distributed\", \"local\"]",
            "modes = [\"none\"]",
            "line 30: `grant.modes` is `none` (permit it by `without_noise`, with the agreement)",
        ),
        (
            "without_noise = \"permitted by agreement DUA-2026-7\"",
            "without_noise = \"yes\"",
            "`grant.without_noise` is `yes`; write `permitted by agreement …`",
        ),
        (
            "without_noise = \"permitted by agreement DUA-2026-7\"",
            "without_noise = \"permitted by agreement \"",
            "`grant.without_noise` is `permitted by agreement`",
        ),
        (
            "without_noise = \"permitted by agreement DUA-2026-7\"\n",
            "",
            "`grant.modes` is missing; write the noised modes that are permitted, or `without_noise`, or both",
        ),
        (
            "epsilon_per_job = \"2.0\"\n",
            "",
            "`grant.epsilon_per_job` is missing; write the greatest epsilon of one noised study",
        ),
        (
            "hours = [6, 20]",
            "hours = [20]",
            "`grant.hours` is no list of two hours",
        ),
        (
            "hours = [6, 20]",
            "hours = [6, 6]",
            "`grant.hours` is `[6, 6]`",
        ),
        (
            "until = \"2027-11-30\"",
            "until = \"2027-11-31\"",
            "`grant.ethics.until` is `2027-11-31`; write the last day on which it holds",
        ),
        (
            "who = [\"a.ruiz@uni.example\", \"k.berg@st-olav.example\"]",
            "who = \"a.ruiz@uni.example\"",
            "`grant.who` is a text; write a list of texts in quotes",
        ),
        (
            "who = [\"a.ruiz@uni.example\", \"k.berg@st-olav.example\"]",
            "who = []",
            "`grant.who` is an empty list",
        ),
        (
            "who = [\"a.ruiz@uni.example\", \"k.berg@st-olav.example\"]",
            "who = [\"a\", \"a\"]",
            "`grant.who` is a list that names `a` twice",
        ),
        (
            "name = \"sepsis-trial-reproduction\"",
            "name = \"sepsis-consortium\"",
            "`grant.name` is `sepsis-consortium` a second time; names must differ",
        ),
        (
            "purpose = [\"marketing\", \"insurance\"]",
            "",
            "`never` names nothing and so would refuse everything",
        ),
        (
            "person_must_approve = false",
            "person_must_approve = \"no\"",
            "`grant.person_must_approve` is a text; write `true` or `false`",
        ),
        (
            "differential_privacy = \"required-unless-agreed\"",
            "differential_privacy = \"required\"",
            "`grant.without_noise` of grant `sepsis-trial-reproduction` contradicts",
        ),
        (
            "[budget.\"sepsis-2026\"]",
            "[budget.\"sepsis-2025\"]",
            "permit noised studies on `sepsis-2026`, which has no budget; add a section `[budget.\"sepsis-2026\"]`",
        ),
        (
            "because = [\"mode\"]",
            "because = [\"moods\"]",
            "`example.because` is `moods`; write one of `grant`, `min_silos`",
        ),
        ("[policy]", "[policy", "line 3: not valid TOML"),
    ];
    for (old, new, expected) in cases {
        let faults = faults_of(GOOD, old, new);
        assert!(
            faults.iter().any(|fault| fault.contains(expected)),
            "`{new}` gave {faults:#?}, not `{expected}`"
        );
    }
}

#[test]
fn an_unknown_key_is_met_with_the_nearest_known_one() {
    let faults = faults_of(GOOD, "rounds_per_job = 60", "round_per_job = 60");
    assert_eq!(
        faults,
        [
            "line 22: `grant.rounds_per_job` is missing; write a whole number from 1",
            "line 33: `grant.round_per_job` is not a key of a policy; did you mean `rounds_per_job`?",
        ]
    );
    let faults = faults_of(
        GOOD,
        "release = \"aggregate\"",
        "release = \"aggregate\"\ncolour = \"red\"",
    );
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("line 16: `floor.colour` is not a key of a policy; here may stand `aggregation`, `min_silos`"), "{faults:?}");
}

#[test]
fn every_fault_is_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replacen("version = 1 ", "version = -1 ", 1)
        .replacen("min_patients = 20", "min_patients = 0", 1)
        .replacen("rounds_per_job = 60", "rounds_per_job = 0", 1);
    let invalid = Policy::parse(text.as_bytes()).unwrap_err();
    let keys: Vec<&str> = invalid
        .faults()
        .iter()
        .map(|fault| fault.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "policy.version",
            "floor.min_patients",
            "grant.rounds_per_job"
        ]
    );
    assert_eq!(invalid.to_string().lines().count(), 3);
}

#[test]
fn a_policy_whose_own_example_comes_out_otherwise_is_no_policy() {
    let text = GOOD.replacen("epsilon_per_job = \"2.0\"", "epsilon_per_job = \"0.5\"", 1);
    let invalid = Policy::parse(text.as_bytes()).unwrap_err();
    let failed: Vec<&str> = invalid
        .faults()
        .iter()
        .map(|fault| match &fault.problem {
            Problem::ExampleFailed(message) => message.as_str(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(failed.len(), 2, "{failed:#?}");
    assert!(
        failed[0].starts_with("`the consortium trains under noise` should be permitted, but is refused because of `epsilon`"),
        "{failed:#?}"
    );
}

#[test]
fn a_small_floor_carries_its_reason() {
    let policy = Policy::parse(SMALL.as_bytes()).unwrap();
    assert_eq!(policy.floor.min_patients, 3);
    assert!(
        policy
            .floor
            .min_patients_reason
            .unwrap()
            .contains("rare disease")
    );
}

#[test]
fn an_empty_file_says_what_to_write_first() {
    let invalid = Policy::parse(b"").unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "line 1: `policy` is missing; write a section `[policy]` with `silo` and `version`\n\
         line 1: `floor` is missing; write a section `[floor]`"
    );
    assert!(
        Policy::parse(&[0xff, 0xfe])
            .unwrap_err()
            .to_string()
            .contains("UTF-8")
    );
}

#[test]
fn a_date_may_stand_without_quotes() {
    let text = GOOD.replace("until = \"2027-11-30\"", "until = 2027-11-30");
    assert_eq!(
        Policy::parse(text.as_bytes()).unwrap(),
        Policy::parse(GOOD.as_bytes()).unwrap()
    );
    let faults = faults_of(
        GOOD,
        "until = \"2027-11-30\"",
        "until = 2027-11-30T10:00:00Z",
    );
    assert!(
        faults[0].contains("`grant.ethics.until` is a date with a time"),
        "{faults:?}"
    );
}

proptest! {
    #[test]
    fn bytes_from_anywhere_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Policy::parse(&bytes);
    }

    /// A line lost, doubled or swapped: read or refused, and every fault has a line of the file.
    #[test]
    fn a_mangled_policy_is_read_or_refused_with_lines(first in 0usize..110, second in 0usize..110, keep: bool) {
        let mut lines: Vec<&str> = GOOD.lines().collect();
        let (first, second) = (first % lines.len(), second % lines.len());
        if keep { lines.swap(first, second) } else { lines.remove(first); }
        let text = lines.join("\n");
        if let Err(invalid) = Policy::parse(text.as_bytes()) {
            prop_assert!(!invalid.faults().is_empty());
            for fault in invalid.faults() {
                prop_assert!(fault.line >= 1 && fault.line <= lines.len() + 1, "{}", fault);
            }
        }
    }
}
