// SPDX-License-Identifier: Apache-2.0
//! Opening a log after whatever happened: what is under a signed checkpoint must be there unchanged, what was
//! acknowledged is replayed, what was never acknowledged is cut off.

use std::{collections::BTreeMap, fs::OpenOptions, path::Path};

use consilium_crypto::{digest::Digest, merkle::leaf_hash};

use super::{
    LogFault,
    files::{
        CHECKPOINT, CHECKPOINTS, ENTRIES, WAL, io_fault, note_path, noted_sizes, read_if_there,
    },
    wal::WriteAheadLog,
};
use crate::{checkpoint::CheckpointNote, entry::Entry, note::NoteVerifier, tree::HashTree};

/// What had to be done when a log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Acknowledged entries found in the write-ahead log only.
    pub replayed: u64,
    /// Bytes of a write that was never acknowledged, cut off.
    pub torn_bytes: u64,
}

/// A log as it stands on disk, checked.
pub(super) struct Recovered {
    pub(super) wal: WriteAheadLog,
    pub(super) head: CheckpointNote,
    pub(super) newest_noted: u64,
    pub(super) tree: HashTree,
    pub(super) places: BTreeMap<Digest, u64>,
    pub(super) ends: Vec<u64>,
    pub(super) pending: Vec<Vec<u8>>,
    pub(super) recovery: Recovery,
}

/// Reads and checks a log's folder.
pub(super) fn recover(directory: &Path, log: &NoteVerifier) -> Result<Recovered, LogFault> {
    let note = read_if_there(&directory.join(CHECKPOINT))?.ok_or_else(|| LogFault::NoLog {
        directory: directory.to_owned(),
    })?;
    let head = CheckpointNote::open(&String::from_utf8_lossy(&note), log)?;
    let mut wal = WriteAheadLog::open(&directory.join(WAL))?;
    let replay = wal.replay()?;

    let stored = read_if_there(&directory.join(ENTRIES))?.unwrap_or_default();
    let mut content = Content::default();
    let mut lines = stored.split_inclusive(|byte| *byte == b'\n');
    while content.tree.size() < head.size() {
        let line = lines.next().and_then(|line| line.strip_suffix(b"\n"));
        let line = line.ok_or_else(|| content.too_short(head.size()))?;
        content.add(line)?;
        content
            .ends
            .push(content.ends.last().copied().unwrap_or(0) + line.len() as u64 + 1);
    }
    if content.tree.root(head.size()) != Some(head.root()) {
        return Err(LogFault::Damaged {
            what: format!("`{ENTRIES}` does not have the root of the signed checkpoint"),
        });
    }

    let mut pending = Vec::new();
    for (first, lines) in replay.frames {
        for (place, line) in (first..).zip(lines) {
            if place < head.size() {
                // A frame that outlived its checkpoint must say the same.
                if content.leaf(place) != Some(leaf_hash(&line)) {
                    return Err(LogFault::Damaged {
                        what: format!("`{WAL}` and `{ENTRIES}` differ at entry {place}"),
                    });
                }
            } else if place == content.tree.size() {
                content.add(&line)?;
                pending.push(line);
            } else {
                return Err(LogFault::Damaged {
                    what: format!("`{WAL}` skips to entry {place}"),
                });
            }
        }
    }
    // Whole entries behind the checkpoint are copies of the write-ahead log, or it was lost.
    for (line, place) in lines.zip(head.size()..) {
        if let Some(line) = line.strip_suffix(b"\n")
            && Entry::from_bytes(line).is_ok_and(|entry| entry.sequence == place)
            && content.leaf(place) != Some(leaf_hash(line))
        {
            return Err(LogFault::Damaged {
                what: format!("`{WAL}` does not have entry {place} of `{ENTRIES}`"),
            });
        }
    }
    let newest_noted = check_notes(directory, log, &content.tree)?;

    // Nothing is cut before everything is checked.
    if replay.torn > 0 {
        wal.truncate(replay.whole)?;
    }
    let entries = directory.join(ENTRIES);
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&entries)
        .and_then(|file| {
            file.set_len(content.ends.last().copied().unwrap_or(0))
                .and_then(|()| file.sync_data())
        })
        .map_err(io_fault(&entries))?;

    let recovery = Recovery {
        replayed: pending.len() as u64,
        torn_bytes: replay.torn,
    };
    let Content { tree, places, ends } = content;
    Ok(Recovered {
        wal,
        head,
        newest_noted,
        tree,
        places,
        ends,
        pending,
        recovery,
    })
}

/// Every note the log signed must be of this tree; returns the largest size.
///
/// SECURITY: a log restored from an old copy would otherwise sign a second tree of a size it has signed before.
fn check_notes(directory: &Path, log: &NoteVerifier, tree: &HashTree) -> Result<u64, LogFault> {
    let mut newest = 0;
    for size in noted_sizes(directory)? {
        let name = format!("{CHECKPOINTS}/{size}.note");
        let bytes = read_if_there(&note_path(directory, size))?.unwrap_or_default();
        let note = CheckpointNote::open(&String::from_utf8_lossy(&bytes), log)?;
        if note.size() != size || tree.root(size) != Some(note.root()) {
            return Err(LogFault::Damaged {
                what: format!("the entries do not have the root signed in `{name}`"),
            });
        }
        newest = newest.max(size);
    }
    Ok(newest)
}

#[derive(Default)]
struct Content {
    tree: HashTree,
    places: BTreeMap<Digest, u64>,
    ends: Vec<u64>,
}

impl Content {
    fn add(&mut self, line: &[u8]) -> Result<(), LogFault> {
        let place = self.tree.size();
        let entry = Entry::from_bytes(line)?;
        if entry.sequence != place {
            return Err(LogFault::Damaged {
                what: format!("entry {place} says it is entry {}", entry.sequence),
            });
        }
        self.places.insert(entry.id, place);
        self.tree.push(leaf_hash(line));
        Ok(())
    }

    fn leaf(&self, place: u64) -> Option<Digest> {
        self.tree.node(0, usize::try_from(place).ok()?)
    }

    fn too_short(&self, expected: u64) -> LogFault {
        LogFault::Damaged {
            what: format!(
                "`{ENTRIES}` ends at entry {}, the signed checkpoint says {expected}",
                self.tree.size()
            ),
        }
    }
}
