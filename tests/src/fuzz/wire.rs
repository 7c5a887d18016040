// SPDX-License-Identifier: Apache-2.0
//! Frames of the gRPC contract, both ways, and what becomes of them further inward.

use super::Recording;
use anyhow::Result;
use consilium_wire::v1;
use consilium_wire::{StudyId, limits};
use prost::Message;

/// A message of the protocol that is accepted is written as the same delivery.
pub(super) fn frames(input: &[u8]) {
    if input.len() > limits::MESSAGE_BYTES {
        return;
    }
    reads_again::<v1::SiloFrame>(input);
    reads_again::<v1::CoordinatorFrame>(input);
    enrolment(input);
    studies(input);
    if let Ok(hello) = v1::Hello::decode(input) {
        let _ = hello.statement();
    }
    if let Ok(message) = v1::ProtocolMessage::decode(input) {
        let study = message.study_id.clone();
        if let Ok(id) = StudyId::parse(&study) {
            assert_eq!(id.as_str(), study);
        }
        if let Ok(delivery) = message.into_delivery() {
            let written = v1::ProtocolMessage::new(&study, delivery.clone());
            assert_eq!(written.into_delivery().ok(), Some(delivery));
        }
    }
}

fn enrolment(input: &[u8]) {
    reads_again::<v1::JoinRequest>(input);
    reads_again::<v1::JoinResponse>(input);
    reads_again::<v1::RosterResponse>(input);
    reads_again::<v1::SignRosterRequest>(input);
    reads_again::<v1::SignRosterResponse>(input);
}

fn studies(input: &[u8]) {
    reads_again::<v1::SubmitRequest>(input);
    reads_again::<v1::SubmitResponse>(input);
    reads_again::<v1::ListResponse>(input);
    reads_again::<v1::WatchRequest>(input);
    reads_again::<v1::StudyProgress>(input);
    reads_again::<v1::CancelRequest>(input);
    reads_again::<v1::ResultRequest>(input);
    reads_again::<v1::ResultResponse>(input);
}

/// What is read is written so that it is read alike; fields that nobody knows are left out.
fn reads_again<M: Message + Default>(input: &[u8]) {
    if let Ok(message) = M::decode(input) {
        let written = message.encode_to_vec();
        let again = M::decode(written.as_slice()).map(|again| again.encode_to_vec());
        assert_eq!(again.ok(), Some(written));
    }
}

pub(super) fn frames_seeds() -> Result<Vec<Vec<u8>>> {
    let recording = Recording::of_a_round()?;
    let study = StudyId::of(b"study", b"signature").to_string();
    let deliveries = recording.to_silos.iter().map(|sent| &sent.delivery);
    let mut seeds: Vec<Vec<u8>> = deliveries
        .take(2)
        .map(|delivery| v1::ProtocolMessage::new(&study, delivery.clone()).encode_to_vec())
        .collect();
    let join = v1::JoinRequest {
        name: "north".to_owned(),
        ..v1::JoinRequest::default()
    };
    seeds.push(join.encode_to_vec());
    seeds.push(vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    Ok(seeds)
}
