// SPDX-License-Identifier: Apache-2.0
//! Histories that are signed, cosigned, and still not true to the rules.

use consilium_audit::{
    Actor, Event, EventKind, Log, StudyReference, VerifyReport, WitnessSet,
    verify::{Rule, read_entries, verify_directory},
};

use crate::support::{Consortium, UP_TO_CERTIFIED, key, signer, sum};

fn rules(consortium: &Consortium) -> Vec<Rule> {
    let report = verify_directory(consortium.path());
    assert!(report.obstacles.is_empty(), "{report}");
    report
        .findings
        .into_iter()
        .map(|finding| finding.rule)
        .collect()
}

#[test]
fn a_true_history_of_two_studies_is_clean() {
    let mut consortium = Consortium::new();
    consortium.study("first", 0..3);
    consortium.study("second", 3..5);
    let object = consortium.log.put_object(b"a result").unwrap();
    assert_eq!(
        consortium.log.object(&object).unwrap().unwrap(),
        b"a result"
    );
    let report = verify_directory(consortium.path());
    assert_eq!(report.exit_code(), 0, "{report}");
    assert!(report.verified);
    assert_eq!(report.entries, consortium.log.size());
    assert_eq!(
        (report.cosigned_entries, report.cosignatures, report.quorum),
        (report.entries, 4, 3)
    );
    assert_eq!(report.root, Some(consortium.log.head().root()));
    assert_eq!(
        read_entries(consortium.path()).unwrap().len() as u64,
        report.entries
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (&json["verified"], &json["verdict"]),
        (&true.into(), &"clean".into())
    );
}

#[test]
fn an_abandoned_attempt_and_its_successor_are_clean() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.steps(
        &[
            EventKind::RoundOpened,
            EventKind::RoundKeyBook,
            EventKind::RoundAbandoned,
        ],
        "s",
        0,
        0,
    );
    consortium.steps(&UP_TO_CERTIFIED, "s", 0, 1);
    consortium.steps(&[EventKind::RoundSumCommitted], "s", 0, 1);
    consortium.cosign();
    consortium.steps(&[EventKind::RoundReleased], "s", 0, 1);
    consortium.cosign();
    assert_eq!(rules(&consortium), []);
}

#[test]
fn a_step_written_again_after_a_restart_is_one_step() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.steps(&UP_TO_CERTIFIED, "s", 0, 0);
    consortium.steps(
        &[
            EventKind::RoundFrozen,
            EventKind::RoundCertified,
            EventKind::RoundOpened,
        ],
        "s",
        0,
        0,
    );
    consortium.cosign();
    assert_eq!(rules(&consortium), []);
}

#[test]
fn a_second_different_certificate_is_found() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.steps(&UP_TO_CERTIFIED, "s", 0, 0);
    let other = consortium
        .step(EventKind::RoundCertified, "s", 0, 0)
        .with_detail("digest", "another");
    consortium.append(&other);
    consortium.cosign();
    assert_eq!(rules(&consortium), [Rule::RoundOrder]);
}

#[test]
fn a_release_without_a_committed_sum_is_found() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.steps(&UP_TO_CERTIFIED, "s", 0, 0);
    consortium.steps(&[EventKind::RoundReleased], "s", 0, 0);
    consortium.cosign();
    assert_eq!(rules(&consortium), [Rule::RoundOrder]);
}

#[test]
fn another_sum_than_the_committed_one_is_found() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.steps(&UP_TO_CERTIFIED, "s", 0, 0);
    consortium.steps(&[EventKind::RoundSumCommitted], "s", 0, 0);
    consortium.cosign();
    let other = consortium
        .step(EventKind::RoundReleased, "s", 0, 0)
        .with_detail("sum", sum("s", 9).to_string());
    consortium.append(&other);
    consortium.cosign();
    assert_eq!(rules(&consortium), [Rule::OneSum]);
}

#[test]
fn a_second_release_of_one_round_is_found() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.round("s", 0);
    consortium.steps(&UP_TO_CERTIFIED, "s", 0, 1);
    consortium.steps(&[EventKind::RoundSumCommitted], "s", 0, 1);
    consortium.cosign();
    consortium.steps(&[EventKind::RoundReleased], "s", 0, 1);
    consortium.cosign();
    assert_eq!(rules(&consortium), [Rule::OneSum]);
}

#[test]
fn releasing_before_the_commitment_is_cosigned_is_found() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.steps(&UP_TO_CERTIFIED, "s", 0, 0);
    consortium.steps(
        &[EventKind::RoundSumCommitted, EventKind::RoundReleased],
        "s",
        0,
        0,
    );
    consortium.cosign();
    assert_eq!(rules(&consortium), [Rule::Commit]);
}

#[test]
fn opening_or_completing_before_the_release_is_cosigned_is_found() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.steps(&UP_TO_CERTIFIED, "s", 0, 0);
    consortium.steps(&[EventKind::RoundSumCommitted], "s", 0, 0);
    consortium.cosign();
    consortium.steps(&[EventKind::RoundReleased], "s", 0, 0);
    // A head without a quorum does not help.
    consortium.cosign_by(&[0, 1]);
    consortium.steps(&[EventKind::RoundOpened], "s", 1, 0);
    let completed = consortium
        .event(EventKind::StudyCompleted)
        .with_study(StudyReference::new("s"));
    consortium.append(&completed);
    consortium.cosign();
    assert_eq!(
        rules(&consortium),
        [Rule::Commit, Rule::Accepted, Rule::Commit, Rule::Accepted]
    );
}

