// SPDX-License-Identifier: Apache-2.0
//! A coordinator's log with four witnesses, and the events of a study.

use std::{fs, path::Path};

use consilium_audit::{
    ACCEPTANCES, Acceptances, AcceptedRelease, Actor, AggregationStatement, CheckpointNote, Event,
    EventKind, Log, NoteSigner, StudyReference, Timestamp, TrustPolicy, Witness, WitnessHead,
    WitnessSet, entry::AttemptReference,
};
use consilium_crypto::{digest::Digest, secret::Secret, signing::SigningKey, transcript::sha256};
use tempfile::TempDir;

pub(crate) const ORIGIN: &str = "coordinator.example/log";
pub(crate) const SILOS: [&str; 4] = ["1_UM", "2_IU", "3_UK", "4_Case"];
pub(crate) const QUORUM: usize = 3;

pub(crate) struct Consortium {
    pub(crate) folder: TempDir,
    pub(crate) log: Log,
    pub(crate) witnesses: Vec<Witness>,
    moment: i64,
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([seed; 32]))
}

pub(crate) fn signer() -> NoteSigner {
    NoteSigner::new(ORIGIN, key(1)).unwrap()
}

pub(crate) fn witness(silo: usize) -> Witness {
    let key = key(10 + u8::try_from(silo).unwrap());
    Witness::new(signer().verifier(), SILOS[silo], key, WitnessHead::empty()).unwrap()
}

pub(crate) fn witness_set() -> WitnessSet {
    let keys = (0..SILOS.len()).map(|silo| {
        (
            SILOS[silo].to_owned(),
            key(10 + u8::try_from(silo).unwrap()).verifying_key(),
        )
    });
    WitnessSet::new(keys, QUORUM).unwrap()
}

pub(crate) fn trust() -> TrustPolicy {
    TrustPolicy::new(signer().verifier(), witness_set())
}

