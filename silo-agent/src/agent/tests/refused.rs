// SPDX-License-Identifier: Apache-2.0
//! What a lying coordinator signed and the machine refused, in the hospital's own log.

use consilium_crypto::label::Label;
use consilium_protocol::{CoordinatorMessage, Delivery, Envelope, Evidence, Release, Standing};

use super::hospital::{Hospital, open, trainer};
use super::*;

/// The evidence that each accusation in the own log names.
fn accusations(hospital: &mut Hospital) -> Vec<Evidence> {
    let log = hospital.own_log();
    let objects = hospital.silo().log().join("objects").join("sha256");
    log.lines()
        .filter(|line| line.contains("round.misbehaviour"))
        .map(|line| {
            let (_, from) = line.split_once("\"evidence\":\"").unwrap();
            let digest = from.split('"').next().unwrap();
            let kept = fs::read(objects.join(digest)).unwrap();
            serde_json::from_slice(&kept).unwrap()
        })
        .collect()
}

fn standing(hospital: &Hospital, evidence: &Evidence) -> Standing {
    let judgement = evidence.judge(&hospital.membership, None).unwrap();
    judgement.standing
}

/// A release that is signed like the true one and changed.
fn lie(hospital: &Hospital, delivery: &Delivery, change: impl FnOnce(&mut Release)) -> Delivery {
    let (id, transcript, message): (AttemptId, Digest, CoordinatorMessage) =
        postcard::from_bytes(&delivery.envelope.body).unwrap();
    let CoordinatorMessage::Release(mut release) = message else {
        panic!("no release");
    };
    change(&mut release);
    let message = CoordinatorMessage::Release(release);
    let body = postcard::to_stdvec(&(id, transcript, message)).unwrap();
    let key = hospital.federation.coordinator_key();
    Delivery {
        envelope: Envelope {
            sender: delivery.envelope.sender.clone(),
            signature: key.sign(Label::CoordinatorMessage, &[&body]),
            body,
        },
        attachments: delivery.attachments.clone(),
    }
}

/// A hospital that waits for the release of its first round.
fn before_release() -> (Hospital, String, Delivery) {
    let mut hospital = Hospital::new();
    let study = hospital.consented("ages");
    hospital.open(&study, 1, &[]);
    hospital.advance_to(&study, "Release");
    let release = hospital.to_agent.front().unwrap().clone();
    (hospital, study, release)
}

#[test]
fn a_release_that_refutes_itself_is_kept_once_and_proven_and_the_true_one_still_counts() {
    let (mut hospital, study, release) = before_release();
    let lie = lie(&hospital, &release, |release| release.votes.truncate(1));
    for _ in 0..3 {
        hospital.deliver(&study, &lie);
    }
    let [evidence] = &accusations(&mut hospital)[..] else {
        panic!("{}", hospital.own_log());
    };
    assert_eq!(standing(&hospital, evidence), Standing::Proven);
    let kept = serde_json::to_string(evidence).unwrap();
    assert!(kept.contains(&serde_json::to_string(&lie.envelope).unwrap()));

    hospital.finish(&study);
    let record = hospital.agent.journal.study(&study).unwrap().unwrap();
    assert!(record.complete);
}

#[test]
fn a_true_release_without_its_log_proof_is_alleged_at_most() {
    let (mut hospital, study, release) = before_release();
    let bare = Delivery::bare(release.envelope.clone());
    hospital.deliver(&study, &bare);
    let [evidence] = &accusations(&mut hospital)[..] else {
        panic!("{}", hospital.own_log());
    };
    let standing = standing(&hospital, evidence);
    assert!(matches!(standing, Standing::Alleged(_)), "{standing:?}");
    hospital.finish(&study);
    let record = hospital.agent.journal.study(&study).unwrap().unwrap();
    assert!(record.complete);
    assert_eq!(accusations(&mut hospital).len(), 1);
}

#[test]
fn a_flood_of_false_releases_does_not_fill_the_log() {
    let (mut hospital, study, release) = before_release();
    for count in 0..40 {
        let lie = lie(&hospital, &release, |release| {
            release.plan.id.round += 1 + count;
        });
        hospital.deliver(&study, &lie);
    }
    assert_eq!(accusations(&mut hospital).len(), 16);
    hospital.finish(&study);
    let record = hospital.agent.journal.study(&study).unwrap().unwrap();
    assert!(record.complete);
}

#[test]
fn an_agent_that_starts_again_does_not_accuse_again_over_the_same_message() {
    let (mut hospital, study, release) = before_release();
    let lie = lie(&hospital, &release, |release| release.votes.truncate(1));
    hospital.deliver(&study, &lie);
    assert_eq!(accusations(&mut hospital).len(), 1);
    let frames = hospital.frames(&study, &lie);
    let (silo, roster) = (hospital.silo(), hospital.federation.roster.clone());
    let Hospital { folder, agent, .. } = hospital;
    agent.files.close();
    drop(agent);
    let (mut agent, _inputs) = open(&silo, roster, trainer(folder.path()));
    for frame in frames {
        let frame = LinkEvent::Frame(Box::new(frame));
        agent.handle(Input::Link(frame)).unwrap();
    }
    agent.own_log.sign_head().unwrap();
    let log = fs::read_to_string(silo.log().join("entries.jsonl")).unwrap();
    assert_eq!(log.matches("round.misbehaviour").count(), 1);
}
