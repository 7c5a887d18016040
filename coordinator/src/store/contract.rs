// SPDX-License-Identifier: Apache-2.0
//! What every store must do, checked the same way for all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{
    Participant, Store, StoreFault, StoredAcceptance, StoredRelease, StoredRoster, StoredStart,
};
use crate::study::{Answer, Attempt, Study, StudyState};
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::sha256;
use consilium_protocol::{AttemptId, SiloName};

/// Runs the whole suite, each part on a fresh store.
pub(crate) fn check<S: Store>(fresh: impl Fn() -> S) {
    an_invitation_is_redeemed_once_and_by_one_key(&mut fresh());
    a_taken_name_leaves_the_invitation_unused(&mut fresh());
    a_draft_roster_is_replaced_and_a_version_kept(&mut fresh());
    studies_come_back_in_order_and_by_state(&mut fresh());
    a_study_is_submitted_once(&mut fresh());
    round_numbers_only_grow(&mut fresh());
    an_attempt_and_its_study_change_together(&mut fresh());
    ending_an_attempt_keeps_its_release_once(&mut fresh());
    the_newest_release_is_the_last_of_whatever_study(&mut fresh());
    the_last_start_of_a_silo_wins(&mut fresh());
    accepted_rounds_never_go_back(&mut fresh());
}

pub(crate) fn study(id: &str) -> Study {
    Study {
        id: id.to_owned(),
        signature: "00".repeat(64),
        submitted_milliseconds: 1,
        model: vec![0, 255],
        ..Study::submitted(
            "ercp".to_owned(),
            b"[study]\n".to_vec(),
            "a.ruiz@uni.example".to_owned(),
        )
    }
}

