// SPDX-License-Identifier: Apache-2.0
//! What is in the folder, and whether it fits together.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fs, io,
    path::Path,
    thread,
    time::Duration,
};

use consilium_crypto::{digest::Digest, merkle::leaf_hash, transcript::sha256};

use super::{Finding, Patience, Rule};
use crate::{
    checkpoint::CheckpointNote, entry::Entry, tile, tile::Tile, tree::HashTree, trust::TrustPolicy,
    witness::WitnessHead,
};

/// The parts of a log that later checks need: what its newest head counts, and nothing behind it.
pub(super) struct Content {
    pub(super) head: CheckpointNote,
    pub(super) tree: HashTree,
    pub(super) entries: Vec<Entry>,
    /// The heads of this very tree that have a quorum, and who cosigned each.
    pub(super) quorate: BTreeMap<u64, Vec<String>>,
    pub(super) behind: Behind,
}

/// What the folder holds that its head does not count: a checkpoint in the making, or what a crash or somebody left.
#[derive(Clone, Copy, Default)]
pub(super) struct Behind {
    /// Whole lines behind the entries that the head counts.
    lines: u64,
    /// Bytes of a last line without its end.
    pub(super) unfinished_bytes: u64,
    /// The size of the newest note.
    noted: u64,
}

/// Reads the policy that lies beside the log.
pub(super) fn read_trust(directory: &Path) -> Result<TrustPolicy, String> {
    read_text(directory, TRUST_POLICY)?
        .parse()
        .map_err(|fault| format!("`{TRUST_POLICY}`: {fault}"))
}

