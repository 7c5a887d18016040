// SPDX-License-Identifier: Apache-2.0
//! Stories of whole rounds through the real state machines of both sides, for 3 to 9 silos.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../federation/federation.rs"]
#[allow(dead_code, reason = "each crate of tests uses a part of the harness")]
mod federation;

mod wire;

use consilium_protocol::{Fault, SiloName, VerifiedBy};
use federation::{Federation, Trouble};

const SILO_MESSAGES: [&str; 9] = [
    "AdvertiseKeys",
    "ShareKeys",
    "DealReceipt",
    "Ready",
    "MaskedInput",
    "Vote",
    "Reveal",
    "Nonce",
    "Tag",
];
const COORDINATOR_MESSAGES: [&str; 8] = [
    "KeyBook",
    "DealBook",
    "CohortFreeze",
    "SurvivorProposal",
    "Certificate",
    "SumCommitment",
    "Challenge",
    "Release",
];

fn assert_released(federation: &Federation, survivors: usize) {
    let (names, dropped) = federation.released.as_ref().unwrap_or_else(|| {
        panic!(
            "not released: {:?} {:?}",
            federation.abandoned, federation.rejected
        )
    });
    assert_eq!(names.len(), survivors, "dropped {dropped:?}");
    for silo in federation
        .silos
        .iter()
        .filter(|silo| names.contains(&silo.name))
    {
        if let Some(finished) = silo.finished.last() {
            assert_eq!(finished.words().unwrap(), federation.true_sum(names));
            assert_eq!(&finished.survivors, names);
        }
    }
    assert!(
        federation
            .silos
            .iter()
            .any(|silo| !silo.finished.is_empty())
    );
}

#[test]
fn masks_cancel_and_every_silo_verifies_the_sum() {
    for count in 3..=9 {
        let mut federation = Federation::new(count, 1, Trouble::None);
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        assert_released(&federation, count);
        assert!(federation.silos.iter().all(|silo| silo.finished.len() == 1));
        assert!(federation.rejected.is_empty());
    }
}

#[test]
fn a_round_in_which_everybody_lives_is_verified_by_tags() {
    for count in 3..=9 {
        let mut federation = Federation::new(count, 1, Trouble::None);
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        let finished = federation.silos.iter().map(|silo| &silo.finished[0]);
        assert!(
            finished
                .clone()
                .all(|sum| sum.verified_by == VerifiedBy::Tags)
        );
        assert_eq!(federation.replays, 0);
        assert!(!federation.records.contains(&"Replayed".to_owned()));
    }
}

#[test]
fn a_round_that_loses_a_silo_after_its_upload_stands_by_replay() {
    for count in 4..=9 {
        for before in ["Vote", "Reveal", "Nonce", "Tag"] {
            let mut federation = Federation::new(count, 21, Trouble::Drop { silo: 1, before });
            let plan = federation.plan(1, 1, None);
            federation.run(plan);
            assert_released(&federation, count);
            assert!(federation.records.contains(&"Replayed".to_owned()));
            let living = federation
                .silos
                .iter()
                .filter(|silo| silo.name.as_str() != "silo-01");
            for silo in living {
                assert_eq!(silo.finished[0].verified_by, VerifiedBy::Replay);
            }
        }
    }
}

#[test]
fn a_coordinator_that_adds_one_unit_to_one_coordinate_releases_nothing() {
    // With all tags there, and with one missing.
    let missing = Trouble::Drop {
        silo: 1,
        before: "Tag",
    };
    for trouble in [Trouble::None, missing] {
        let mut federation = Federation::new(4, 22, trouble);
        federation.false_sum = true;
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        assert!(federation.released.is_none());
        assert!(federation.abandoned.is_some());
        for silo in federation
            .silos
            .iter()
            .filter(|silo| silo.machine.is_some())
        {
            assert_eq!(silo.aborted, vec![Fault::FalseSum]);
            assert!(silo.finished.is_empty());
        }
    }
}

#[test]
fn a_silo_may_drop_at_any_phase() {
    for count in 4..=9 {
        for before in SILO_MESSAGES {
            let mut federation = Federation::new(count, 2, Trouble::Drop { silo: 1, before });
            let plan = federation.plan(1, 1, None);
            federation.run(plan);
            // From its upload on, the sum holds the silo's input whether or not it lives to see it.
            let survivors = if matches!(before, "Vote" | "Reveal" | "Nonce" | "Tag") {
                count
            } else {
                count - 1
            };
            assert_released(&federation, survivors);
        }
    }
}

#[test]
fn three_silos_tolerate_no_drop() {
    for before in SILO_MESSAGES {
        let mut federation = Federation::new(3, 3, Trouble::Drop { silo: 2, before });
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        if matches!(before, "Reveal" | "Nonce" | "Tag") {
            // Two of three shares rebuild every seed; all three inputs are in the sum.
            assert_released(&federation, 3);
            continue;
        }
        let (_, _, charged) = federation.abandoned.clone().expect("abandoned");
        assert_eq!(charged, matches!(before, "MaskedInput" | "Vote"));
        assert!(federation.silos.iter().all(|silo| silo.finished.is_empty()));
    }
}