fn participant(name: &str, seed: u8) -> Participant {
    Participant {
        name: name.to_owned(),
        role: "silo".to_owned(),
        identity: SigningKey::from_seed(&Secret::new([seed; 32])).verifying_key(),
        witness: None,
        joined_milliseconds: 5,
    }
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn silo(name: &str) -> SiloName {
    SiloName::parse(name).unwrap()
}

fn attempt(round: u64) -> Attempt {
    Attempt {
        study_id: "a".to_owned(),
        id: AttemptId {
            epoch: 1,
            round,
            attempt: 1,
        },
        snapshot: vec![1, 2],
        pending: vec![3],
    }
}

fn release(round: u64) -> StoredRelease {
    StoredRelease {
        study_id: "a".to_owned(),
        round,
        delivery: vec![9, 9],
        sum: digest(7),
        commitment_index: 3,
        release_index: 4,
    }
}

fn an_invitation_is_redeemed_once_and_by_one_key(store: &mut impl Store) {
    let (known, unknown) = (digest(1), digest(2));
    store.add_invitation(&known, "an invitation").unwrap();
    assert!(store.invitation(&unknown).unwrap().is_none());
    assert_eq!(store.invitation(&known).unwrap().unwrap().redeemed_by, None);
    let member = participant("1_UM", 1);
    assert!(matches!(
        store.enrol(&unknown, &member),
        Err(StoreFault::UnknownInvitation)
    ));
    store.enrol(&known, &member).unwrap();
    store.enrol(&known, &member).unwrap();
    let thief = participant("thief", 2);
    assert!(matches!(
        store.enrol(&known, &thief),
        Err(StoreFault::RedeemedInvitation)
    ));
    assert_eq!(store.participants().unwrap(), std::slice::from_ref(&member));
    let stored = store.invitation(&known).unwrap().unwrap();
    assert_eq!(stored.invitation, "an invitation");
    assert_eq!(stored.redeemed_by, Some(member.identity));
}

fn a_taken_name_leaves_the_invitation_unused(store: &mut impl Store) {
    store.add_invitation(&digest(1), "one").unwrap();
    store.add_invitation(&digest(2), "two").unwrap();
    store.enrol(&digest(1), &participant("1_UM", 1)).unwrap();
    let other = participant("1_UM", 2);
    assert!(matches!(
        store.enrol(&digest(2), &other),
        Err(StoreFault::TakenName(_))
    ));
    assert_eq!(
        store.invitation(&digest(2)).unwrap().unwrap().redeemed_by,
        None
    );
}

fn a_draft_roster_is_replaced_and_a_version_kept(store: &mut impl Store) {
    let draft = StoredRoster {
        version: 1,
        published: false,
        text: "{}".to_owned(),
    };
    let published = StoredRoster {
        published: true,
        text: "{\"signed\":1}".to_owned(),
        ..draft.clone()
    };
    let next = StoredRoster {
        version: 2,
        ..draft.clone()
    };
    store.save_roster(&next).unwrap();
    store.save_roster(&draft).unwrap();
    store.save_roster(&published).unwrap();
    assert_eq!(store.rosters().unwrap(), [published, next]);
}

fn studies_come_back_in_order_and_by_state(store: &mut impl Store) {
    assert_eq!(store.oldest_study(&[StudyState::Queued]).unwrap(), None);
    for (sequence, id) in [(1, "c"), (2, "a"), (3, "b")] {
        assert_eq!(store.add_study(&study(id)).unwrap(), sequence);
    }
    let mut second = study("a");
    second.state = StudyState::Running;
    second.answers.insert(silo("3_UK"), Answer::Granted);
    store.save_study(&second).unwrap();
    let order: Vec<String> = store
        .studies()
        .unwrap()
        .into_iter()
        .map(|study| study.id)
        .collect();
    assert_eq!(order, ["c", "a", "b"]);
    assert_eq!(store.study("a").unwrap().unwrap(), second);
    let oldest = |states: &[StudyState]| store.oldest_study(states).unwrap().map(|study| study.id);
    assert_eq!(oldest(&[StudyState::Queued]).as_deref(), Some("c"));
    assert_eq!(
        oldest(&[StudyState::Running, StudyState::Consenting]).as_deref(),
        Some("a")
    );
    assert_eq!(
        oldest(&[StudyState::Running, StudyState::Queued]).as_deref(),
        Some("c")
    );
    assert_eq!(oldest(&[StudyState::Completed]), None);
}

fn a_study_is_submitted_once(store: &mut impl Store) {
    store.add_study(&study("a")).unwrap();
    assert!(matches!(
        store.add_study(&study("a")),
        Err(StoreFault::RepeatedStudy(_))
    ));
    assert!(matches!(
        store.save_study(&study("b")),
        Err(StoreFault::UnknownStudy(_))
    ));
}

fn round_numbers_only_grow(store: &mut impl Store) {
    let rounds = [
        store.next_round().unwrap(),
        store.next_round().unwrap(),
        store.next_round().unwrap(),
    ];
    assert_eq!(rounds, [1, 2, 3]);
}

fn an_attempt_and_its_study_change_together(store: &mut impl Store) {
    assert!(store.save_attempt(&study("a"), &attempt(1)).is_err());
    assert_eq!(
        store.attempt().unwrap(),
        None,
        "the attempt of an unknown study was kept"
    );
    store.add_study(&study("a")).unwrap();
    let running = Study {
        state: StudyState::Running,
        attempt: 1,
        ..study("a")
    };
    store.save_attempt(&running, &attempt(1)).unwrap();
    let later = Attempt {
        snapshot: vec![5; 100_000],
        ..attempt(1)
    };
    store.save_attempt(&running, &later).unwrap();
    assert_eq!(store.attempt().unwrap(), Some(later));
    assert_eq!(store.study("a").unwrap(), Some(running));
}

fn ending_an_attempt_keeps_its_release_once(store: &mut impl Store) {
    store.add_study(&study("a")).unwrap();
    for round in [3, 1, 2] {
        store.save_attempt(&study("a"), &attempt(round)).unwrap();
        store
            .end_attempt(&study("a"), Some(&release(round)))
            .unwrap();
        assert_eq!(store.attempt().unwrap(), None);
    }
    let changed = StoredRelease {
        delivery: vec![],
        ..release(2)
    };
    store.end_attempt(&study("a"), Some(&changed)).unwrap();
    store.end_attempt(&study("a"), None).unwrap();
    assert_eq!(
        store.releases("a").unwrap(),
        [release(1), release(2), release(3)]
    );
    assert_eq!(store.releases("b").unwrap(), []);
}

fn the_newest_release_is_the_last_of_whatever_study(store: &mut impl Store) {
    assert_eq!(store.newest_release().unwrap(), None);
    for (round, id) in [(1, "a"), (2, "b")] {
        store.add_study(&study(id)).unwrap();
        let release = StoredRelease {
            study_id: id.to_owned(),
            ..release(round)
        };
        store.end_attempt(&study(id), Some(&release)).unwrap();
        assert_eq!(store.newest_release().unwrap(), Some(release));
    }
}

fn the_last_start_of_a_silo_wins(store: &mut impl Store) {
    let start = |name: &str, nonce: u8, log_index| StoredStart {
        silo: silo(name),
        nonce: digest(nonce),
        log_index,
    };
    assert_eq!(store.last_start(&silo("1_UM")).unwrap(), None);
    store.add_start(&start("1_UM", 9, 1)).unwrap();
    store.add_start(&start("2_IU", 8, 2)).unwrap();
    store.add_start(&start("1_UM", 1, 3)).unwrap();
    store.add_start(&start("1_UM", 1, 4)).unwrap();
    assert_eq!(
        store.last_start(&silo("1_UM")).unwrap(),
        Some(start("1_UM", 1, 3))
    );
    assert_eq!(
        store.last_start(&silo("2_IU")).unwrap(),
        Some(start("2_IU", 8, 2))
    );
}

fn accepted_rounds_never_go_back(store: &mut impl Store) {
    assert_eq!(store.acceptances().unwrap(), []);
    let accepted = |name: &str, round: u64| StoredAcceptance {
        silo: silo(name),
        id: AttemptId {
            epoch: 1,
            round,
            attempt: 2,
        },
        sum: sha256(&round.to_be_bytes()),
        signature: SigningKey::from_seed(&Secret::new([1; 32]))
            .sign(Label::ReleaseAccepted, &[&round.to_be_bytes()]),
    };
    for round in [4, 6, 5, 6] {
        store.accept_release(&accepted("2_IU", round)).unwrap();
    }
    store.accept_release(&accepted("1_UM", 4)).unwrap();
    assert_eq!(
        store.acceptances().unwrap(),
        [accepted("1_UM", 4), accepted("2_IU", 6)]
    );
}