impl Content {
    /// Reads the folder. An `Err` says why nothing can be verified at all.
    pub(super) fn read(
        directory: &Path,
        trust: &TrustPolicy,
        patience: Patience,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, String> {
        Self::read_settled(directory, trust, patience, findings, || {
            thread::sleep(PAUSE)
        })
    }

    /// A log in use grows between one read and the next, and a line of it may be half written. Each read is judged by
    /// the head that it began with. What stands behind that head is a finding unless the log soon signs a head that
    /// counts it; whatever else looks wrong while a new head is signed is looked at again.
    ///
    /// SECURITY: nothing under a signed head is ever excused: an entry that is cut short there stays missing.
    fn read_settled(
        directory: &Path,
        trust: &TrustPolicy,
        patience: Patience,
        findings: &mut Vec<Finding>,
        mut pause: impl FnMut(),
    ) -> Result<Self, String> {
        let mut attempt = 1;
        loop {
            let mut found = Vec::new();
            let content = Self::read_once(directory, trust, &mut found);
            let now = read_text(directory, CHECKPOINT).unwrap_or_default();
            let settled = content.as_ref().is_ok_and(|content| {
                let size = CheckpointNote::open(&now, &trust.log).map_or(0, |now| now.size());
                let unmoved = now == content.head.to_string();
                content.reaches() <= size && (unmoved || found.is_empty())
            });
            if settled || attempt >= patience.reads() {
                findings.append(&mut found);
                if let Ok(content) = &content
                    && !settled
                {
                    content.check_behind(findings);
                }
                return content;
            }
            attempt += 1;
            pause();
        }
    }

    fn read_once(
        directory: &Path,
        trust: &TrustPolicy,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, String> {
        let head = read_text(directory, CHECKPOINT)?;
        let head = CheckpointNote::open(&head, &trust.log)
            .map_err(|fault| format!("`{CHECKPOINT}`: {}", said(&fault)))?;
        let stored =
            fs::read(directory.join(ENTRIES)).map_err(|fault| format!("`{ENTRIES}`: {fault}"))?;
        let (counted, behind) = split_at_head(&stored, head.size());
        let (tree, lines, entries) = hash_entries(counted, findings);
        let mut content = Self {
            head,
            tree,
            entries,
            quorate: BTreeMap::new(),
            behind,
        };
        content.check_head(findings);
        content.check_notes(directory, trust, findings)?;
        content.check_tiles(directory, &lines, findings);
        check_objects(directory, findings);
        restore_silos(directory, &mut content.entries, findings);
        check_kept(directory, &content.entries, findings);
        Ok(content)
    }

    /// The log must contain a head that a witness remembers.
    pub(super) fn check_known_head(&self, known: &WitnessHead, findings: &mut Vec<Finding>) {
        let what = match self.tree.root(known.size) {
            Some(root) if root == known.root => return,
            Some(_) => format!("a witness cosigned another tree of {} entries", known.size),
            None => format!(
                "a witness cosigned {} entries, the log has {}",
                known.size,
                self.tree.size()
            ),
        };
        findings.push(Finding {
            rule: Rule::AppendOnly,
            entry: None,
            what,
        });
    }

    fn check_head(&self, findings: &mut Vec<Finding>) {
        let (size, entries) = (self.head.size(), self.tree.size());
        let what = match self.tree.root(size) {
            None => format!("the signed checkpoint says {size} entries, there are {entries}"),
            Some(root) if root != self.head.root() => {
                format!(
                    "the first {size} entries have root `{root}`, the log signed `{}`",
                    self.head.root()
                )
            }
            Some(_) => return,
        };
        findings.push(Finding {
            rule: Rule::Tree,
            entry: None,
            what,
        });
    }

    /// How many entries there are, or are about to be.
    fn reaches(&self) -> u64 {
        let Behind {
            lines,
            unfinished_bytes,
            noted,
        } = self.behind;
        let begun = lines + u64::from(unfinished_bytes > 0);
        noted.max(self.tree.size() + begun)
    }

    /// What no head came to count. A last line without its end is none of it: a crash leaves one, the log cuts it off when
    /// it is opened, and whatever a head counted is missed by that head.
    fn check_behind(&self, findings: &mut Vec<Finding>) {
        let Behind { lines, noted, .. } = self.behind;
        if lines > 0 {
            findings.push(Finding {
                rule: Rule::Tree,
                entry: None,
                what: format!("{lines} entries are under no signed checkpoint"),
            });
        }
        if noted > self.head.size() {
            let what = format!(
                "`{CHECKPOINT}` says {} entries, the log once signed {noted}",
                self.head.size()
            );
            findings.push(Finding {
                rule: Rule::AppendOnly,
                entry: None,
                what,
            });
        }
    }

    fn check_notes(
        &mut self,
        directory: &Path,
        trust: &TrustPolicy,
        findings: &mut Vec<Finding>,
    ) -> Result<(), String> {
        self.count(&self.head.clone(), CHECKPOINT, trust, findings);
        let folder = directory.join(CHECKPOINTS);
        let files = fs::read_dir(&folder).map_err(|fault| format!("`{CHECKPOINTS}`: {fault}"))?;
        let mut names: Vec<_> = files
            .filter_map(|file| file.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".note"))
            .collect();
        names.sort();
        for name in names {
            let path = format!("{CHECKPOINTS}/{name}");
            let note = read_text(directory, &path)?;
            match CheckpointNote::open(&note, &trust.log) {
                Ok(note) if name == format!("{}.note", note.size()) => {
                    self.behind.noted = self.behind.noted.max(note.size());
                    if note.size() <= self.head.size() {
                        self.count(&note, &path, trust, findings);
                    }
                }
                Ok(note) => findings.push(signatures(format!(
                    "`{path}` is a checkpoint of {} entries",
                    note.size()
                ))),
                Err(fault) => findings.push(signatures(format!("`{path}`: {}", said(&fault)))),
            }
        }
        Ok(())
    }

    /// Checks a note's root and cosignatures, and keeps it if it has a quorum.
    fn count(
        &mut self,
        note: &CheckpointNote,
        path: &str,
        trust: &TrustPolicy,
        findings: &mut Vec<Finding>,
    ) {
        if self.tree.root(note.size()) != Some(note.root()) {
            let what = format!(
                "the entries do not have the root that `{path}` signs for {} entries",
                note.size()
            );
            findings.push(Finding {
                rule: Rule::Tree,
                entry: None,
                what,
            });
            return;
        }
        match trust.witnesses.count_valid(note) {
            Ok(names) if names.len() >= trust.witnesses.quorum() => {
                let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
                let known = self.quorate.entry(note.size()).or_default();
                if names.len() > known.len() {
                    *known = names;
                }
            }
            Ok(_) => {}
            Err(fault) => findings.push(signatures(format!("`{path}`: {fault}"))),
        }
    }

    fn check_tiles(&self, directory: &Path, lines: &[&[u8]], findings: &mut Vec<Finding>) {
        let size = self.head.size().min(self.tree.size());
        let entry = |place: u64| {
            let line = usize::try_from(place)
                .ok()
                .and_then(|place| lines.get(place));
            Ok::<_, Infallible>(line.map_or_else(Vec::new, |line| line.to_vec()))
        };
        let Ok(entry_tiles) = tile::entry_tiles(0, size, entry);
        for tile in tile::hash_tiles(&self.tree, 0, size)
            .into_iter()
            .chain(entry_tiles)
        {
            let what = match holds(directory, &tile) {
                Ok(true) => continue,
                Ok(false) => format!("`{}` does not hold what the entries hash to", tile.path),
                Err(fault) => format!("`{}`: {fault}", tile.path),
            };
            findings.push(Finding {
                rule: Rule::Tiles,
                entry: None,
                what,
            });
        }
    }
}

/// Whether a tile is stored. A partial one may be gone once the full one is there, which then begins with it
/// ([tlog-tiles](https://c2sp.org/tlog-tiles)): a log in use goes past it while it is read.
fn holds(directory: &Path, tile: &Tile) -> io::Result<bool> {
    match (
        fs::read(directory.join(&tile.path)),
        tile.path.split_once(".p/"),
    ) {
        (Err(fault), Some((full, _))) if fault.kind() == io::ErrorKind::NotFound => {
            let full = fs::read(directory.join(full)).map_err(|_| fault)?;
            Ok(full.starts_with(&tile.bytes))
        }
        (stored, _) => Ok(stored? == tile.bytes),
    }
}

/// The lines that a head of `size` counts, and what stands behind them.
fn split_at_head(stored: &[u8], size: u64) -> (&[u8], Behind) {
    let whole = stored
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let (lines, unfinished) = stored.split_at(whole);
    let counted = usize::try_from(size).unwrap_or(usize::MAX);
    let mut ends = lines
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1);
    let end = match counted.checked_sub(1) {
        Some(last) => ends.by_ref().nth(last).unwrap_or(lines.len()),
        None => 0,
    };
    let behind = Behind {
        lines: ends.count() as u64,
        unfinished_bytes: unfinished.len() as u64,
        noted: 0,
    };
    (&lines[..end], behind)
}