impl Consortium {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(folder.path(), signer(), witness_set()).unwrap();
        Self {
            folder,
            log,
            witnesses: (0..SILOS.len()).map(witness).collect(),
            moment: 1_795_493_220_000_000,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The log closed and opened again, as after a restart.
    pub(crate) fn reopened(self) -> Self {
        let Self {
            folder,
            log,
            witnesses,
            moment,
        } = self;
        drop(log);
        let log = Log::open(folder.path(), signer()).unwrap();
        Self {
            folder,
            log,
            witnesses,
            moment,
        }
    }

    pub(crate) fn time(&mut self) -> Timestamp {
        self.moment += 1_000_001;
        Timestamp::from_unix_microseconds(self.moment).unwrap()
    }

    pub(crate) fn event(&mut self, kind: EventKind) -> Event {
        Event::new(kind, self.time(), Actor::coordinator("coordinator.example"))
    }

    pub(crate) fn append(&mut self, event: &Event) -> u64 {
        self.log.append(event).unwrap()
    }

    pub(crate) fn consent(&mut self, study: &str) {
        let submitted = self
            .event(EventKind::StudySubmitted)
            .with_study(StudyReference::new(study));
        self.append(&submitted);
        for silo in SILOS {
            let time = self.time();
            let event = Event::new(EventKind::StudyConsented, time, Actor::silo(silo))
                .with_study(StudyReference::new(study));
            self.append(&event);
        }
    }

    /// An event of a round of a study.
    pub(crate) fn step(&mut self, kind: EventKind, study: &str, round: u64, attempt: u32) -> Event {
        let aggregation = AggregationStatement {
            invited: SILOS.map(str::to_owned).to_vec(),
            included: match kind {
                EventKind::RoundFrozen
                | EventKind::RoundProposed
                | EventKind::RoundCertified
                | EventKind::RoundReleased => SILOS.map(str::to_owned).to_vec(),
                _ => Vec::new(),
            },
            dropped: Vec::new(),
            threshold: 3,
        };
        let sum = sum(study, round).to_string();
        self.event(kind)
            .with_study(StudyReference::new(study))
            .with_attempt(1, round, attempt)
            .with_aggregation(aggregation)
            .with_detail("sum", sum)
    }

    pub(crate) fn steps(&mut self, kinds: &[EventKind], study: &str, round: u64, attempt: u32) {
        for kind in kinds {
            let event = self.step(*kind, study, round, attempt);
            self.append(&event);
        }
    }

    /// A whole round as the protocol has it: the sum is cosigned before the release, the release after.
    pub(crate) fn round(&mut self, study: &str, round: u64) {
        self.steps(&UP_TO_CERTIFIED, study, round, 0);
        self.steps(&[EventKind::RoundSumCommitted], study, round, 0);
        self.cosign();
        self.steps(&[EventKind::RoundReleased], study, round, 0);
        self.accept(study, round, &SILOS[..QUORUM]);
        self.cosign();
    }

    /// These silos sign that they verified a sum.
    pub(crate) fn accept(&mut self, study: &str, round: u64, silos: &[&str]) {
        let sum = sum(study, round);
        let signatures = silos.iter().map(|name| {
            let silo = SILOS.iter().position(|silo| silo == name).unwrap();
            (*name, key(10 + u8::try_from(silo).unwrap()))
        });
        let signatures: Vec<_> = signatures.collect();
        self.accept_sum(study, round, &sum, &signatures);
    }

    /// Acceptances under any sum by any keys.
    pub(crate) fn accept_sum(
        &mut self,
        study: &str,
        round: u64,
        sum: &Digest,
        keys: &[(&str, SigningKey)],
    ) {
        let attempt = AttemptReference {
            epoch: 1,
            round,
            attempt: 0,
        };
        let release = AcceptedRelease {
            origin: ORIGIN,
            attempt,
            sum,
        };
        let signed = keys
            .iter()
            .map(|(name, key)| ((*name).to_owned(), release.sign(key)));
        let acceptances = serde_json::to_vec(&Acceptances(signed.collect())).unwrap();
        let object = self.log.put_object(&acceptances).unwrap();
        let event = self
            .event(EventKind::RoundAccepted)
            .with_study(StudyReference::new(study))
            .with_attempt(1, round, 0)
            .with_detail("sum", sum.to_string())
            .with_reference(ACCEPTANCES, object);
        self.append(&event);
    }

    pub(crate) fn study(&mut self, study: &str, rounds: std::ops::Range<u64>) {
        self.consent(study);
        rounds.for_each(|round| self.round(study, round));
        let event = self
            .event(EventKind::StudyCompleted)
            .with_study(StudyReference::new(study));
        self.append(&event);
        self.cosign();
    }

    /// A checkpoint that all four witnesses cosign.
    pub(crate) fn cosign(&mut self) -> CheckpointNote {
        self.cosign_by(&[0, 1, 2, 3])
    }

    pub(crate) fn cosign_by(&mut self, silos: &[usize]) -> CheckpointNote {
        let head = self.log.checkpoint().unwrap();
        let lines: Vec<String> = silos
            .iter()
            .map(|silo| {
                let witness = &mut self.witnesses[*silo];
                let old = witness.head().size;
                let proof = self.log.consistency_proof(old, head.size()).unwrap();
                witness
                    .cosign(&head.to_string(), old, &proof, 1_795_493_221)
                    .unwrap()
                    .to_string()
            })
            .collect();
        let outcome = self.log.add_cosignatures(head.size(), &lines).unwrap();
        assert!(outcome.refused.is_empty());
        self.log.checkpoint_note(head.size()).unwrap()
    }
}

pub(crate) const UP_TO_CERTIFIED: [EventKind; 6] = [
    EventKind::RoundOpened,
    EventKind::RoundKeyBook,
    EventKind::RoundDealBook,
    EventKind::RoundFrozen,
    EventKind::RoundProposed,
    EventKind::RoundCertified,
];

pub(crate) fn sum(study: &str, round: u64) -> Digest {
    sha256(format!("sum of round {round} of {study}").as_bytes())
}

/// A copy of a folder, so that a test can damage it.
pub(crate) fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_dir() {
            copy_into(&file.path(), &to.join(file.file_name()));
        } else {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}
