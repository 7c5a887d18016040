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
    let _ = v1::SiloFrame::decode(input);
    let _ = v1::CoordinatorFrame::decode(input);
    let _ = v1::JoinRequest::decode(input);
    let _ = v1::SubmitRequest::decode(input);
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

pub(super) fn frames_seeds() -> Result<Vec<Vec<u8>>> {
    let recording = Recording::of_a_round()?;
    let study = StudyId::of(b"study", b"signature").to_string();
    let deliveries = recording.to_silos.iter().map(|sent| &sent.delivery);
    let mut seeds: Vec<Vec<u8>> = deliveries
        .take(2)
        .map(|delivery| v1::ProtocolMessage::new(&study, delivery.clone()).encode_to_vec())
        .collect();
    seeds.push(vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    Ok(seeds)
}