/// A round that is released and cosigned, and a study that goes on from it; what silos signed comes in between.
fn going_on(accept: impl FnOnce(&mut Consortium)) -> Vec<Rule> {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.steps(&UP_TO_CERTIFIED, "s", 0, 0);
    consortium.steps(&[EventKind::RoundSumCommitted], "s", 0, 0);
    consortium.cosign();
    consortium.steps(&[EventKind::RoundReleased], "s", 0, 0);
    consortium.cosign();
    accept(&mut consortium);
    let completed = consortium
        .event(EventKind::StudyCompleted)
        .with_study(StudyReference::new("s"));
    consortium.append(&completed);
    consortium.cosign();
    rules(&consortium)
}

#[test]
fn going_on_from_a_sum_that_its_silos_have_not_signed_as_verified_is_found() {
    let (true_sum, other) = (sum("s", 0), sum("s", 9));
    let signers = |seeds: [(&'static str, u8); 3]| seeds.map(|(name, seed)| (name, key(seed)));
    let silos = signers([("1_UM", 10), ("2_IU", 11), ("3_UK", 12)]);
    assert_eq!(
        going_on(|consortium| consortium.accept_sum("s", 0, &true_sum, &silos)),
        []
    );
    // Nobody signed; two of three; the coordinator in the name of a third; a third that no roster knows.
    assert_eq!(going_on(|_| {}), [Rule::Accepted]);
    let forged = signers([("1_UM", 10), ("2_IU", 11), ("3_UK", 1)]);
    let stranger = signers([("1_UM", 10), ("2_IU", 11), ("mallory", 66)]);
    let twice = signers([("1_UM", 10), ("2_IU", 11), ("3_UK", 11)]);
    for too_few in [&silos[..2], &forged, &stranger, &twice] {
        assert_eq!(
            going_on(|consortium| consortium.accept_sum("s", 0, &true_sum, too_few)),
            [Rule::Accepted, Rule::Accepted]
        );
    }
    // The signatures are right, under another sum or round than was released.
    assert_eq!(
        going_on(|consortium| consortium.accept_sum("s", 0, &other, &silos)),
        [Rule::Accepted, Rule::Accepted]
    );
    assert_eq!(
        going_on(|consortium| consortium.accept_sum("s", 1, &true_sum, &silos)),
        [Rule::Accepted, Rule::Accepted]
    );
}

#[test]
fn opening_without_consent_or_after_a_refusal_is_found() {
    let mut consortium = Consortium::new();
    consortium.steps(&[EventKind::RoundOpened], "nobody-asked", 0, 0);
    consortium.consent("refused");
    let time = consortium.time();
    let refusal = Event::new(EventKind::StudyRefused, time, Actor::silo("3_UK"))
        .with_study(StudyReference::new("refused"));
    consortium.append(&refusal);
    consortium.steps(&[EventKind::RoundOpened], "refused", 1, 0);
    consortium.cosign();
    // The first was neither submitted nor consented to, the second was refused.
    assert_eq!(
        rules(&consortium),
        [Rule::Consent, Rule::Consent, Rule::Consent]
    );
}

#[test]
fn a_consent_that_the_coordinator_gives_in_a_silos_name_is_found() {
    let mut consortium = Consortium::new();
    let submitted = consortium
        .event(EventKind::StudySubmitted)
        .with_study(StudyReference::new("s"));
    consortium.append(&submitted);
    let consented = consortium
        .event(EventKind::StudyConsented)
        .with_study(StudyReference::new("s"));
    consortium.append(&consented);
    consortium.cosign();
    assert_eq!(rules(&consortium), [Rule::Consent]);
}

#[test]
fn silos_that_appear_too_late_or_are_too_few_are_found() {
    let all = ["1_UM", "2_IU", "3_UK", "4_Case"];
    for (frozen, released, found) in [
        (&all[..], &all[..3], 0),
        (&all[..3], &all[..], 1),  // back from the dead
        (&all[..2], &all[..2], 4), // below the threshold in every step
        (&all[..3], &["1_UM", "2_IU", "mallory"], 1),
    ] {
        let mut consortium = Consortium::new();
        consortium.consent("s");
        for kind in UP_TO_CERTIFIED {
            let mut event = consortium.step(kind, "s", 0, 0);
            let aggregation = event.aggregation.as_mut().unwrap();
            if !aggregation.included.is_empty() {
                aggregation.included = frozen.iter().map(|silo| (*silo).to_owned()).collect();
            }
            consortium.append(&event);
        }
        consortium.steps(&[EventKind::RoundSumCommitted], "s", 0, 0);
        consortium.cosign();
        let mut release = consortium.step(EventKind::RoundReleased, "s", 0, 0);
        release.aggregation.as_mut().unwrap().included =
            released.iter().map(|silo| (*silo).to_owned()).collect();
        consortium.append(&release);
        consortium.cosign();
        let rules = rules(&consortium);
        assert_eq!(rules.len(), found, "{frozen:?} {released:?} {rules:?}");
        assert!(rules.iter().all(|rule| *rule == Rule::Sets));
    }
}

#[test]
fn silos_that_are_named_in_an_object_are_judged_like_those_in_the_entry() {
    for (left_out, found) in [(0, None), (2, Some(Rule::Sets))] {
        let mut consortium = Consortium::new();
        consortium.consent("s");
        for kind in UP_TO_CERTIFIED {
            let mut event = consortium.step(kind, "s", 0, 0);
            let mut statement = event.aggregation.take().unwrap();
            let kept = statement.included.len().saturating_sub(left_out);
            statement.included.truncate(kept);
            let object = serde_json::to_vec(&statement).unwrap();
            let object = consortium.log.put_object(&object).unwrap();
            let event = event.with_reference("aggregation", object);
            consortium.append(&event);
        }
        consortium.cosign();
        assert_eq!(rules(&consortium).first().copied(), found);
        std::fs::remove_dir_all(consortium.path().join("objects")).unwrap();
        assert!(rules(&consortium).contains(&Rule::Objects));
    }
}

#[test]
fn a_coordinators_log_without_witnesses_cannot_be_verified() {
    let mut consortium = Consortium::new();
    consortium.study("s", 0..1);
    let trust = consilium_audit::TrustPolicy::new(signer().verifier(), WitnessSet::none());
    let knowledge = consilium_audit::verify::Knowledge {
        trust: Some(trust),
        ..Default::default()
    };
    let report = consilium_audit::verify_directory_with(consortium.path(), &knowledge);
    assert!(!report.verified && !report.obstacles.is_empty(), "{report}");
}

#[test]
fn going_on_after_an_attempt_is_over_or_back_to_an_old_one_is_found() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.steps(
        &[
            EventKind::RoundOpened,
            EventKind::RoundAbandoned,
            EventKind::RoundKeyBook,
        ],
        "s",
        3,
        1,
    );
    consortium.steps(&[EventKind::RoundOpened], "s", 3, 0);
    consortium.cosign();
    // The key book comes after the end, and also behind a later step.
    assert_eq!(
        rules(&consortium),
        [Rule::RoundOrder, Rule::RoundOrder, Rule::RoundOrder]
    );
}

#[test]
fn a_study_that_completes_without_a_release_is_found() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    let completed = consortium
        .event(EventKind::StudyCompleted)
        .with_study(StudyReference::new("s"));
    consortium.append(&completed);
    consortium.cosign();
    assert_eq!(rules(&consortium), [Rule::RoundOrder]);
}

