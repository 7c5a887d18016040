// SPDX-License-Identifier: Apache-2.0
//! The running service over real mutual TLS on loopback: joining, rosters, the queue, and who is turned away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "service/endings.rs"]
mod endings;
#[path = "service/hub.rs"]
mod hub;

use consilium_certs::{ChannelBinding, Role};
use consilium_coordinator::{RunOptions, ServeFault, run};
use consilium_crypto::label::Label;
use consilium_protocol::{AttemptId, SiloName};
use consilium_wire::client;
use consilium_wire::v1::replay_part::Answer;
use consilium_wire::v1::{self, StudyState, coordinator_frame, silo_frame};
use hub::{Hub, Participant, STUDY};
use tokio_stream::StreamExt;

const SILOS: [&str; 4] = ["1_UM", "2_IU", "3_UK", "4_Case"];

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_good_once_and_for_one_key() {
    let hub = Hub::start().await;
    let line = hub.invite("1_UM", Role::Silo);
    let member = Participant::join(&hub, "1_UM", Role::Silo, &line)
        .await
        .unwrap();
    // The answer may have been lost: the same keys may ask again, others may not.
    member.join_again(&line).await.unwrap();
    let thief = Participant::new("1_UM", Role::Silo);
    let refused = thief.join_again(&line).await.unwrap_err();
    assert!(refused.message().contains("already used"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_before_every_founder_has_signed() {
    let hub = Hub::start().await;
    let (silos, researcher) = hub.gather(&SILOS).await;
    let early = researcher.submit(STUDY).await.unwrap_err();
    assert_eq!(early.code(), tonic::Code::FailedPrecondition, "{early}");
    hub.propose();
    for (count, silo) in (1..).zip(&silos) {
        let state = silo.sign_roster().await.unwrap();
        assert_eq!((state.signatures, state.needed), (count, 4));
        assert_eq!(state.published, count == 4);
    }
    researcher.submit(STUDY).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn studies_wait_for_their_turn_and_can_be_withdrawn() {
    let hub = Hub::start().await;
    let researcher = hub.found(&SILOS).await.1;
    let first = researcher.submit(STUDY).await.unwrap();
    let second = researcher.submit(&again("second")).await.unwrap();
    let third = researcher.submit(&again("third")).await.unwrap();
    assert_eq!(
        (
            first.studies_before,
            second.studies_before,
            third.studies_before
        ),
        (0, 1, 2)
    );
    researcher
        .wait_for(&first.study_id, StudyState::Consenting)
        .await;

    let listed = researcher.list().await;
    let ids: Vec<&str> = listed.iter().map(|study| study.study_id.as_str()).collect();
    assert_eq!(ids, [&third.study_id, &second.study_id, &first.study_id]);
    assert_eq!(listed[0].state(), StudyState::Queued);

    researcher.cancel(&second.study_id).await.unwrap();
    researcher
        .wait_for(&second.study_id, StudyState::Cancelled)
        .await;
    researcher.cancel(&first.study_id[..12]).await.unwrap();
    researcher
        .wait_for(&first.study_id, StudyState::Cancelled)
        .await;
    researcher
        .wait_for(&third.study_id, StudyState::Consenting)
        .await;
    let again = researcher.cancel(&first.study_id).await.unwrap_err();
    assert_eq!(again.code(), tonic::Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_signed_file_is_one_study_until_it_says_otherwise() {
    let hub = Hub::start().await;
    let researcher = hub.found(&SILOS).await.1;
    let first = researcher.submit(STUDY).await.unwrap().study_id;
    let repeated = researcher.submit(STUDY).await.unwrap_err();
    assert_eq!(repeated.code(), tonic::Code::AlreadyExists);
    for named in [&first[..12], "`submission = ", "`name`"] {
        assert!(repeated.message().contains(named), "{repeated}");
    }
    researcher.cancel(&first).await.unwrap();
    researcher.wait_for(&first, StudyState::Cancelled).await;
    researcher.submit(STUDY).await.unwrap_err();
    let second = researcher.submit(&again("once more")).await.unwrap();
    assert_ne!(second.study_id, first);
    assert_eq!(researcher.list().await.len(), 2);
}

/// The study, asked again.
fn again(submission: &str) -> String {
    STUDY.replacen(
        "[study]",
        &format!("[study]\nsubmission = \"{submission}\""),
        1,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_refusal_ends_a_study_and_its_conditions_reach_the_researcher() {
    let hub = Hub::start().await;
    let (silos, researcher) = hub.found(&SILOS).await;
    let study_id = researcher.submit(STUDY).await.unwrap().study_id;
    let (frames, mut incoming) = silos[2].session(|hello| hello).await;
    let offer = loop {
        match incoming.next().await.unwrap().unwrap().frame.unwrap() {
            coordinator_frame::Frame::Offer(offer) => break offer,
            _ => continue,
        }
    };
    assert_eq!(offer.study_id, study_id);
    assert_eq!(offer.study, STUDY.as_bytes());
    assert_eq!(offer.invited, SILOS);
    let condition = v1::Condition {
        rule: "grant.purpose".to_owned(),
        text: "not this purpose".to_owned(),
    };
    let refused = v1::Refused {
        conditions: vec![condition.clone()],
        policy_version: "7".to_owned(),
        policy_digest: vec![1; 32],
    };
    let decision = Some(v1::consent::Decision::Refused(refused));
    let consent = v1::Consent {
        study_id: study_id.clone(),
        decision,
    };
    frames
        .send(v1::SiloFrame {
            frame: Some(silo_frame::Frame::Consent(consent)),
        })
        .await
        .unwrap();
    let last = researcher.wait_for(&study_id, StudyState::Refused).await;
    assert_eq!(last.refusals.len(), 1);
    assert_eq!(last.refusals[0].silo, "3_UK");
    assert_eq!(last.refusals[0].conditions, [condition]);
    let without = researcher.result(&study_id).await.unwrap_err();
    assert!(without.message().contains("refused"), "{without}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_refused_when_somebody_opens_the_tls_in_between() {
    let hub = Hub::start().await;
    let (silos, _) = hub.found(&SILOS).await;
    let (_frames, mut incoming) = silos[0]
        .session(|mut hello| {
            // What a silo behind a proxy would sign: the exporter value of another connection.
            let key = silos[0].identity_key();
            let statement = hello.statement();
            let parts: Vec<&[u8]> = statement.iter().map(Vec::as_slice).collect();
            let signature = ChannelBinding::from_bytes([9; 32]).sign(key, &parts);
            hello.channel_binding_signature = signature.to_bytes().to_vec();
            hello
        })
        .await;
    let refused = incoming.next().await.unwrap().unwrap_err();
    assert!(refused.message().contains("channel binding"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_under_another_roster_is_refused_by_name() {
    let hub = Hub::start().await;
    let (silos, _) = hub.found(&SILOS).await;
    let (_frames, mut incoming) = silos[0].session_under(vec![5; 32]).await;
    let welcome = incoming.next().await.unwrap().unwrap();
    assert!(matches!(
        welcome.frame,
        Some(coordinator_frame::Frame::Welcome(_))
    ));
    let refused = incoming.next().await.unwrap().unwrap_err();
    assert!(refused.message().contains("another roster"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_forgers_are_turned_away() {
    let hub = Hub::start().await;
    let (silos, researcher) = hub.found(&SILOS).await;
    // Joined after the roster was signed: has a certificate and is no member.
    let line = hub.invite("late@uni.example", Role::Researcher);
    let late = Participant::join(&hub, "late@uni.example", Role::Researcher, &line)
        .await
        .unwrap();
    assert_eq!(
        late.submit(STUDY).await.unwrap_err().code(),
        tonic::Code::PermissionDenied
    );
    // A silo is no researcher.
    assert_eq!(
        silos[0].submit(STUDY).await.unwrap_err().code(),
        tonic::Code::PermissionDenied
    );
    // A study in somebody else's name.
    let foreign = STUDY.replace("a.ruiz@uni.example", "somebody@else.example");
    let refused = researcher.submit(&foreign).await.unwrap_err();
    assert!(
        refused.message().contains("somebody@else.example"),
        "{refused}"
    );
    // A signature over other bytes.
    let connection = researcher.connect().await;
    let signature = researcher
        .identity_key()
        .sign(Label::StudySignature, &[b"other bytes"]);
    let request = v1::SubmitRequest {
        study: STUDY.into(),
        signature: signature.to_bytes().to_vec(),
    };
    let forged = client::studies(&connection)
        .submit(request)
        .await
        .unwrap_err();
    assert_eq!(forged.code(), tonic::Code::PermissionDenied);
    // A study that names an unknown key.
    let misspelt = STUDY.replace("ethics", "etics");
    let refused = researcher.submit(&misspelt).await.unwrap_err();
    assert!(refused.message().contains("ethics"), "{refused}");
    assert!(researcher.list().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_roster_and_queue() {
    let mut hub = Hub::start().await;
    let researcher = hub.found(&SILOS).await.1;
    let study_id = researcher.submit(STUDY).await.unwrap().study_id;
    researcher.wait_for(&study_id, StudyState::Consenting).await;
    hub.restart().await;
    researcher.wait_for(&study_id, StudyState::Consenting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_and_a_port_belong_to_one_process() {
    let hub = Hub::start().await;
    let options = RunOptions {
        folder: hub.folder().to_owned(),
        crash_point: None,
    };
    let twice = run(options, std::future::pending()).await.unwrap_err();
    assert!(matches!(twice, ServeFault::Lock(_)), "{twice}");

    let other = Hub::prepare(&hub.address());
    let options = RunOptions {
        folder: other.path().to_owned(),
        crash_point: None,
    };
    let taken = run(options, std::future::pending()).await.unwrap_err();
    assert!(matches!(taken, ServeFault::Listen { .. }), "{taken}");
    assert!(taken.to_string().contains("coordinator.toml"), "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silo_that_asks_for_parts_of_a_sum_when_none_is_computed_again_gets_none() {
    let hub = Hub::start().await;
    let (silos, _) = hub.found(&SILOS).await;
    let (frames, mut incoming) = silos[2].session(|hello| hello).await;
    let id = AttemptId {
        epoch: 1,
        round: 1,
        attempt: 1,
    };
    let other = SiloName::parse("1_UM").unwrap();
    for (silo, index) in [(Some(&other), Some(0)), (Some(&other), None), (None, None)] {
        let request = v1::ReplayRequest::new(id, silo, index);
        let frame = Some(silo_frame::Frame::ReplayRequest(request.clone()));
        frames.send(v1::SiloFrame { frame }).await.unwrap();
        let part = loop {
            match incoming.next().await.unwrap().unwrap().frame.unwrap() {
                coordinator_frame::Frame::ReplayPart(part) => break part,
                _ => continue,
            }
        };
        assert!(request.is_answered_by(&part));
        let Some(Answer::Refused(reason)) = part.answer else {
            panic!("{part:?}")
        };
        assert!(reason.contains("no sum of this attempt"), "{reason}");
    }
}
