// SPDX-License-Identifier: Apache-2.0
//! How studies end, whatever silos say and whenever the process stops.

use crate::SILOS;
use crate::hub::{Hub, Participant, STUDY};
use consilium_audit::EventKind;
use consilium_coordinator::study::{Answer, Ending, Refusal, StudyState as State};
use consilium_protocol::SiloName;
use consilium_wire::v1::{self, StudyState, consent::Decision, coordinator_frame, silo_frame};
use tokio_stream::StreamExt;

fn silo(name: &str) -> SiloName {
    SiloName::parse(name).unwrap()
}

fn frame(frame: silo_frame::Frame) -> v1::SiloFrame {
    v1::SiloFrame { frame: Some(frame) }
}

fn consent(study_id: &str, decision: Decision) -> v1::SiloFrame {
    frame(silo_frame::Frame::Consent(v1::Consent {
        study_id: study_id.to_owned(),
        decision: Some(decision),
    }))
}

fn declined(study_id: &str) -> v1::SiloFrame {
    frame(silo_frame::Frame::Declined(v1::Declined {
        study_id: study_id.to_owned(),
        reason: "tired".to_owned(),
    }))
}

/// A study for the first three silos only.
fn for_three() -> String {
    STUDY.replace(
        "[study]\n",
        "[study]\ninvite = [\"1_UM\", \"2_IU\", \"3_UK\"]\n",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_any_length_is_logged_and_other_studies_go_on() {
    let mut hub = Hub::start().await;
    let (silos, researcher) = hub.found(&SILOS).await;
    let first = researcher.submit(STUDY).await.unwrap().study_id;
    let second = researcher.submit(&for_three()).await.unwrap().study_id;
    let (frames, _incoming) = silos[0].session(|hello| hello).await;
    let condition = v1::Condition {
        rule: "\u{1}\"rule".repeat(2000),
        text: "ä\n".repeat(2000),
    };
    let refused = v1::Refused {
        conditions: vec![condition; 200],
        policy_version: "v".repeat(5000),
        policy_digest: vec![1; 32],
    };
    let refusal = consent(&first, Decision::Refused(refused));
    frames.send(refusal).await.unwrap();
    let last = researcher.wait_for(&first, StudyState::Refused).await;
    assert!(last.refusals[0].conditions.len() < 200);
    researcher.wait_for(&second, StudyState::Consenting).await;
    hub.stop().await;
    assert_eq!(hub.logged(EventKind::StudyRefused).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silo_that_is_not_invited_ends_no_study() {
    let hub = Hub::start().await;
    let (silos, researcher) = hub.found(&SILOS).await;
    let study_id = researcher.submit(&for_three()).await.unwrap().study_id;
    let (outsider, mut closing) = silos[3].session(|hello| hello).await;
    outsider.send(declined(&study_id)).await.unwrap();
    // A second hello ends the session: what was said before it has been taken.
    let again = silo_frame::Frame::Hello(v1::Hello::default());
    outsider.send(frame(again)).await.unwrap();
    while closing.next().await.is_some_and(|frame| frame.is_ok()) {}
    let (member, _incoming) = silos[0].session(|hello| hello).await;
    let agrees = consent(&study_id, Decision::Granted(v1::Granted {}));
    member.send(agrees).await.unwrap();
    let progress = researcher
        .wait_until(&study_id, |progress| {
            progress.state() == StudyState::Refused
                || progress.silos[0].answer() == v1::SiloAnswer::Granted
        })
        .await;
    assert_eq!(progress.state(), StudyState::Consenting);
    // An invited one does end it.
    member.send(declined(&study_id)).await.unwrap();
    researcher.wait_for(&study_id, StudyState::Refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_that_a_study_is_cancelled_finds_that_stored() {
    let hub = Hub::start().await;
    let researcher = hub.found(&SILOS).await.1;
    for study in [STUDY.to_owned(), for_three()] {
        let study_id = researcher.submit(&study).await.unwrap().study_id;
        researcher.cancel(&study_id).await.unwrap();
        let ending = hub.study(&study_id).ending.unwrap();
        assert_eq!(ending.state, State::Cancelled);
        assert!(ending.reason.contains("enough"), "{}", ending.reason);
    }
}

/// What a kill leaves between the decision how a study ends and everything that follows from it.
#[tokio::test(flavor = "multi_thread")]
async fn a_decided_ending_is_carried_out_after_a_stop_and_logged_once() {
    for (state, kind, silo_name) in [
        (State::Failed, EventKind::StudyFailed, None),
        (State::Cancelled, EventKind::StudyCancelled, None),
        (State::Refused, EventKind::StudyRefused, Some("2_IU")),
    ] {
        let mut hub = Hub::start().await;
        let researcher = hub.found(&SILOS).await.1;
        let study_id = researcher.submit(STUDY).await.unwrap().study_id;
        researcher.wait_for(&study_id, StudyState::Consenting).await;
        hub.stop().await;
        let mut study = hub.study(&study_id);
        if let Some(name) = silo_name {
            study.answers.insert(silo(name), Answer::Refused);
            study.refusals.push(Refusal {
                silo: silo(name),
                conditions: vec![("floor".to_owned(), "too few".to_owned())],
                policy_version: "v3".to_owned(),
                policy_digest: None,
            });
        } else {
            study.state = State::Running;
        }
        study.ending = Some(Ending {
            state,
            reason: "decided before".to_owned(),
            silo: silo_name.map(silo),
            milliseconds: 1_700_000_000_000,
        });
        hub.save(&study);
        for _ in 0..2 {
            hub.run().await;
            let last = researcher
                .wait_until(&study_id, |progress| {
                    progress.state() != StudyState::Consenting
                        && progress.state() != StudyState::Running
                })
                .await;
            assert_eq!(last.state(), StudyState::from(state));
            assert_eq!(last.reason, "decided before");
            hub.stop().await;
            assert_eq!(hub.logged(kind).await.len(), 1);
            // As if the process had died before the state was stored.
            hub.save(&study);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offers_time_does_not_run_while_a_study_waits_for_its_turn() {
    let mut hub = Hub::start().await;
    let researcher = hub.found(&SILOS).await.1;
    let first = researcher.submit(STUDY).await.unwrap().study_id;
    let second = researcher.submit(&for_three()).await.unwrap().study_id;
    hub.stop().await;
    let mut waited = hub.study(&second);
    waited.submitted_milliseconds = 1;
    hub.save(&waited);
    hub.run().await;
    researcher.cancel(&first).await.unwrap();
    researcher.wait_for(&second, StudyState::Consenting).await;
}

async fn offered(
    member: &Participant,
) -> (v1::StudyOffer, tokio::sync::mpsc::Sender<v1::SiloFrame>) {
    let (frames, mut incoming) = member.session(|hello| hello).await;
    loop {
        match incoming.next().await.unwrap().unwrap().frame.unwrap() {
            coordinator_frame::Frame::Offer(offer) => return (offer, frames),
            _ => continue,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_roster_ends_the_study_whose_silos_agreed_under_the_one_before() {
    let mut hub = Hub::start().await;
    let (silos, researcher) = hub.found(&SILOS).await;
    let study_id = researcher.submit(STUDY).await.unwrap().study_id;
    let (_, frames) = offered(&silos[0]).await;
    let agrees = consent(&study_id, Decision::Granted(v1::Granted {}));
    frames.send(agrees).await.unwrap();

    let line = hub.invite("5_New", consilium_certs::Role::Silo);
    let newcomer = Participant::join(&hub, "5_New", consilium_certs::Role::Silo, &line)
        .await
        .unwrap();
    hub.propose();
    for member in &silos {
        if member.sign_roster().await.unwrap().published {
            break;
        }
    }
    let last = researcher.wait_for(&study_id, StudyState::Failed).await;
    assert!(last.reason.contains("roster version 2"), "{}", last.reason);

    // The next one asks everybody of the roster in force.
    let again = researcher.submit(&for_three()).await.unwrap().study_id;
    researcher.wait_for(&again, StudyState::Consenting).await;
    researcher.cancel(&again).await.unwrap();
    let everybody = STUDY.replace("ercp-indomethacin-statistics", "statistics-again");
    researcher.submit(&everybody).await.unwrap();
    let (offer, _frames) = offered(&newcomer).await;
    assert_eq!(offer.invited, ["1_UM", "2_IU", "3_UK", "4_Case", "5_New"]);

    // A kill between pinning and storing: the publication is finished by the next start.
    hub.stop().await;
    let mut roster = hub.rosters().pop().unwrap();
    roster.published = false;
    hub.save_roster(&roster);
    hub.run().await;
    assert!(hub.rosters().iter().all(|roster| roster.published));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_researcher_who_leaves_the_roster_watches_no_longer() {
    let hub = Hub::start().await;
    let (silos, researcher) = hub.found(&SILOS).await;
    let study_id = researcher.submit(STUDY).await.unwrap().study_id;
    let mut watch = researcher.watch(&study_id).await;
    watch.message().await.unwrap().unwrap();
    hub.propose_without_researchers();
    for member in &silos {
        if member.sign_roster().await.unwrap().published {
            break;
        }
    }
    let cut = loop {
        match watch.message().await {
            Ok(Some(_)) => continue,
            Ok(None) => panic!("the stream ended without a word"),
            Err(cut) => break cut,
        }
    };
    assert_eq!(cut.code(), tonic::Code::PermissionDenied, "{cut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_was_stored_and_not_logged_is_logged_by_its_repetition() {
    let mut hub = Hub::start().await;
    let line = hub.invite("1_UM", consilium_certs::Role::Silo);
    let member = Participant::join_half(&hub, "1_UM", &line);
    for _ in 0..2 {
        member.join_again(&line).await.unwrap();
    }
    hub.stop().await;
    assert_eq!(hub.logged(EventKind::IdentityJoined).await.len(), 1);
}
