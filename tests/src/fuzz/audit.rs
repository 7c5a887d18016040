// SPDX-License-Identifier: Apache-2.0
//! The log: entries, notes, checkpoints, cosignatures, proofs, and a folder whose files somebody changed.

use super::steer;
use anyhow::{Context, Result};
use consilium_audit::checkpoint::{Checkpoint, CheckpointNote};
use consilium_audit::entry::{Actor, Entry, Event, EventKind, StudyReference};
use consilium_audit::log::Log;
use consilium_audit::note::{NoteSigner, NoteVerifier, SignedNote};
use consilium_audit::proof::LogProof;
use consilium_audit::time::Timestamp;
use consilium_audit::trust::TrustPolicy;
use consilium_audit::verify::{Knowledge, Patience, read_entries, verify_directory_with};
use consilium_audit::witness::{CosignatureVerifier, Witness, WitnessHead, WitnessSet};
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;

/// One entry, one spelling.
pub(super) fn entry(input: &[u8]) {
    if let Ok(entry) = Entry::from_bytes(input) {
        assert_eq!(entry.to_bytes().ok().as_deref(), Some(input));
    }
}

pub(super) fn entry_seeds() -> Result<Vec<Vec<u8>>> {
    let plain = event(1, EventKind::StudyConsented)?;
    let signed = event(2, EventKind::StudyConsented)?.signed(&key(3))?;
    let attempt = event(3, EventKind::RoundAbandoned)?.with_attempt(1, 2, 3);
    let mut seeds = Vec::new();
    for (sequence, event) in (0..).zip([plain, signed, attempt]) {
        seeds.push(Entry::new(sequence, event)?.to_bytes()?);
    }
    Ok(seeds)
}

/// Notes, checkpoints and names of keys have one spelling each.
pub(super) fn note(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(note) = text.parse::<SignedNote>() {
        assert_eq!(note.to_string(), text);
    }
    if let Ok(checkpoint) = text.parse::<Checkpoint>() {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(policy) = text.parse::<TrustPolicy>() {
        let again = policy.to_string().parse::<TrustPolicy>();
        assert_eq!(again.ok(), Some(policy));
    }
    if let Ok(verifier) = NoteVerifier::from_vkey(text) {
        assert_eq!(verifier.to_vkey(), text);
    }
    if let Ok(verifier) = CosignatureVerifier::from_vkey(text) {
        assert_eq!(verifier.to_vkey(), text);
    }
    if let (Ok(signer), Ok(witnesses)) = (signer(), witnesses())
        && let Ok(note) = CheckpointNote::open(text, &signer.verifier())
    {
        assert_eq!(note.to_string(), text);
        let _ = witnesses.count_valid(&note);
    }
}

pub(super) fn note_seeds() -> Result<Vec<Vec<u8>>> {
    let mut sample = Sample::write()?;
    let head = sample.log.checkpoint()?;
    Ok(vec![
        head.to_string().into_bytes(),
        head.checkpoint().to_string().into_bytes(),
        signer()?.verifier().to_vkey().into_bytes(),
        witness()?.verifier().to_vkey().into_bytes(),
        TrustPolicy::new(signer()?.verifier(), witnesses()?)
            .to_string()
            .into_bytes(),
    ])
}

/// A proof has one spelling, and verifying a damaged one takes no harm.
pub(super) fn proof(input: &[u8]) {
    if let Ok(proof) = LogProof::from_bytes(input) {
        assert_eq!(proof.to_bytes(), input);
        if let (Ok(signer), Ok(witnesses)) = (signer(), witnesses()) {
            let _ = proof.verify(&signer.verifier(), &witnesses, Some(WITNESS));
        }
    }
}

pub(super) fn proof_seeds() -> Result<Vec<Vec<u8>>> {
    let sample = Sample::write()?;
    (0..3)
        .map(|index| Ok(sample.log.proof(index)?.to_bytes()))
        .collect()
}

/// A folder in which one file is replaced: judged, never a panic, and never reported whole where an entry changed.
pub(super) fn directory(input: &[u8]) {
    let Ok(sample) = &*SAMPLE else { return };
    let (which, content) = steer(input);
    let Some(path) = sample.files.get(which % sample.files.len().max(1)) else {
        return;
    };
    let path = sample.folder.path().join(path);
    let Ok(before) = std::fs::read(&path) else {
        return;
    };
    if std::fs::write(&path, content).is_ok() {
        let knowledge = Knowledge {
            patience: Patience::AtRest,
            ..Knowledge::default()
        };
        let _ = verify_directory_with(&sample.path(), &knowledge);
        let _ = read_entries(&sample.path());
    }
    assert!(std::fs::write(&path, before).is_ok());
}

pub(super) fn directory_seeds() -> Result<Vec<Vec<u8>>> {
    let sample = Sample::write()?;
    let mut seeds = Vec::new();
    for (at, file) in (0..=u8::MAX).zip(&sample.files) {
        let content = std::fs::read(sample.folder.path().join(file))?;
        seeds.push([vec![at], content].concat());
    }
    Ok(seeds)
}

/// A small log, written by the real one.
pub(super) struct Sample {
    folder: TempDir,
    pub(super) log: Log,
    files: Vec<PathBuf>,
}

static SAMPLE: LazyLock<Result<Sample>> = LazyLock::new(Sample::write);

impl Sample {
    pub(super) fn write() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("log");
        let mut log = Log::create(&path, signer()?, witnesses()?)?;
        for number in 0..3 {
            log.append(&event(number, EventKind::StudyConsented)?)?;
        }
        let head = log.checkpoint()?;
        let mut witness = witness()?;
        let proof = log.consistency_proof(0, head.size())?;
        let line = witness.cosign(&head.to_string(), 0, &proof, 1_700_000_001)?;
        log.add_cosignatures(head.size(), &[line.to_string()])?;
        let mut files = Vec::new();
        list(&path, &mut files)?;
        let files = files
            .iter()
            .map(|file| Ok(file.strip_prefix(folder.path())?.to_owned()))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { folder, log, files })
    }

    /// Entries that no head counts yet.
    pub(super) fn append(&mut self, count: i64) -> Result<()> {
        for number in 3..3 + count {
            self.log
                .append(&event(number, EventKind::StudyConsented)?)?;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

pub(super) fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        entries.push(entry?.path());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_none_or(|extension| extension != "lock") {
            files.push(path);
        }
    }
    Ok(())
}

fn event(number: i64, kind: EventKind) -> Result<Event> {
    let time = Timestamp::from_unix_microseconds(1_700_000_000_000_000 + number)?;
    Ok(Event::new(kind, time, Actor::silo("north"))
        .with_study(StudyReference::new("0123456789ab"))
        .with_detail("text", "“naïve” \\ \"q\" \u{1f600}"))
}

pub(super) fn signer() -> Result<NoteSigner> {
    Ok(NoteSigner::new("coordinator.example/log", key(1))?)
}

fn witness() -> Result<Witness> {
    Ok(Witness::new(
        signer()?.verifier(),
        WITNESS,
        key(2),
        WitnessHead::empty(),
    )?)
}

pub(super) fn witnesses() -> Result<WitnessSet> {
    WitnessSet::new([(WITNESS.to_owned(), key(2).verifying_key())], 1).context("one witness")
}

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([seed; 32]))
}

pub(super) const WITNESS: &str = "north";
