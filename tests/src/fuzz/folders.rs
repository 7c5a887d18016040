// SPDX-License-Identifier: Apache-2.0
//! Whole folders of which several files were replaced at once: a log that was exported to an auditor, a log that is opened
//! again after whatever happened to its disk, and a coordinator's spool.
//!
//! An input is a list of changes: which file, whether it is replaced, cut or gone, how many bytes, the bytes.

use super::audit::{Sample, signer, witnesses};
use anyhow::{Context, Result};
use consilium_audit::log::Log;
use consilium_audit::trust::TrustPolicy;
use consilium_audit::verify::{
    Knowledge, Patience, Rule, Verdict, read_entries, verify_directory_with,
};
use consilium_audit::witness::WitnessHead;
use consilium_coordinator::spool::{Announcement, Spool};
use consilium_crypto::label::Label;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_protocol::{
    AttemptId, ChunkSource, DealSource, Envelope, RevealSource, Sender, SiloName, chunk_digest,
    upload_root,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// An auditor who has the roster and a head that a witness remembers is shown the entries as they were, or is not told
/// that all is well.
pub(super) fn exported_log(input: &[u8]) {
    let Ok(log) = &*LOG else { return };
    let Ok(copy) = log.changed(input) else { return };
    let report = verify_directory_with(copy.path(), &log.knowledge);
    if report.verdict == Verdict::Clean {
        let entries = read_entries(copy.path()).unwrap_or_default();
        assert_eq!(entries.len(), log.entries.len());
        assert!(entries.iter().eq(log.entries.iter()), "other entries");
    }
}

/// A log that opens has every entry that its head counts, and is clean for whoever verifies it afterwards.
pub(super) fn recovered_log(input: &[u8]) {
    let Ok(log) = &*LOG else { return };
    let (Ok(copy), Ok(signer)) = (log.changed(input), signer()) else {
        return;
    };
    let Ok(mut opened) = Log::open(copy.path(), signer) else {
        return;
    };
    for (place, known) in (0..opened.head().size()).zip(&log.entries) {
        assert_eq!(opened.entry(place).ok().as_ref(), Some(known));
    }
    if opened.checkpoint().is_err() {
        // A folder in the way of a file, or none.
        return;
    }
    let report = verify_directory_with(copy.path(), &log.trusted());
    let wrong = report
        .findings
        .iter()
        .find(|finding| matches!(finding.rule, Rule::EntryForm | Rule::Tree | Rule::Tiles));
    assert!(wrong.is_none(), "{wrong:?}");
}

pub(super) fn log_seeds() -> Result<Vec<Vec<u8>>> {
    let log = match &*LOG {
        Ok(log) => log,
        Err(fault) => anyhow::bail!("{fault:#}"),
    };
    let mut seeds = vec![vec![]];
    for (at, (_, content)) in (0..=u8::MAX).zip(&log.files) {
        seeds.push(change(at, REPLACED, content)?);
    }
    let wal = log.files.iter().position(|(path, _)| path.ends_with("wal"));
    let wal = u8::try_from(wal.context("a write-ahead log")?)?;
    seeds.push([change(wal, GONE, b"")?, change(0, CUT, b"")?].concat());
    Ok(seeds)
}

/// A spool serves what silos signed, or nothing.
pub(super) fn spool(input: &[u8]) {
    let Ok(spooled) = &*SPOOLED else { return };
    let Ok(copy) = spooled.changed(input) else {
        return;
    };
    let Ok(spool) = Spool::open(copy.path()) else {
        return;
    };
    let spool = Arc::new(spool);
    let Ok(silo) = SiloName::parse(SILO) else {
        return;
    };
    let (chunks, deals) = (spool.chunks_of(ATTEMPT), spool.deals_of(ATTEMPT));
    let held = spool.progress(ATTEMPT, &silo).ok().flatten();
    let reveals = spool.reveals_of(ATTEMPT);
    let _ = (spool.announced(ATTEMPT, &silo), reveals.reveal(&silo));
    if let Some(held) = held {
        assert!(held.held <= held.count);
        let digests = chunks.digests(&silo).unwrap_or_default();
        for index in 0..held.held {
            let chunk = chunks.chunk(&silo, index).unwrap_or_default();
            let at = usize::try_from(index).unwrap_or(usize::MAX) * 32;
            let announced = digests.get(at..at + 32);
            assert_eq!(announced, Some(chunk_digest(&chunk).as_bytes().as_slice()));
        }
    }
    for position in [0, 1, 2, usize::MAX] {
        let _ = deals.sealed_for(position, std::slice::from_ref(&silo));
    }
}

pub(super) fn spool_seeds() -> Result<Vec<Vec<u8>>> {
    let spooled = match &*SPOOLED {
        Ok(spooled) => spooled,
        Err(fault) => anyhow::bail!("{fault:#}"),
    };
    let mut seeds = vec![vec![]];
    for (at, (_, content)) in (0..=u8::MAX).zip(&spooled.files) {
        seeds.push(change(at, REPLACED, content)?);
        seeds.push(change(at, CUT, b"")?);
    }
    Ok(seeds)
}

/// A folder's files and what was in them.
struct Folder {
    files: Vec<(PathBuf, Vec<u8>)>,
    entries: Vec<consilium_audit::entry::Entry>,
    knowledge: Knowledge,
}

static LOG: LazyLock<Result<Folder>> = LazyLock::new(|| {
    // Two entries stand in the write-ahead log only.
    let mut sample = Sample::write()?;
    let head = sample.log.head().clone();
    sample.append(2)?;
    let path = sample.path();
    let mut folder = Folder::read(&path)?;
    folder.entries = read_entries(&path)?;
    folder.knowledge = Knowledge {
        trust: Some(TrustPolicy::new(signer()?.verifier(), witnesses()?)),
        heads: vec![WitnessHead {
            size: head.size(),
            root: head.root(),
            note: head.to_string(),
        }],
        patience: Patience::AtRest,
    };
    Ok(folder)
});

static SPOOLED: LazyLock<Result<Folder>> = LazyLock::new(|| {
    let folder = tempfile::tempdir()?;
    let spool = Spool::open(folder.path())?;
    let silo = SiloName::parse(SILO)?;
    let chunks: [&[u8]; 3] = [b"one1", b"two2", b"3"];
    let digests = chunks.map(chunk_digest);
    let key = SigningKey::from_seed(&Secret::new([1; 32]));
    let announcement = Announcement {
        root: upload_root(&digests),
        chunk_bytes: 4,
        length: 9,
        signed: Envelope {
            sender: Sender::Silo(silo.clone()),
            body: b"the root".to_vec(),
            signature: key.sign(Label::SiloMessage, &[b"the root"]),
        },
    };
    spool.announce(ATTEMPT, &silo, &announcement, &digests)?;
    for (index, chunk) in (0..).zip(chunks) {
        spool.append(ATTEMPT, &silo, index, chunk, |_| true)?;
    }
    spool.sync(ATTEMPT, &silo)?;
    let deals = [b"sealed for one".to_vec(), b"for another".to_vec()];
    spool.keep_deal(ATTEMPT, &silo, &deals)?;
    Folder::read(folder.path())
});

impl Folder {
    fn read(path: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        super::audit::list(path, &mut paths)?;
        let files = paths.iter().map(|file| {
            let name = file.strip_prefix(path)?.to_owned();
            Ok((name, std::fs::read(file)?))
        });
        Ok(Self {
            files: files.collect::<Result<_>>()?,
            entries: Vec::new(),
            knowledge: Knowledge::default(),
        })
    }

    /// A copy of the folder with the input's changes.
    fn changed(&self, input: &[u8]) -> Result<tempfile::TempDir> {
        let mut files = self.files.clone();
        let mut rest = input;
        for _ in 0..MOST_CHANGES {
            let Some(([at, kind, low, high], behind)) = rest.split_first_chunk::<4>() else {
                break;
            };
            let length = usize::from(u16::from_le_bytes([*low, *high]));
            let (content, behind) = behind.split_at(length.min(behind.len()));
            rest = behind;
            let place = usize::from(*at) % files.len().max(1);
            let Some((name, bytes)) = files.get_mut(place) else {
                break;
            };
            match kind % 3 {
                REPLACED => *bytes = content.to_vec(),
                CUT => bytes.truncate(bytes.len() - bytes.len().min(length)),
                _ => *name = PathBuf::new(),
            }
        }
        let copy = tempfile::tempdir()?;
        for (name, bytes) in files {
            if !name.as_os_str().is_empty() {
                let path = copy.path().join(name);
                std::fs::create_dir_all(path.parent().context("a folder")?)?;
                std::fs::write(path, bytes)?;
            }
        }
        Ok(copy)
    }

    /// What the auditor knows without the remembered head.
    fn trusted(&self) -> Knowledge {
        Knowledge {
            heads: Vec::new(),
            ..self.knowledge.clone()
        }
    }
}

/// One change as an input holds it; of a cut only its length counts, which is one byte here.
fn change(at: u8, kind: u8, content: &[u8]) -> Result<Vec<u8>> {
    let length = if kind == CUT { 1 } else { content.len() };
    let [low, high] = u16::try_from(length)?.to_le_bytes();
    Ok([&[at, kind, low, high], content].concat())
}

const REPLACED: u8 = 0;
const CUT: u8 = 1;
const GONE: u8 = 2;
const MOST_CHANGES: usize = 6;
const SILO: &str = "north";
const ATTEMPT: AttemptId = AttemptId {
    epoch: 1,
    round: 7,
    attempt: 2,
};
