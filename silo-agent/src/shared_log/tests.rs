// SPDX-License-Identifier: Apache-2.0
use std::path::Path;
use std::time::{Duration, SystemTime};

use consilium_audit::log::Log;
use consilium_audit::note::NoteSigner;
use consilium_audit::time::Timestamp;

use super::*;
use crate::test_federation::{Federation, NAMES};

const ID: AttemptId = AttemptId {
    epoch: 1,
    round: 3,
    attempt: 1,
};

/// A shared log of three events and of the same three in roles that cannot do that, cosigned by the silos of these positions.
struct Logged {
    log: Log,
    federation: Federation,
}

impl Logged {
    fn new(folder: &Path, nonce: Digest, sum: Digest, cosigners: &[usize]) -> Logged {
        let federation = Federation::new();
        let verifier = SharedLog::new(&federation.roster, NAMES[0]).unwrap();
        let signer = NoteSigner::new(
            &federation.roster.coordinator().log_origin,
            federation.log_key(),
        )
        .unwrap();
        let mut log = Log::create(folder, signer, verifier.witnesses.clone()).unwrap();
        let time = Timestamp::from_system_time(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000),
        )
        .unwrap();
        let coordinator = || Actor::coordinator("federation");
        let round = |kind| {
            Event::new(kind, time, coordinator()).with_attempt(ID.epoch, ID.round, ID.attempt)
        };
        let told = |kind| Event {
            actor: Actor::silo(NAMES[1]),
            ..round(kind).with_detail("sum", sum.to_string())
        };
        let events = [
            Event::new(EventKind::SiloStarted, time, Actor::silo(NAMES[0]))
                .with_detail("nonce", nonce.to_string()),
            round(EventKind::RoundSumCommitted).with_detail("sum", sum.to_string()),
            round(EventKind::RoundReleased).with_detail("sum", sum.to_string()),
            told(EventKind::RoundSumCommitted),
            told(EventKind::RoundReleased),
            Event::new(EventKind::SiloStarted, time, Actor::operator(NAMES[0]))
                .with_detail("nonce", nonce.to_string()),
        ];
        log.append_batch(&events).unwrap();
        let head = log.checkpoint().unwrap();
        let lines: Vec<String> = cosigners
            .iter()
            .map(|position| {
                let own = SharedLog::new(&federation.roster, NAMES[*position]).unwrap();
                let mut witness = own
                    .witness(federation.witness_key(*position), WitnessHead::empty())
                    .unwrap();
                witness
                    .cosign(&head.to_string(), 0, &[], 1_790_000_001)
                    .unwrap()
                    .to_string()
            })
            .collect();
        log.add_cosignatures(head.size(), &lines).unwrap();
        Logged { log, federation }
    }

    fn proof(&self, place: u64) -> Vec<u8> {
        self.log
            .proof_at(place, self.log.head().size())
            .unwrap()
            .to_bytes()
    }

    fn verifier(&self, position: usize) -> SharedLog {
        SharedLog::new(&self.federation.roster, NAMES[position]).unwrap()
    }
}

#[test]
fn what_a_quorum_cosigned_is_believed_and_only_about_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let (nonce, sum, other) = (
        Digest::from_bytes([1; 32]),
        Digest::from_bytes([2; 32]),
        Digest::from_bytes([3; 32]),
    );
    let logged = Logged::new(folder.path(), nonce, sum, &[0, 1, 2]);
    let verifier = logged.verifier(0);
    assert!(verifier.start_is_logged(&nonce, &logged.proof(0)));
    assert!(!verifier.start_is_logged(&other, &logged.proof(0)));
    assert!(!verifier.start_is_logged(&nonce, &logged.proof(1)));
    assert!(!verifier.start_is_logged(&nonce, b""));
    assert!(!logged.verifier(1).start_is_logged(&nonce, &logged.proof(0)));
    assert!(verifier.sum_is_logged(ID, &sum, &logged.proof(1)));
    assert!(!verifier.sum_is_logged(ID, &other, &logged.proof(1)));
    assert!(!verifier.sum_is_logged(AttemptId { round: 4, ..ID }, &sum, &logged.proof(1)));
    assert!(!verifier.sum_is_logged(ID, &sum, &logged.proof(2)));
}

#[test]
fn the_last_release_needs_this_silos_own_cosignature() {
    let folder = tempfile::tempdir().unwrap();
    let (nonce, sum) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
    let logged = Logged::new(folder.path(), nonce, sum, &[0, 1, 2]);
    let mut inside = logged.verifier(0);
    assert!(inside.release_is_logged(None));
    inside.expect_release(Some((ID, sum)));
    assert!(inside.release_is_logged(Some(&logged.proof(2))));
    assert!(!inside.release_is_logged(None));
    assert!(!inside.release_is_logged(Some(&logged.proof(1))));
    let mut outside = logged.verifier(3);
    outside.expect_release(Some((ID, sum)));
    assert!(!outside.release_is_logged(Some(&logged.proof(2))));
}

#[test]
fn what_is_told_in_another_role_is_not_believed_however_many_cosigned_it() {
    let folder = tempfile::tempdir().unwrap();
    let (nonce, sum) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
    let logged = Logged::new(folder.path(), nonce, sum, &[0, 1, 2]);
    let mut verifier = logged.verifier(0);
    verifier.expect_release(Some((ID, sum)));
    assert!(!verifier.sum_is_logged(ID, &sum, &logged.proof(3)));
    assert!(!verifier.release_is_logged(Some(&logged.proof(4))));
    assert!(!verifier.start_is_logged(&nonce, &logged.proof(5)));
}

#[test]
fn fewer_than_a_quorum_prove_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (nonce, sum) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
    let logged = Logged::new(folder.path(), nonce, sum, &[0, 1]);
    assert!(!logged.verifier(0).start_is_logged(&nonce, &logged.proof(0)));
}
