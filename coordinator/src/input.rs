// SPDX-License-Identifier: Apache-2.0
//! Everything that reaches the scheduler, in the order in which it happens.

use consilium_protocol::{AttemptId, Delivery, SiloName};
use consilium_wire::v1;
use tokio::sync::oneshot;

/// Inputs that may wait. A session whose frames come faster waits itself.
pub(crate) const INPUTS_WAITING: usize = 256;

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// A silo opened a session.
    Opened(SiloName),
    /// A silo has been without a session for too long.
    Gone(SiloName),
    /// A silo answered an offer.
    Consent {
        /// Which silo.
        from: SiloName,
        /// What it said.
        consent: v1::Consent,
    },
    /// A silo's message of the protocol.
    Delivered {
        /// Over whose session.
        from: SiloName,
        /// The message.
        delivery: Delivery,
    },
    /// Chunks of a silo's masked vector are on the disk.
    Spooled {
        /// Which silo.
        from: SiloName,
        /// Which attempt.
        id: AttemptId,
        /// Their length.
        bytes: u64,
        /// Whether every chunk is there now.
        complete: bool,
    },
    /// A silo sent a chunk that cannot be part of the upload whose root it signed.
    BadChunk {
        /// Which silo.
        from: SiloName,
        /// Which attempt.
        id: AttemptId,
        /// What is wrong with it.
        reason: String,
        /// The chunk and its place, if it is under that root and no packed words.
        unpacked: Option<(u64, Vec<u8>)>,
    },
    /// A silo takes no further part in a study.
    Declined {
        /// Which silo.
        from: SiloName,
        /// Which study.
        study_id: String,
        /// One word.
        reason: String,
    },
    /// A study was submitted.
    Submitted,
    /// Somebody cancels a study.
    Cancel {
        /// Which study.
        study_id: String,
        /// Why, in words.
        reason: String,
        /// Told once the study's end cannot be forgotten, or why the study does not end by this.
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// Another roster is in force.
    RosterChanged,
    /// The service stops in good order.
    Stop,
}
