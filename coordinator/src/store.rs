// SPDX-License-Identifier: Apache-2.0
//! What the coordinator must not forget, behind one trait.
//!
//! Every method is one transaction. Implementations: [`sqlite::SqliteStore`] for real, `memory::MemoryStore` for
//! tests; both pass the suite in `contract.rs`. Calls block: shells run them through [`StoreHandle`].

use crate::study::{Attempt, Study, StudyState};
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::{Signature, VerifyingKey};
use consilium_protocol::{AttemptId, SiloName};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(test)]
mod contract;
#[cfg(test)]
mod memory;
pub mod sqlite;

/// The coordinator's durable state.
pub trait Store: Send {
    /// Keeps an invitation under the digest of its token.
    fn add_invitation(&mut self, token: &Digest, invitation: &str) -> Result<(), StoreFault>;

    /// The invitation of this token.
    fn invitation(&self, token: &Digest) -> Result<Option<StoredInvitation>, StoreFault>;

    /// Redeems an invitation and keeps its participant. The same participant may redeem it again, in case the
    /// first answer was lost; nobody else may.
    fn enrol(&mut self, token: &Digest, participant: &Participant) -> Result<(), StoreFault>;

    /// Everybody who joined, by name.
    fn participants(&self) -> Result<Vec<Participant>, StoreFault>;

    /// Keeps a roster version, replacing its earlier form (a draft gathers signatures).
    fn save_roster(&mut self, roster: &StoredRoster) -> Result<(), StoreFault>;

    /// Every roster version, oldest first.
    fn rosters(&self) -> Result<Vec<StoredRoster>, StoreFault>;

    /// Keeps a new study under the next sequence number, which it returns.
    fn add_study(&mut self, study: &Study) -> Result<u64, StoreFault>;

    /// Replaces the record of a study.
    fn save_study(&mut self, study: &Study) -> Result<(), StoreFault>;

    /// One study.
    fn study(&self, id: &str) -> Result<Option<Study>, StoreFault>;

    /// Every study, oldest first.
    fn studies(&self) -> Result<Vec<Study>, StoreFault>;

    /// The oldest study in one of these states.
    fn oldest_study(&self, states: &[StudyState]) -> Result<Option<Study>, StoreFault>;

    /// The next number of the federation's rounds; never the same twice.
    fn next_round(&mut self) -> Result<u64, StoreFault>;

    /// Keeps the attempt in flight together with its study.
    fn save_attempt(&mut self, study: &Study, attempt: &Attempt) -> Result<(), StoreFault>;

    /// The attempt in flight.
    fn attempt(&self) -> Result<Option<Attempt>, StoreFault>;

    /// Ends the attempt in flight, and keeps what it released.
    fn end_attempt(
        &mut self,
        study: &Study,
        release: Option<&StoredRelease>,
    ) -> Result<(), StoreFault>;

    /// Every release of a study, oldest first.
    fn releases(&self, study_id: &str) -> Result<Vec<StoredRelease>, StoreFault>;

    /// The newest release of whatever study.
    fn newest_release(&self) -> Result<Option<StoredRelease>, StoreFault>;

    /// Remembers where the log holds a silo's start.
    fn add_start(&mut self, start: &StoredStart) -> Result<(), StoreFault>;

    /// The latest start of a silo.
    fn last_start(&self, silo: &SiloName) -> Result<Option<StoredStart>, StoreFault>;

    /// Remembers the newest release that a silo has signed as verified.
    fn accept_release(&mut self, acceptance: &StoredAcceptance) -> Result<(), StoreFault>;

    /// The newest release that each silo has signed as verified.
    fn acceptances(&self) -> Result<Vec<StoredAcceptance>, StoreFault>;
}

/// An invitation as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredInvitation {
    /// The record, as the certs crate writes it.
    pub invitation: String,
    /// The identity key of whoever redeemed it.
    pub redeemed_by: Option<VerifyingKey>,
}

/// Somebody who joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// The name of the invitation.
    pub name: String,
    /// The role of the invitation, in the words of the certs crate.
    pub role: String,
    /// Signs what the participant says.
    pub identity: VerifyingKey,
    /// Cosigns the log, when it is a silo.
    pub witness: Option<VerifyingKey>,
    /// Unix milliseconds.
    pub joined_milliseconds: u64,
}

/// A roster version as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRoster {
    /// The version.
    pub version: u64,
    /// Whether enough members signed it.
    pub published: bool,
    /// The roster with its signatures, as the certs crate writes it.
    pub text: String,
}

/// A released sum and its trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRelease {
    /// The study.
    pub study_id: String,
    /// The federation's round.
    pub round: u64,
    /// The signed Release, as sent; the proof beside it is made anew whenever it is sent again.
    pub delivery: Vec<u8>,
    /// Where the packed sum lies among the blobs.
    pub sum: Digest,
    /// Where the log holds the commitment to the sum.
    pub commitment_index: u64,
    /// Where the log holds the release.
    pub release_index: u64,
}

/// A silo's signature under a released sum that it verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAcceptance {
    /// Which silo.
    pub silo: SiloName,
    /// The attempt.
    pub id: AttemptId,
    /// H(S).
    pub sum: Digest,
    /// By the silo's witness key.
    pub signature: Signature,
}

/// A silo's start as logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredStart {
    /// Which silo.
    pub silo: SiloName,
    /// What it drew at its start.
    pub nonce: Digest,
    /// Where the log holds it.
    pub log_index: u64,
}

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The database failed.
    #[error("the coordinator's database failed; check the disk of its folder")]
    Database(#[from] rusqlite::Error),
    /// A record cannot be read.
    #[error("a record in table `{table}` cannot be read; restore the folder from a backup")]
    Record {
        /// Which table.
        table: &'static str,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A file of a later version.
    #[error(
        "the database has version {found}, this program knows version {known}: run a newer program"
    )]
    Version {
        /// What the file says.
        found: u32,
        /// What this program reads.
        known: u32,
    },
    /// No such invitation.
    #[error("no invitation has this token; ask the operator for a new one")]
    UnknownInvitation,
    /// Somebody else used the token.
    #[error("the invitation was already used; ask the operator for a new one")]
    RedeemedInvitation,
    /// A name that is taken.
    #[error(
        "`{0}` has already joined with another key; ask the operator for an invitation under another name"
    )]
    TakenName(String),
    /// No such study.
    #[error("no study has the id `{0}`")]
    UnknownStudy(String),
    /// The same study twice.
    #[error("the study `{0}` was already submitted")]
    RepeatedStudy(String),
    /// The thread that ran the call ended early.
    #[error("a call to the database did not return")]
    Interrupted,
}

/// A store shared by the tasks of the service; each call runs where blocking is allowed.
#[derive(Clone)]
pub struct StoreHandle(Arc<Mutex<Box<dyn Store>>>);

impl StoreHandle {
    /// Shares a store.
    pub fn new(store: impl Store + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(store))))
    }

    /// Runs `call` on the store.
    pub async fn with<T, F>(&self, call: F) -> Result<T, StoreFault>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Store) -> Result<T, StoreFault> + Send + 'static,
    {
        let store = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            call(
                store
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .as_mut(),
            )
        })
        .await
        .map_err(|_| StoreFault::Interrupted)?
    }
}

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("StoreHandle")
    }
}
