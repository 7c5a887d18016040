// SPDX-License-Identifier: Apache-2.0
//! Messages of a round before any machine sees them, and releases that are checked alone.

use super::Recording;
use crate::federation::NoLog;
use anyhow::{Context, Result};
use consilium_crypto::label::Label;
use consilium_protocol::{Delivery, Envelope, Sender, SumChunks, peek_plan, verify_release};

/// What is read of a delivery is written so that it is read alike; looking into it takes no harm.
pub(super) fn delivery(input: &[u8]) {
    let Ok(delivery) = postcard::from_bytes::<Delivery>(input) else {
        return;
    };
    let written = postcard::to_allocvec(&delivery).unwrap_or_default();
    assert!(
        written.len() <= input.len(),
        "what is read is no longer than what was sent"
    );
    assert_eq!(
        postcard::from_bytes::<Delivery>(&written).ok().as_ref(),
        Some(&delivery)
    );
    look_into(&delivery);
}

pub(super) fn delivery_seeds() -> Result<Vec<Vec<u8>>> {
    let recording = Recording::of_a_round()?;
    let mut seeds = Vec::new();
    for sent in &recording.to_silos {
        if sent.at == 0 {
            seeds.push(postcard::to_allocvec(&sent.delivery)?);
        }
    }
    for sent in &recording.to_coordinator {
        if let Some((from, delivery)) = &sent.said
            && Some(from) == recording.silos.first().map(|(name, _)| name)
        {
            seeds.push(postcard::to_allocvec(delivery)?);
        }
    }
    Ok(seeds)
}

/// A release with any body that the coordinator may sign: refused, or the one true sum.
pub(super) fn release(input: &[u8]) {
    let Ok(recording) = Recording::of_a_round() else {
        return;
    };
    let (Some(membership), Some(key)) = (&recording.membership, &recording.coordinator_key) else {
        return;
    };
    let delivery = Delivery::bare(Envelope {
        sender: Sender::Coordinator,
        body: input.to_vec(),
        signature: key.sign(Label::CoordinatorMessage, &[input]),
    });
    look_into(&delivery);
    let Some(plan) = &recording.plan else {
        return;
    };
    for words in [&[10; 4][..], &[11; 4], &[]] {
        let Ok(sum) = SumChunks::pack(plan, words) else {
            return;
        };
        if let Ok(verified) = verify_release(membership, &NoLog, &delivery, sum) {
            assert_eq!(verified.words().ok().as_deref(), Some(&[10; 4][..]));
        }
    }
}

pub(super) fn release_seeds() -> Result<Vec<Vec<u8>>> {
    let recording = Recording::of_a_round()?;
    let bodies = recording.to_silos.iter().rev();
    let release = bodies
        .map(|sent| &sent.delivery.envelope)
        .find(|envelope| envelope.peek_name() == Some("Release"))
        .context("a release")?;
    Ok(vec![release.body.clone()])
}

/// What drivers do with a message before its signature is verified.
fn look_into(delivery: &Delivery) {
    let envelope = &delivery.envelope;
    let _ = (
        envelope.peek_name(),
        envelope.peek_attempt(),
        envelope.peek_silo_message(),
    );
    let _ = envelope.digest();
    if let Some(plan) = peek_plan(delivery) {
        let _ = (plan.packed_length(), plan.chunk_count(), plan.digest());
        let _ = (
            plan.fields_in_chunk(u64::MAX),
            plan.fewest(),
            plan.word_bits(),
        );
    }
}
