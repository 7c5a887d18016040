// SPDX-License-Identifier: Apache-2.0
//! Gathering cosignatures, and which heads have enough of them.

use std::collections::BTreeSet;

use super::{
    Log, LogFault,
    files::{CHECKPOINT, note_path, noted_sizes, read_if_there, write_atomically},
};
use crate::{
    checkpoint::CheckpointNote,
    note::{NoteFault, NoteSignature},
};

impl Log {
    /// The newest head with a quorum of cosignatures.
    pub fn quorate_head(&self) -> Option<&CheckpointNote> {
        self.quorate.as_ref()
    }

    /// Whether the entry at `place` is under a head with a quorum of cosignatures, that of `must_include` among them.
    pub fn is_cosigned(&self, place: u64, must_include: Option<&str>) -> bool {
        self.quorate.as_ref().is_some_and(|head| {
            place < head.size()
                && must_include.is_none_or(|name| {
                    self.trust
                        .witnesses
                        .count_valid(head)
                        .is_ok_and(|names| names.contains(name))
                })
        })
    }

    /// The newest signed head beyond `size` that has a line of this witness, which is not verified here.
    pub fn newest_cosigned_by(
        &self,
        witness: &str,
        size: u64,
    ) -> Result<Option<CheckpointNote>, LogFault> {
        for noted in noted_sizes(&self.directory)?.into_iter().rev() {
            if noted <= size {
                break;
            }
            let note = self.checkpoint_note(noted)?;
            let lines = note.note().signatures();
            if lines.iter().any(|line| line.name() == witness) {
                return Ok(Some(note));
            }
        }
        Ok(None)
    }

    /// The signed head of a size, with the cosignatures it has.
    pub fn checkpoint_note(&self, size: u64) -> Result<CheckpointNote, LogFault> {
        let bytes = read_if_there(&note_path(&self.directory, size))?
            .ok_or(LogFault::NoCheckpoint { size })?;
        Ok(CheckpointNote::open(
            &String::from_utf8_lossy(&bytes),
            &self.trust.log,
        )?)
    }

    /// Keeps cosignature lines for the head of `size`, the first of each witness: another one says nothing new and is not
    /// written. Lines that do not verify are handed back.
    pub fn add_cosignatures(
        &mut self,
        size: u64,
        lines: &[String],
    ) -> Result<Cosignatures, LogFault> {
        let mut note = self.checkpoint_note(size)?;
        let mut valid: BTreeSet<String> = self
            .trust
            .witnesses
            .count_valid(&note)?
            .into_iter()
            .map(str::to_owned)
            .collect();
        let (before, mut refused) = (valid.len(), Vec::new());
        for line in lines {
            match self.check_cosignature(&note, line) {
                Ok(signature) => {
                    if valid.insert(signature.name().to_owned()) {
                        note.add(signature);
                    }
                }
                Err(fault) => refused.push((line.clone(), fault)),
            }
        }
        if valid.len() == before {
            return Ok(Cosignatures {
                quorum: self.trust.witnesses.quorum(),
                valid,
                refused,
            });
        }
        self.guarded(|log| {
            write_atomically(
                &note_path(&log.directory, size),
                note.to_string().as_bytes(),
            )?;
            if size == log.head.size() {
                write_atomically(&log.directory.join(CHECKPOINT), note.to_string().as_bytes())?;
                log.head = note.clone();
            }
            let newer = log
                .quorate
                .as_ref()
                .is_none_or(|quorate| quorate.size() <= size);
            if newer && valid.len() >= log.trust.witnesses.quorum() {
                log.quorate = Some(note);
            }
            Ok(Cosignatures {
                quorum: log.trust.witnesses.quorum(),
                valid,
                refused,
            })
        })
    }

    fn check_cosignature(
        &self,
        note: &CheckpointNote,
        line: &str,
    ) -> Result<NoteSignature, NoteFault> {
        let signature: NoteSignature = line.trim_end_matches('\n').parse()?;
        let witness = self
            .trust
            .witnesses
            .member(signature.name())
            .ok_or_else(|| NoteFault::Key {
                key: signature.name().to_owned(),
            })?;
        // SECURITY: the line is judged by itself. Beside a valid line of the witness, one by any other key would pass for it.
        match witness.verify(&note.with_only(signature.clone()))? {
            Some(_) => Ok(signature),
            None => Err(NoteFault::Key {
                key: signature.name().to_owned(),
            }),
        }
    }

    pub(super) fn find_quorate(&mut self) -> Result<(), LogFault> {
        self.quorate = None;
        for size in noted_sizes(&self.directory)?.into_iter().rev() {
            let note = self.checkpoint_note(size)?;
            if self.trust.witnesses.require_quorum(&note).is_ok() {
                self.quorate = Some(note);
                break;
            }
        }
        Ok(())
    }
}

/// Which cosignatures a head has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignatures {
    /// The witnesses whose cosignatures are valid.
    pub valid: BTreeSet<String>,
    /// How many are needed.
    pub quorum: usize,
    /// Lines that were not kept, and why.
    pub refused: Vec<(String, NoteFault)>,
}

impl Cosignatures {
    /// Whether there are enough.
    pub fn reached(&self) -> bool {
        self.valid.len() >= self.quorum
    }
}
