// SPDX-License-Identifier: Apache-2.0
//! The log in its folder.
//!
//! ```text
//! wal                       acknowledged, not yet under a checkpoint
//! entries.jsonl             every entry under the checkpoint, one line each; the bytes that are hashed
//! tile/<L>/<N>              the hash tree;  tile/entries/<N>  the entries again (C2SP tlog-tiles)
//! checkpoint                the newest signed head
//! checkpoints/<size>.note   every head the log ever signed, with the cosignatures it got
//! trust.policy              the log's key, the witnesses, the quorum (C2SP tlog-policy)
//! objects/sha256/<hex>      what entries refer to by digest
//! ```
//!
//! Order of writing: write-ahead log, fdatasync, acknowledge; later entries, tiles, checkpoint by rename, and only then
//! is the write-ahead log emptied. Whatever fails, the log refuses further work until it is opened anew.

mod cosigning;
mod fault;
mod files;
mod recovery;
mod tiles;
mod wal;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use consilium_crypto::{digest::Digest, merkle::leaf_hash, transcript::sha256};

pub use self::{cosigning::Cosignatures, fault::LogFault, recovery::Recovery};
use self::{
    files::{
        CHECKPOINT, CHECKPOINTS, ENTRIES, OBJECTS, TRUST_POLICY, WAL, io_fault, note_path,
        noted_sizes, read_if_there, write_atomically,
    },
    recovery::{Recovered, recover},
    wal::WriteAheadLog,
};
use crate::{
    checkpoint::CheckpointNote,
    entry::{Entry, Event},
    note::NoteSigner,
    proof::LogProof,
    tree::HashTree,
    trust::TrustPolicy,
    witness::WitnessSet,
};

/// An open log. One process holds it at a time.
pub struct Log {
    directory: PathBuf,
    signer: NoteSigner,
    trust: TrustPolicy,
    wal: WriteAheadLog,
    tree: HashTree,
    /// Where each event is, by its identifier.
    places: BTreeMap<Digest, u64>,
    /// Where each line of `entries.jsonl` ends.
    ends: Vec<u64>,
    pending: Vec<Vec<u8>>,
    head: CheckpointNote,
    quorate: Option<CheckpointNote>,
    recovery: Recovery,
    health: Health,
}

/// Whether what is in memory is what is on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Sound,
    Failed,
}

impl Log {
    /// Starts a log in an empty or absent folder, and signs its empty head.
    pub fn create(
        directory: &Path,
        signer: NoteSigner,
        witnesses: WitnessSet,
    ) -> Result<Self, LogFault> {
        if directory.join(CHECKPOINT).exists() {
            return Err(LogFault::AlreadyThere {
                directory: directory.to_owned(),
            });
        }
        for folder in [
            directory.to_owned(),
            directory.join(CHECKPOINTS),
            directory.join(OBJECTS),
        ] {
            fs::create_dir_all(&folder).map_err(io_fault(&folder))?;
        }
        let entries = directory.join(ENTRIES);
        let left_over = read_if_there(&entries)?.is_some_and(|bytes| !bytes.is_empty());
        if left_over || !noted_sizes(directory)?.iter().all(|size| *size == 0) {
            return Err(LogFault::Damaged {
                what: format!("`{}` has entries and no checkpoint", directory.display()),
            });
        }
        File::create(&entries)
            .and_then(|file| file.sync_all())
            .map_err(io_fault(&entries))?;
        drop(WriteAheadLog::open(&directory.join(WAL))?);
        let trust = TrustPolicy::new(signer.verifier(), witnesses);
        write_atomically(&directory.join(TRUST_POLICY), trust.to_string().as_bytes())?;
        let head = CheckpointNote::sign(0, sha256(b""), &signer)?;
        write_atomically(&note_path(directory, 0), head.to_string().as_bytes())?;
        write_atomically(&directory.join(CHECKPOINT), head.to_string().as_bytes())?;
        Self::open(directory, signer)
    }

