// SPDX-License-Identifier: Apache-2.0
//! What lies among the log's objects for whoever has a copy of the log: evidence, and acceptances.

use super::Recording;
use super::audit::{WITNESS, key, witnesses};
use anyhow::{Context, Result};
use consilium_audit::entry::AttemptReference;
use consilium_audit::{Acceptances, AcceptedRelease};
use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_protocol::{AttemptId, Charge, Envelope, Evidence, Sender, SiloMessage, Standing};
use std::collections::BTreeMap;

/// Evidence reads back as it was written, and of the words of a round in which all were honest none proves anything, by a
/// log that holds its sum and by one that does not.
pub(super) fn evidence(input: &[u8]) {
    let Ok(evidence) = serde_json::from_slice::<Evidence>(input) else {
        return;
    };
    let written = serde_json::to_vec(&evidence).unwrap_or_default();
    let again = serde_json::from_slice::<Evidence>(&written);
    assert_eq!(again.ok().as_ref(), Some(&evidence));
    let Ok(recording) = Recording::of_a_round() else {
        return;
    };
    let Some(membership) = recording.membership.as_ref() else {
        return;
    };
    for logged in [None, tagged(recording)] {
        if let Ok(judgement) = evidence.judge(membership, logged.as_ref()) {
            assert_ne!(judgement.standing, Standing::Proven);
        }
    }
}

/// H(S), as the tags name it.
fn tagged(recording: &Recording) -> Option<Digest> {
    let said = recording.to_coordinator.iter();
    said.filter_map(|sent| sent.said.as_ref())
        .map(|(_, delivery)| &delivery.envelope)
        .filter(|words| words.peek_name() == Some("Tag"))
        .find_map(|words| {
            type Body = (AttemptId, Digest, SiloMessage);
            let (_, _, message): Body = postcard::from_bytes(&words.body).ok()?;
            match message {
                SiloMessage::Tag { sum, .. } => Some(sum),
                _ => None,
            }
        })
}

pub(super) fn evidence_seeds() -> Result<Vec<Vec<u8>>> {
    let recording = Recording::of_a_round()?;
    let own = recording.to_silos.iter().filter(|sent| sent.at == 0);
    let trail: Vec<Envelope> = own.map(|sent| sent.delivery.envelope.clone()).collect();
    let (accused, _) = recording.silos.first().context("a silo")?;
    let said = recording.to_coordinator.iter();
    let said: Vec<&Envelope> = said
        .filter_map(|sent| sent.said.as_ref())
        .filter(|(from, _)| from == accused)
        .map(|(_, delivery)| &delivery.envelope)
        .collect();
    let mut seeds = Vec::new();
    for words in &said {
        let words = Envelope::clone(words);
        let charge = match words.peek_name() {
            Some("AdvertiseKeys") => Charge::WeakKey {
                advertisement: words,
                equal: None,
            },
            Some("MaskedInput") => Charge::NotPacked {
                signed: words,
                digests: vec![sha256(b"a chunk")],
                index: 0,
                chunk: vec![255; 7],
            },
            Some("Vote") => Charge::OtherVote { vote: words },
            Some("Reveal") => Charge::BadReveal { reveal: words },
            Some("Nonce") => Charge::WrongNonce { nonce: words },
            Some("Tag") => Charge::WrongTag { tag: words },
            Some(_) | None => Charge::SecondAnswer {
                first: words.clone(),
                second: words,
            },
        };
        let evidence = Evidence::new(Sender::Silo(accused.clone()), charge);
        seeds.push(serde_json::to_vec(&evidence.within(trail.clone()))?);
    }
    Ok(seeds)
}

/// Acceptances read back as they were written; only a witness counts, and only for the sum that it signed.
pub(super) fn acceptances(input: &[u8]) {
    let Ok(acceptances) = serde_json::from_slice::<Acceptances>(input) else {
        return;
    };
    let written = serde_json::to_vec(&acceptances).unwrap_or_default();
    let again = serde_json::from_slice::<Acceptances>(&written);
    assert_eq!(again.ok().as_ref(), Some(&acceptances));
    let Ok(witnesses) = witnesses() else { return };
    let signers = acceptances.signers(&release(&sha256(b"a sum")), &witnesses);
    assert!(signers.iter().all(|silo| silo == WITNESS));
    let others = acceptances.signers(&release(&sha256(b"another sum")), &witnesses);
    assert!(others.is_empty());
}

pub(super) fn acceptances_seeds() -> Result<Vec<Vec<u8>>> {
    let sum = sha256(b"a sum");
    let signed = |seed| release(&sum).sign(&key(seed));
    let true_one = BTreeMap::from([(WITNESS.to_owned(), signed(2))]);
    let others = BTreeMap::from([
        (WITNESS.to_owned(), signed(3)),
        ("south".to_owned(), signed(2)),
    ]);
    [true_one, others, BTreeMap::new()]
        .into_iter()
        .map(|signatures| Ok(serde_json::to_vec(&Acceptances(signatures))?))
        .collect()
}

fn release(sum: &Digest) -> AcceptedRelease<'_> {
    AcceptedRelease {
        origin: "coordinator.example/log",
        attempt: AttemptReference {
            epoch: 1,
            round: 2,
            attempt: 1,
        },
        sum,
    }
}
