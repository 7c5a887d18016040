// SPDX-License-Identifier: Apache-2.0
//! A silo that believes one entry, and what it does not believe.

use std::sync::LazyLock;

use consilium_audit::{Actor, Event, EventKind, LogProof, ProofFault};
use proptest::prelude::*;

use crate::support::{Consortium, signer, trust};

fn proven() -> (Consortium, LogProof) {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    let time = consortium.time();
    let started = Event::new(EventKind::SiloStarted, time, Actor::silo("3_UK"))
        .with_detail("nonce", "ab".repeat(32));
    let place = consortium.append(&started);
    consortium.round("s", 0);
    let proof = consortium.log.proof(place).unwrap();
    (consortium, proof)
}

fn verify(proof: &LogProof, must_include: Option<&str>) -> Result<(), ProofFault> {
    proof
        .verify(&signer().verifier(), &trust().witnesses, must_include)
        .map(drop)
}

#[test]
fn a_proof_in_another_spelling_is_refused() {
    let text = String::from_utf8(proven().1.to_bytes()).unwrap();
    assert!(text.parse::<LogProof>().is_ok());
    let signed = text.replacen("index ", "index +", 1);
    assert!(matches!(
        signed.parse::<LogProof>(),
        Err(ProofFault::Malformed)
    ));
}

#[test]
fn a_proof_travels_as_a_c2sp_proof_and_yields_the_event() {
    let (_consortium, proof) = proven();
    let bytes = proof.to_bytes();
    assert!(bytes.starts_with(b"c2sp.org/tlog-proof@v1\nextra "));
    let received = LogProof::from_bytes(&bytes).unwrap();
    assert_eq!(received, proof);
    let entry = received
        .verify(&signer().verifier(), &trust().witnesses, Some("3_UK"))
        .unwrap();
    assert_eq!(
        (entry.event.kind, entry.event.actor.name.as_str()),
        (EventKind::SiloStarted, "3_UK")
    );
    assert_eq!(entry.event.detail["nonce"], "ab".repeat(32));
    let json = serde_json::to_string(&proof).unwrap();
    assert_eq!(serde_json::from_str::<LogProof>(&json).unwrap(), proof);
}

#[test]
fn every_entry_is_provable_under_every_later_head() {
    let (consortium, _) = proven();
    let heads: Vec<u64> = (1..=consortium.log.size())
        .filter(|size| consortium.log.checkpoint_note(*size).is_ok())
        .collect();
    assert!(heads.len() > 1);
    for size in heads {
        for index in 0..size {
            verify(&consortium.log.proof_at(index, size).unwrap(), None).unwrap();
        }
    }
}

#[test]
fn a_silo_demands_its_own_cosignature() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    consortium.cosign_by(&[0, 1, 3]);
    let proof = consortium.log.proof(0).unwrap();
    verify(&proof, None).unwrap();
    verify(&proof, Some("2_IU")).unwrap();
    assert!(matches!(
        verify(&proof, Some("3_UK")),
        Err(ProofFault::NotCosignedBy { .. })
    ));
    assert!(
        consortium.log.is_cosigned(0, Some("2_IU")) && !consortium.log.is_cosigned(0, Some("3_UK"))
    );
}

#[test]
fn without_a_quorum_there_is_no_proof_and_a_forged_one_is_refused() {
    let mut consortium = Consortium::new();
    consortium.consent("s");
    let head = consortium.cosign_by(&[0, 1]);
    assert!(consortium.log.proof(0).is_err());
    let proof = consortium.log.proof_at(0, head.size()).unwrap();
    assert!(matches!(verify(&proof, None), Err(ProofFault::Quorum(_))));
}

#[test]
fn a_proof_for_another_entry_place_or_size_is_refused() {
    let (consortium, proof) = proven();
    let other = consortium.log.proof(proof.index + 1).unwrap();
    let forged = [
        LogProof {
            entry: other.entry.clone(),
            ..proof.clone()
        },
        LogProof {
            path: other.path.clone(),
            ..proof.clone()
        },
        LogProof {
            index: proof.index + 1,
            ..proof.clone()
        },
        LogProof {
            index: u64::MAX,
            ..proof.clone()
        },
        LogProof {
            size: proof.size + 1,
            ..proof.clone()
        },
        LogProof {
            path: Vec::new(),
            ..proof.clone()
        },
        LogProof {
            entry: [proof.entry.as_slice(), b" "].concat(),
            ..proof.clone()
        },
    ];
    for forged in forged {
        assert!(
            matches!(verify(&forged, None), Err(ProofFault::NotIncluded { .. })),
            "{forged}"
        );
    }
}

proptest! {
    #[test]
    fn a_proof_with_any_byte_changed_proves_nothing_else(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        static PROOF: LazyLock<LogProof> = LazyLock::new(|| proven().1);
        let proof = &*PROOF;
        let mut bytes = proof.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(changed) = LogProof::from_bytes(&bytes) && verify(&changed, Some("3_UK")).is_ok() {
            // What may change without harm: a line of another key that nobody knows, below the quorum's.
            prop_assert_eq!(&changed.entry, &proof.entry);
            prop_assert_eq!(changed.index, proof.index);
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_proof(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(LogProof::from_bytes(&bytes).is_err());
    }
}