    /// Opens a log, after checking all of it. [`Log::recovery`] says what had to be done.
    pub fn open(directory: &Path, signer: NoteSigner) -> Result<Self, LogFault> {
        let policy =
            read_if_there(&directory.join(TRUST_POLICY))?.ok_or_else(|| LogFault::NoLog {
                directory: directory.to_owned(),
            })?;
        let trust: TrustPolicy = String::from_utf8_lossy(&policy).parse()?;
        let verifier = signer.verifier();
        if trust.log != verifier {
            return Err(LogFault::OtherKey {
                directory: directory.to_owned(),
            });
        }
        let Recovered {
            wal,
            head,
            newest_noted,
            tree,
            places,
            ends,
            pending,
            recovery,
        } = recover(directory, &verifier)?;
        let mut log = Self {
            directory: directory.to_owned(),
            signer,
            trust,
            wal,
            tree,
            places,
            ends,
            pending,
            head,
            quorate: None,
            recovery,
            health: Health::Sound,
        };
        if newest_noted > log.head.size() {
            log.checkpoint()?;
        }
        log.restore_tiles()?;
        log.find_quorate()?;
        Ok(log)
    }

    /// What had to be done when the log was opened.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The number of acknowledged entries, under a checkpoint or not.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The log's key, its witnesses and their quorum.
    pub fn trust(&self) -> &TrustPolicy {
        &self.trust
    }

    /// Takes new witnesses, as a new roster brings them.
    pub fn set_witnesses(&mut self, witnesses: WitnessSet) -> Result<(), LogFault> {
        self.guarded(|log| {
            let trust = TrustPolicy::new(log.signer.verifier(), witnesses);
            write_atomically(
                &log.directory.join(TRUST_POLICY),
                trust.to_string().as_bytes(),
            )?;
            log.trust = trust;
            log.find_quorate()
        })
    }

    /// Appends an event and returns its place, once it cannot be lost. The same event again has the same place.
    pub fn append(&mut self, event: &Event) -> Result<u64, LogFault> {
        let places = self.append_batch(std::slice::from_ref(event))?;
        places.first().copied().ok_or(LogFault::Failed)
    }

    /// Appends several events with one wait for the disk.
    pub fn append_batch(&mut self, events: &[Event]) -> Result<Vec<u64>, LogFault> {
        let first = self.tree.size();
        let (mut lines, mut places, mut fresh) = (Vec::new(), Vec::new(), BTreeMap::new());
        for event in events {
            let next = first + lines.len() as u64;
            let entry = Entry::new(next, event.clone())?;
            let known = self
                .places
                .get(&entry.id)
                .or_else(|| fresh.get(&entry.id))
                .copied();
            if known.is_none() {
                lines.push(entry.to_bytes()?);
                fresh.insert(entry.id, next);
            }
            places.push(known.unwrap_or(next));
        }
        if lines.is_empty() {
            return Ok(places);
        }
        self.guarded(|log| {
            log.wal.append(first, &lines)?;
            lines.iter().for_each(|line| log.tree.push(leaf_hash(line)));
            log.pending.append(&mut lines);
            log.places.append(&mut fresh);
            Ok(places)
        })
    }

    /// Signs the head over all acknowledged entries. Nothing new to sign: the present head.
    pub fn checkpoint(&mut self) -> Result<CheckpointNote, LogFault> {
        let (old, size) = (self.head.size(), self.tree.size());
        if size == old {
            return Ok(self.head.clone());
        }
        self.guarded(|log| {
            log.write_entries()?;
            log.write_tiles(old, size)?;
            let root = log.tree.root(size).ok_or(LogFault::Failed)?;
            let head = CheckpointNote::sign(size, root, &log.signer)?;
            write_atomically(
                &note_path(&log.directory, size),
                head.to_string().as_bytes(),
            )?;
            write_atomically(&log.directory.join(CHECKPOINT), head.to_string().as_bytes())?;
            log.wal.truncate(0)?;
            log.head = head;
            if log.trust.witnesses.quorum() == 0 {
                log.quorate = Some(log.head.clone());
            }
            Ok(log.head.clone())
        })
    }

