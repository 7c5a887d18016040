// SPDX-License-Identifier: Apache-2.0
//! What a silo has on its disk: a journal that backups copy, and the files of running attempts, which they do not.

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
    /// The highest attempt that ever had files here.
    pub(crate) highest: Option<AttemptId>,
    /// Copies of the journal, the oldest first, with the secrets if somebody was careless.
    pub(crate) backups: Vec<(Journal, Option<Vec<u8>>)>,
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
            highest: None,
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

    /// Copies the journal.
    pub(crate) fn back_up(&mut self, with_secrets: bool) {
        let secrets = self.secrets().filter(|_| with_secrets).cloned();
        self.backups.push((self.journal.clone(), secrets));
    }

    /// Puts a copy back, counted from the newest; `false` when there is none, or when it is what the disk holds.
    pub(crate) fn put_back(&mut self, copy: u32) -> bool {
        let count = self.backups.len();
        let Some(from_newest) = usize::try_from(copy)
            .ok()
            .and_then(|copy| copy.checked_rem(count))
        else {
            return false;
        };
        let Some((journal, secrets)) = self.backups.get(count - 1 - from_newest).cloned() else {
            return false;
        };
        if journal.step == self.journal.step {
            return false;
        }
        if let Some((id, secrets)) = journal.secrets_of.zip(secrets) {
            self.secrets.insert((id, journal.step), secrets);
        }
        self.torn = None;
        self.journal = journal;
        true
    }

    /// Loses the files of running attempts, but not the knowledge that there were some.
    pub(crate) fn lose_attempts(&mut self) {
        self.secrets.clear();
        self.inputs.clear();
        self.masked.clear();
    }
}