/// The tree over all lines as they stand, and those that are entries.
fn hash_entries<'a>(
    stored: &'a [u8],
    findings: &mut Vec<Finding>,
) -> (HashTree, Vec<&'a [u8]>, Vec<Entry>) {
    let (mut tree, mut lines, mut entries) = (HashTree::new(), Vec::new(), Vec::new());
    let mut seen: BTreeSet<Digest> = BTreeSet::new();
    for line in stored.split_inclusive(|byte| *byte == b'\n') {
        let place = tree.size();
        let mut wrong = |what: String| {
            findings.push(Finding {
                rule: Rule::EntryForm,
                entry: Some(place),
                what,
            })
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        tree.push(leaf_hash(line));
        lines.push(line);
        match Entry::from_bytes(line) {
            Ok(entry) if entry.sequence != place => {
                wrong(format!("it says it is entry {}", entry.sequence))
            }
            Ok(entry) if !seen.insert(entry.id) => wrong("the same event stands above".to_owned()),
            Ok(entry) => entries.push(entry),
            Err(fault) => wrong(fault.to_string()),
        }
    }
    (tree, lines, entries)
}

fn check_objects(directory: &Path, findings: &mut Vec<Finding>) {
    let Ok(files) = fs::read_dir(directory.join(OBJECTS)) else {
        return;
    };
    let mut names: Vec<_> = files
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter(|name| !name.ends_with(".tmp"))
        .collect();
    names.sort();
    for name in names {
        let what = match fs::read(directory.join(OBJECTS).join(&name)) {
            Ok(bytes) if sha256(&bytes).to_string() == name => continue,
            Ok(bytes) => format!("`{OBJECTS}/{name}` has digest `{}`", sha256(&bytes)),
            Err(fault) => format!("`{OBJECTS}/{name}`: {fault}"),
        };
        findings.push(Finding {
            rule: Rule::Objects,
            entry: None,
            what,
        });
    }
}

/// Lists of silos that were too long for their entry lie in an object, under the digest that the entry names.
fn restore_silos(directory: &Path, entries: &mut [Entry], findings: &mut Vec<Finding>) {
    for entry in entries {
        let Some(object) = entry.event.references.get(SILOS) else {
            continue;
        };
        let file = format!("{OBJECTS}/{object}");
        let kept = fs::read(directory.join(&file)).ok();
        let statement = kept
            .filter(|bytes| sha256(bytes) == *object)
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match statement {
            Some(statement) => entry.event.aggregation = Some(statement),
            None => findings.push(Finding {
                rule: Rule::Objects,
                entry: Some(entry.sequence),
                what: format!("its list of silos, `{file}`, is missing or is none"),
            }),
        }
    }
}

/// What shows an accusation, and the message that ended an attempt, lie among the objects.
fn check_kept(directory: &Path, entries: &[Entry], findings: &mut Vec<Finding>) {
    for entry in entries {
        for name in KEPT {
            let Some(object) = entry.event.references.get(name) else {
                continue;
            };
            let file = format!("{OBJECTS}/{object}");
            if !directory.join(&file).is_file() {
                findings.push(Finding {
                    rule: Rule::Evidence,
                    entry: Some(entry.sequence),
                    what: format!("its {name}, `{file}`, is missing"),
                });
            }
        }
    }
}

fn read_text(directory: &Path, name: &str) -> Result<String, String> {
    fs::read_to_string(directory.join(name)).map_err(|fault| format!("`{name}`: {fault}"))
}

fn signatures(what: String) -> Finding {
    Finding {
        rule: Rule::Signatures,
        entry: None,
        what,
    }
}

/// A fault with its causes in one line.
fn said(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(fault) = cause {
        text.push_str(": ");
        text.push_str(&fault.to_string());
        cause = fault.source();
    }
    text
}

impl Patience {
    /// How often the folder is read at most.
    fn reads(self) -> u32 {
        match self {
            Self::InUse => 50,
            Self::AtRest => 1,
        }
    }
}

/// Between two reads.
const PAUSE: Duration = Duration::from_millis(40);
const CHECKPOINT: &str = "checkpoint";
const CHECKPOINTS: &str = "checkpoints";
pub(super) const ENTRIES: &str = "entries.jsonl";
/// The reference under which an entry names its list of silos.
const SILOS: &str = "aggregation";
pub(super) const OBJECTS: &str = "objects/sha256";
/// The references to objects without which nobody else can judge an entry.
const KEPT: [&str; 2] = ["evidence", "message"];
const TRUST_POLICY: &str = "trust.policy";

#[cfg(test)]
mod tests;
