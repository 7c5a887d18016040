// SPDX-License-Identifier: Apache-2.0
use super::*;

const ID: AttemptId = AttemptId {
    epoch: 1,
    round: 9,
    attempt: 1,
};

fn offer() -> Offer {
    Offer {
        study: b"[study]".to_vec(),
        researcher: "a.ruiz@uni.example".to_owned(),
        signature: vec![1; 64],
        invited: vec!["b".to_owned(), "a".to_owned()],
        deadline_milliseconds: 5,
    }
}

#[test]
fn a_step_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut journal = Journal::open(&path).unwrap();
    assert!(journal.last_step().unwrap().is_none());
    journal.record_offer("s1", &offer()).unwrap();
    let advance = Advance {
        study: "s1",
        rounds_done: 3,
        model: b"model",
        complete: false,
        release: (ID, Digest::from_bytes([2; 32])),
    };
    for number in 1..=2 {
        let step = Step {
            snapshot: b"snapshot",
            number,
            secrets_of: Some(ID),
            attempt: Some((ID, "s1")),
            advance: Some(advance),
            released: Some((ID, Digest::from_bytes([5; 32]))),
        };
        journal.record_step(&step).unwrap();
    }
    drop(journal);
    let journal = Journal::open(&path).unwrap();
    assert_eq!(
        journal.newest_release().unwrap(),
        Some((ID, Digest::from_bytes([5; 32])))
    );
    let stored = journal.last_step().unwrap().unwrap();
    assert_eq!(
        (stored.number, stored.snapshot.as_slice()),
        (2, b"snapshot".as_slice())
    );
    assert_eq!(
        (stored.secrets_of, stored.attempt),
        (Some(ID), Some((ID, "s1".to_owned())))
    );
    let study = journal.study("s1").unwrap().unwrap();
    assert_eq!(study.last_release, Some((ID, Digest::from_bytes([2; 32]))));
    assert_eq!(
        (study.rounds_done, study.model.as_deref()),
        (3, Some(b"model".as_slice()))
    );
}

#[test]
fn a_journal_is_private_from_its_first_byte_and_refused_when_others_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut journal = Journal::open(&path).unwrap();
    journal.record_offer("s1", &offer()).unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
    }
    drop(journal);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let fault = Journal::open(&path).unwrap_err().to_string();
    assert!(fault.contains("chmod 600"), "{fault}");
}

#[test]
fn a_second_offer_does_not_reset_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
    journal.record_offer("s1", &offer()).unwrap();
    journal.record_state("s1", &StudyState::Granted).unwrap();
    journal.record_offer("s1", &offer()).unwrap();
    assert_eq!(
        journal.study("s1").unwrap().unwrap().state,
        StudyState::Granted
    );
    let conditions = vec![("floor".to_owned(), "no".to_owned())];
    journal
        .record_state(
            "s1",
            &StudyState::Refused {
                conditions: conditions.clone(),
            },
        )
        .unwrap();
    assert_eq!(
        journal.studies().unwrap()[0].state,
        StudyState::Refused { conditions }
    );
}

#[test]
fn an_approval_is_answered_once_and_by_an_unambiguous_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
    journal.record_offer("abc1", &offer()).unwrap();
    journal
        .record_state("abc1", &StudyState::AwaitingApproval)
        .unwrap();
    let terms = ApprovalTerms::default();
    journal.ask_approval("abc1", "a study", &terms, 7).unwrap();
    journal.ask_approval("abc2", "another", &terms, 8).unwrap();
    let approved = Answer::Approved {
        person: "officer".to_owned(),
    };
    assert!(journal.answer_approval("abc", &approved).is_err());
    assert_eq!(journal.answer_approval("abc1", &approved).unwrap(), "abc1");
    assert!(journal.answer_approval("abc1", &approved).is_err());
    assert_eq!(journal.approvals().unwrap()[0].answer, Some(approved));
    journal.record_state("abc1", &StudyState::Granted).unwrap();
    assert_eq!(journal.approvals().unwrap().len(), 1);
}

#[test]
fn notices_are_kept_until_they_are_logged() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
    journal
        .leave_notice("policy.changed", "v2", "digest")
        .unwrap();
    journal
        .leave_notice("data_set.registered", "trial", "digest")
        .unwrap();
    let first = journal.next_notice().unwrap().unwrap();
    assert_eq!(first.kind, "policy.changed");
    journal.forget_notice(&first).unwrap();
    assert_eq!(journal.next_notice().unwrap().unwrap().object, "trial");
}

#[test]
fn the_witnessed_log_and_the_ledger_head_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let head = WitnessHead {
        size: 12,
        root: Digest::from_bytes([3; 32]),
        note: "note".to_owned(),
    };
    {
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.witnessed().unwrap(), WitnessHead::empty());
        journal.record_witnessed(&head).unwrap();
        journal
            .record_ledger_head(4, Digest::from_bytes([4; 32]), None)
            .unwrap();
    }
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.witnessed().unwrap(), head);
    assert_eq!(
        journal.ledger_head().unwrap(),
        Some((4, Digest::from_bytes([4; 32])))
    );
}
