// SPDX-License-Identifier: Apache-2.0
//! What leaves for a silo: one frame after another, sums from the disk one chunk at a time, deals from the disk.

use super::departure::{Departure, Frames, LARGE};
use crate::federation::Federation;
use crate::sessions::{Outgoing, PackedSum, PartAsked, ProtocolMessage};
use crate::spool::{BlobReader, SpoolFault};
use consilium_protocol::Beside;
use consilium_wire::v1;
use consilium_wire::v1::coordinator_frame::Frame as Sent;
use consilium_wire::v1::replay_part::Answer;
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::Status;

/// Sends what waits for a silo, one frame after another.
pub(super) async fn pump(
    federation: Arc<Federation>,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    frames: Frames,
) {
    while let Some(outgoing) = queue.recv().await {
        let sent = match outgoing {
            Outgoing::Frame(frame) => frames.send(Departure::of(*frame)).await.is_ok(),
            Outgoing::Message(message) => send_message(&federation, *message, &frames).await,
            Outgoing::Sum(sum) => send_sum(&federation, sum, &frames).await,
            Outgoing::Part(asked) => send_part(&federation, *asked, &frames).await,
        };
        if !sent {
            return;
        }
    }
    // A newer session or roster has taken over.
    frames
        .send(Departure::last(Status::aborted(
            "the session was closed; open another",
        )))
        .await
        .ok();
}

/// Says whether the session goes on.
async fn send_message(federation: &Federation, waiting: ProtocolMessage, frames: &Frames) -> bool {
    let ProtocolMessage {
        study_id,
        id,
        message,
    } = waiting;
    let is_large = match &message.beside {
        Beside::Deals { .. } => true,
        Beside::Proofs(_) => message.envelope.body.len() > LARGE,
    };
    let place = match is_large {
        true => federation.departures.place().await,
        false => None,
    };
    let deals = federation.spool.deals_of(id);
    let read = tokio::task::spawn_blocking(move || message.delivery(&deals)).await;
    let delivery = match read {
        Ok(Ok(delivery)) => delivery,
        Ok(Err(fault)) => {
            tracing::error!(%fault, "what silos sealed for another cannot be sent");
            return true;
        }
        Err(_) => return false,
    };
    let message = v1::ProtocolMessage::new(&study_id, delivery);
    let frame = v1::CoordinatorFrame {
        frame: Some(Sent::Protocol(message)),
    };
    frames.send(Departure::with(frame, place)).await.is_ok()
}

/// Says whether the session goes on.
async fn send_sum(federation: &Federation, sum: PackedSum, frames: &Frames) -> bool {
    let (spool, blob) = (Arc::clone(&federation.spool), sum.blob);
    let opened = tokio::task::spawn_blocking(move || spool.reader(&blob)).await;
    let mut reader = match opened {
        Ok(Ok(reader)) => reader,
        Ok(Err(fault)) => return cannot_be_sent(&fault),
        Err(_) => return false,
    };
    let chunk_bytes = sum.chunk_bytes.max(1);
    let count = reader
        .left()
        .div_ceil(u64::try_from(chunk_bytes).unwrap_or(u64::MAX));
    for index in 0..count {
        let (data, rest) = match next(reader, chunk_bytes).await {
            Ok(Ok((Some(data), rest))) => (data, rest),
            Ok(Ok((None, _))) => return true,
            // What has been sent of it is no sum without its last chunk.
            Ok(Err(fault)) => return cannot_be_sent(&fault),
            Err(_) => return false,
        };
        reader = rest;
        let chunk = v1::ReleaseChunk::new(sum.id, index, count, data);
        let frame = v1::CoordinatorFrame {
            frame: Some(Sent::ReleaseChunk(chunk)),
        };
        if frames.send(Departure::of(frame)).await.is_err() {
            return false;
        }
    }
    true
}

/// Reads and sends one part of what it takes to compute a sum again; says whether the session goes on.
async fn send_part(federation: &Arc<Federation>, asked: PartAsked, frames: &Frames) -> bool {
    let PartAsked {
        from,
        request,
        turn,
    } = asked;
    let desk = Arc::clone(federation);
    let answered = tokio::task::spawn_blocking(move || {
        let answer = desk.replays.answer(&desk.spool, &from, &request);
        let answer = match answer {
            Ok(data) => Answer::Data(data),
            Err(refusal) => {
                tracing::warn!(silo = %from, refusal = %crate::explain(&refusal), "a part of a sum was not handed out");
                Answer::Refused(refusal.to_string())
            }
        };
        request.answered(answer)
    });
    let Ok(part) = answered.await else {
        return false;
    };
    drop(turn);
    let frame = Some(Sent::ReplayPart(part));
    frames
        .send(Departure::of(v1::CoordinatorFrame { frame }))
        .await
        .is_ok()
}

type Piece = (Option<Vec<u8>>, BlobReader);

/// Reads on without holding up the other sessions.
async fn next(
    mut reader: BlobReader,
    bytes: usize,
) -> Result<Result<Piece, SpoolFault>, tokio::task::JoinError> {
    tokio::task::spawn_blocking(move || Ok((reader.next(bytes)?, reader))).await
}

fn cannot_be_sent(fault: &SpoolFault) -> bool {
    tracing::error!(fault = %crate::explain(fault), "a released sum cannot be sent");
    true
}