#[test]
fn a_study_without_noise_tolerates_no_drop() {
    for before in ["AdvertiseKeys", "Ready", "MaskedInput"] {
        let mut federation = Federation::new(4, 4, Trouble::Drop { silo: 0, before });
        let plan = federation.plan(1, 1, Some(0));
        federation.run(plan);
        assert!(federation.abandoned.is_some());
        assert!(federation.silos.iter().all(|silo| silo.finished.is_empty()));
    }
}

#[test]
fn a_late_upload_stays_out_of_the_sum_and_changes_nothing() {
    for count in 4..=9 {
        let mut federation = Federation::new(count, 5, Trouble::LateUpload { silo: 1 });
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        assert_released(&federation, count - 1);
        assert!(federation.silos[1].aborted.contains(&Fault::LeftOut {
            list: "survivor set"
        }));
    }
}

#[test]
fn a_repeat_of_every_message_is_harmless() {
    for count in 4..=9 {
        let mut federation = Federation::new(count, 6, Trouble::Repeats);
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        assert_released(&federation, count);
        assert!(federation.silos.iter().all(|silo| silo.aborted.is_empty()));
    }
}

#[test]
fn a_restarted_silo_gives_the_same_answers() {
    for before in SILO_MESSAGES {
        let mut federation = Federation::new(4, 7, Trouble::RestartSilo { silo: 2, before });
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        assert_released(&federation, 4);
        assert!(
            federation.silos[2].aborted.is_empty(),
            "{before}: {:?}",
            federation.silos[2].aborted
        );
    }
}

#[test]
fn a_silo_restored_without_its_secrets_sits_the_attempt_out() {
    for before in &SILO_MESSAGES[..5] {
        let mut federation = Federation::new(4, 8, Trouble::RestoreSilo { silo: 2, before });
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        assert_released(&federation, 3);
    }
}

#[test]
fn a_restarted_coordinator_finishes_the_round() {
    for before in COORDINATOR_MESSAGES {
        let mut federation = Federation::new(4, 9, Trouble::RestartCoordinator { before });
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        assert_released(&federation, 4);
        assert!(
            federation
                .silos
                .iter()
                .all(|silo| !silo.finished.is_empty()),
            "{before}"
        );
    }
}

#[test]
fn one_kind_of_share_is_revealed_per_peer() {
    use consilium_protocol::{SecretKind, SiloMessage};
    let mut federation = Federation::new(
        5,
        10,
        Trouble::Drop {
            silo: 3,
            before: "MaskedInput",
        },
    );
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
    assert_released(&federation, 4);
    assert_eq!(federation.reveals.len(), 4);
    for delivery in &federation.reveals {
        let Some(SiloMessage::Reveal { shares }) = delivery.envelope.peek_silo_message() else {
            panic!("a reveal is a reveal")
        };
        let kinds: Vec<SecretKind> = shares.iter().map(|share| share.kind).collect();
        let expected: Vec<SecretKind> = (0..5)
            .map(|at| {
                if at == 3 {
                    SecretKind::MaskKey
                } else {
                    SecretKind::SelfMask
                }
            })
            .collect();
        assert_eq!(kinds, expected);
    }
}

#[test]
fn an_old_attempt_is_not_opened_again() {
    let mut federation = Federation::new(4, 11, Trouble::None);
    let plan = federation.plan(5, 2, None);
    federation.run(plan.clone());
    assert_released(&federation, 4);
    federation.run(plan);
    assert!(federation.released.is_none());
    let stale = |fault: &Fault| matches!(fault, Fault::StaleAttempt { .. });
    assert!(
        federation
            .silos
            .iter()
            .all(|silo| silo.aborted.is_empty() && silo.rejected.iter().any(stale))
    );
}

#[test]
fn a_model_and_task_without_noise_are_answered_alike_or_not_at_all() {
    let mut federation = Federation::new(4, 12, Trouble::None);
    let plan = federation.plan(1, 1, Some(0));
    federation.run(plan.clone());
    assert_released(&federation, 4);
    // The same question to the same silos with the same inputs is no news.
    let mut again = federation.plan(2, 1, Some(0));
    again.model = plan.model;
    federation.run(again.clone());
    assert_released(&federation, 4);
    // The same question with another answer would give the difference away by subtraction.
    federation.silos[0].vector[0] += 1;
    again.id.round = 3;
    federation.run(again);
    assert!(federation.released.is_none());
    assert!(
        federation.silos[0]
            .aborted
            .contains(&Fault::AlreadyReleased)
    );
}

#[test]
fn names_that_are_no_names_are_refused() {
    for text in ["", "a b", "ü", &"x".repeat(64)] {
        assert!(SiloName::parse(text).is_err());
    }
    assert!(SiloName::parse("3_UK").is_ok());
}