#[test]
fn a_step_of_a_round_or_an_end_that_is_told_in_another_role_is_found() {
    let others = [
        Actor::silo("3_UK"),
        Actor::researcher("a.ruiz@uni.example"),
        Actor::officer("3_UK"),
        Actor::operator("coordinator.example"),
    ];
    for actor in others {
        // A sum that nobody committed to, and an end that no release led to.
        let mut consortium = Consortium::new();
        consortium.study("s", 0..1);
        let mut released = consortium.step(EventKind::RoundReleased, "s", 0, 0);
        released
            .detail
            .insert("sum".to_owned(), sum("s", 9).to_string());
        let completed = consortium
            .event(EventKind::StudyCompleted)
            .with_study(StudyReference::new("another"));
        for event in [released, completed] {
            let actor = actor.clone();
            consortium.append(&Event { actor, ..event });
        }
        consortium.cosign();
        assert_eq!(rules(&consortium), [Rule::Actor, Rule::Actor], "{actor:?}");
    }
}

#[test]
fn a_shared_log_that_tells_everything_in_a_silos_name_is_not_taken_for_a_hospitals_own() {
    let mut consortium = Consortium::new();
    for kind in [EventKind::RoundOpened, EventKind::RoundReleased] {
        let actor = Actor::silo("3_UK");
        let event = consortium.step(kind, "s", 0, 0);
        consortium.append(&Event { actor, ..event });
    }
    consortium.cosign();
    assert_eq!(rules(&consortium), [Rule::Actor, Rule::Actor]);
}

#[test]
fn a_hospitals_own_log_needs_no_witnesses_and_no_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::create(folder.path(), signer(), WitnessSet::none()).unwrap();
    let time = "2026-11-24T04:07:00.000000Z".parse().unwrap();
    for kind in [
        EventKind::RoundReady,
        EventKind::RoundReleased,
        EventKind::RoundVoted,
        EventKind::StudyCompleted,
    ] {
        let event = Event::new(kind, time, Actor::silo("3_UK")).with_attempt(1, 0, 0);
        log.append(&event).unwrap();
    }
    log.checkpoint().unwrap();
    assert!(log.is_cosigned(3, None));
    let report: VerifyReport = verify_directory(folder.path());
    assert_eq!(
        (report.exit_code(), report.quorum, report.cosigned_entries),
        (0, 0, 4),
        "{report}"
    );
}
