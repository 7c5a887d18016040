// SPDX-License-Identifier: Apache-2.0
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
//! An append-only log with proofs, checkpoints and cosignatures that third parties can verify.
//!
//! Names to know:
//!
//! - [`entry::Event`]: something that happened, one JSON line once it has its place;
//! - [`log::Log`]: the log in its folder, which acknowledges nothing that a power cut can take back;
//! - [`checkpoint::CheckpointNote`]: the log's signed head; [`witness::Witness`]: a silo that cosigns it;
//! - [`proof::LogProof`]: one entry with all that is needed to believe it, offline;
//! - [`verify::verify_directory`]: everything in a log's folder checked, nothing of it trusted.
//!
//! Formats are those of C2SP (tlog-tiles, tlog-checkpoint, tlog-cosignature, tlog-proof, tlog-policy) and the hash tree
//! of RFC 6962, so that programs we did not write can read and check the log.
//!
//! What this crate refuses to do: it asks no clock, draws no random number, opens no socket, and touches files only in
//! [`log`] and [`verify`]. It logs no number computed from patient data.

pub mod acceptance;
pub mod checkpoint;
pub mod entry;
pub mod log;
pub mod note;
pub mod proof;
pub mod tile;
pub mod time;
pub mod tree;
pub mod trust;
pub mod verify;
pub mod witness;

pub use self::{
    acceptance::{ACCEPTANCES, Acceptances, AcceptedRelease},
    checkpoint::{Checkpoint, CheckpointNote},
    entry::{
        Actor, ActorRole, AggregationStatement, Entry, Event, EventKind, Outcome, PolicyReference,
        PrivacyStatement, StudyReference,
    },
    log::{Cosignatures, Log, LogFault, Recovery},
    note::{NoteSigner, NoteVerifier, SignedNote},
    proof::{LogProof, ProofFault},
    time::Timestamp,
    trust::TrustPolicy,
    verify::{Verdict, VerifyReport, verify_directory, verify_directory_with},
    witness::{CosignRefusal, Witness, WitnessHead, WitnessSet},
};
