// SPDX-License-Identifier: Apache-2.0
//! What a silo has on its disk: a journal that backups copy, and the folder of running attempts, which they do not.

use consilium_crypto::digest::Digest;
use consilium_protocol::AttemptId;
use std::collections::BTreeMap;

/// One state of the journal; it is replaced as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    /// The step that the secrets file of this state is named after.
    pub(crate) step: u64,
    /// Empty before the first step.
    pub(crate) snapshot: Vec<u8>,
    /// The attempt in progress.
    pub(crate) attempt: Option<AttemptId>,
    /// The attempt whose secrets belong to this state.
    pub(crate) secrets_of: Option<AttemptId>,
    pub(crate) progress: Progress,
}

/// How far the study has come at this silo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The last round whose release is verified.
    pub(crate) round: u64,
    pub(crate) model: Digest,
    /// That release: its attempt and H(S).
    pub(crate) newest: Option<(AttemptId, Digest)>,
}

#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) journal: Journal,
    /// A new state of the journal that was half written.
    pub(crate) torn: Option<Vec<u8>>,
    /// By attempt and step.
    pub(crate) secrets: BTreeMap<(AttemptId, u64), Vec<u8>>,
    pub(crate) inputs: BTreeMap<AttemptId, Vec<i64>>,
    /// Chunks under their masks.
    pub(crate) masked: BTreeMap<AttemptId, Vec<Vec<u8>>>,
    /// The step that the journal has reached, as noted beside it.
    pub(crate) reached: u64,
    /// The journal in whose place a copy was put.
    aside: Option<Journal>,
    /// Copies of the journal, the oldest first.
    backups: Vec<Copy>,
}

/// A copy of the journal, and of what no copy should hold if somebody was careless.
#[derive(Debug)]
struct Copy {
    journal: Journal,
    attempts: Option<(Option<Vec<u8>>, u64)>,
}

impl Disk {
    pub(crate) fn new(model: Digest) -> Self {
        Self {
            journal: Journal {
                step: 0,
                snapshot: Vec::new(),
                attempt: None,
                secrets_of: None,
                progress: Progress {
                    round: 0,
                    model,
                    newest: None,
                },
            },
            torn: None,
            secrets: BTreeMap::new(),
            inputs: BTreeMap::new(),
            masked: BTreeMap::new(),
            reached: 0,
            aside: None,
            backups: Vec::new(),
        }
    }

    /// The secrets of the journal's state, if they are here.
    pub(crate) fn secrets(&self) -> Option<&Vec<u8>> {
        let id = self.journal.secrets_of?;
        self.secrets.get(&(id, self.journal.step))
    }

    /// Erases the secrets of all other states.
    pub(crate) fn keep_only_secrets(&mut self, kept: Option<(AttemptId, u64)>) {
        self.secrets.retain(|key, _| Some(*key) == kept);
    }

    /// Erases the vectors of all other attempts.
    pub(crate) fn keep_only_vectors(&mut self, kept: Option<AttemptId>) {
        self.inputs.retain(|id, _| Some(*id) == kept);
        self.masked.retain(|id, _| Some(*id) == kept);
    }

    /// Copies the journal, or everything.
    pub(crate) fn back_up(&mut self, with_attempts: bool) {
        let attempts = (self.secrets().cloned(), self.reached);
        self.backups.push(Copy {
            journal: self.journal.clone(),
            attempts: with_attempts.then_some(attempts),
        });
    }

    /// Puts a copy back, counted from the newest; `false` when there is none, or when it is what the disk holds.
    pub(crate) fn put_back(&mut self, copy: u32) -> bool {
        let count = self.backups.len();
        let from_newest = usize::try_from(copy)
            .ok()
            .and_then(|copy| copy.checked_rem(count));
        let copy = from_newest.and_then(|copy| self.backups.get(count - 1 - copy));
        let Some(Copy { journal, attempts }) =
            copy.filter(|copy| copy.journal.step != self.journal.step)
        else {
            return false;
        };
        if let Some((secrets, reached)) = attempts {
            let secrets = secrets.clone();
            let secrets = journal.secrets_of.zip(secrets);
            let named = secrets.map(|(id, secrets)| ((id, journal.step), secrets));
            self.secrets.extend(named);
            self.reached = *reached;
        }
        self.torn = None;
        let replaced = std::mem::replace(&mut self.journal, journal.clone());
        self.aside.get_or_insert(replaced);
        true
    }

    /// Whether the journal has gone less far than is noted: it is a copy that was put back.
    pub(crate) fn is_old(&self) -> bool {
        self.reached > self.journal.step
    }

    /// Somebody puts the newest journal in its place again; `false` when there is no other than this.
    pub(crate) fn put_newest_back(&mut self) -> bool {
        match self.aside.take() {
            Some(newest) => {
                self.journal = newest;
                true
            }
            None => false,
        }
    }

    /// The journal in its place is the one that goes on.
    pub(crate) fn settle(&mut self) {
        self.aside = None;
    }

    /// Loses the files of running attempts, but not the knowledge that there were some.
    pub(crate) fn lose_attempts(&mut self) {
        self.secrets.clear();
        self.inputs.clear();
        self.masked.clear();
    }
}