    /// The newest signed head.
    pub fn head(&self) -> &CheckpointNote {
        &self.head
    }

    /// The proof that the tree of `old` entries is the beginning of that of `new`.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Digest>, LogFault> {
        self.tree
            .consistency_proof(old, new)
            .ok_or(LogFault::OutOfRange {
                place: old,
                size: new,
            })
    }

    /// The path from an entry to the root of the tree of `size` entries.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Digest>, LogFault> {
        self.tree
            .inclusion_proof(index, size)
            .ok_or(LogFault::OutOfRange { place: index, size })
    }

    /// An entry under the newest head that has a quorum.
    pub fn proof(&self, index: u64) -> Result<LogProof, LogFault> {
        let quorate = self
            .quorate
            .as_ref()
            .ok_or(LogFault::NotCosigned { index })?;
        if index >= quorate.size() {
            return Err(LogFault::NotCosigned { index });
        }
        self.proof_under(index, quorate)
    }

    /// An entry under the signed head of `size`, whatever cosignatures that has.
    pub fn proof_at(&self, index: u64, size: u64) -> Result<LogProof, LogFault> {
        self.proof_under(index, &self.checkpoint_note(size)?)
    }

    fn proof_under(&self, index: u64, note: &CheckpointNote) -> Result<LogProof, LogFault> {
        Ok(LogProof {
            path: self.inclusion_proof(index, note.size())?,
            entry: self.entry_bytes(index)?,
            index,
            size: note.size(),
            checkpoint: note.to_string(),
        })
    }

    /// The entry at a place.
    pub fn entry(&self, place: u64) -> Result<Entry, LogFault> {
        Ok(Entry::from_bytes(&self.entry_bytes(place)?)?)
    }

    /// The place of an event, if it is in the log.
    pub fn place_of(&self, event: &Event) -> Result<Option<u64>, LogFault> {
        Ok(self.places.get(&event.id()?).copied())
    }

    /// Keeps bytes that entries may refer to, and returns their SHA-256.
    pub fn put_object(&mut self, bytes: &[u8]) -> Result<Digest, LogFault> {
        let digest = sha256(bytes);
        let path = self.directory.join(OBJECTS).join(digest.to_string());
        if !path.exists() {
            write_atomically(&path, bytes)?;
        }
        Ok(digest)
    }

    /// The bytes kept under a digest.
    pub fn object(&self, digest: &Digest) -> Result<Option<Vec<u8>>, LogFault> {
        read_if_there(&self.directory.join(OBJECTS).join(digest.to_string()))
    }

    fn entry_bytes(&self, place: u64) -> Result<Vec<u8>, LogFault> {
        let out = || LogFault::OutOfRange {
            place,
            size: self.tree.size(),
        };
        let index = usize::try_from(place).map_err(|_| out())?;
        let Some(end) = self.ends.get(index).copied() else {
            return self
                .pending
                .get(index - self.ends.len())
                .cloned()
                .ok_or_else(out);
        };
        let start = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        let path = self.directory.join(ENTRIES);
        let mut bytes = vec![0; usize::try_from(end - start - 1).map_err(|_| out())?];
        File::open(&path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(start))
                    .and_then(|_| file.read_exact(&mut bytes))
            })
            .map_err(io_fault(&path))?;
        Ok(bytes)
    }

    fn write_entries(&mut self) -> Result<(), LogFault> {
        let path = self.directory.join(ENTRIES);
        let mut end = self.ends.last().copied().unwrap_or(0);
        let mut bytes = Vec::new();
        for line in &self.pending {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
            end += line.len() as u64 + 1;
            self.ends.push(end);
        }
        self.pending.clear();
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_data()))
            .map_err(io_fault(&path))
    }

    /// Runs a change; after a failure memory and disk may differ, so nothing more is accepted.
    fn guarded<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, LogFault>,
    ) -> Result<T, LogFault> {
        if self.health == Health::Failed {
            return Err(LogFault::Failed);
        }
        let result = change(self);
        if result.is_err() {
            self.health = Health::Failed;
        }
        result
    }
}
