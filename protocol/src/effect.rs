// SPDX-License-Identifier: Apache-2.0
//! What the two state machines are told and what they ask their drivers to do.
//!
//! A driver persists the machine's snapshot before it performs any effect but `KeepDeal` and `KeepReveal`.

use crate::challenge::{InnerProduct, TagJob};
use crate::coordinator::Accusation;
use crate::envelope::{Delivery, Envelope};
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::mask_job::MaskJob;
use crate::outgoing::Outgoing;
use crate::release::VerifiedSum;
use crate::replay::{ReplayJob, ReplayOutcome};
use crate::round_plan::RoundPlan;
use crate::sum_chunks::SumChunks;
use crate::unmask::UnmaskJob;
use consilium_crypto::digest::Digest;
use consilium_crypto::mersenne::Element;
use consilium_crypto::secret::Secret;

/// What a silo is told.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an event is handled at once and never stored"
)]
pub enum SiloEvent {
    /// An Open arrived for a study that the silo consented to.
    Opened {
        /// As received.
        delivery: Delivery,
        /// The plan as the silo derived it from the study and its own model.
        expected: RoundPlan,
    },
    /// Any other message of the coordinator arrived.
    Delivered(Delivery),
    /// The vector is computed, clipped, quantised, noised and stored.
    Prepared {
        /// For which attempt.
        id: AttemptId,
        /// Digest of the vector.
        input: Digest,
    },
    /// The masked vector is spooled whole.
    Masked {
        /// For which attempt.
        id: AttemptId,
        /// Merkle root over its chunks.
        root: Digest,
        /// Bytes of all chunks.
        length: u64,
    },
    /// The inner product of the challenge with the stored vector is known.
    Tagged {
        /// For which attempt.
        id: AttemptId,
        /// What [`TagJob`] gave.
        product: Secret<Element>,
    },
    /// This silo's part of the sum was computed again.
    Replayed {
        /// For which attempt.
        id: AttemptId,
        /// What [`ReplayJob`] found.
        outcome: ReplayOutcome,
    },
    /// A Release arrived, and before it the sum.
    Released {
        /// As received.
        delivery: Delivery,
        /// The sum, chunk by chunk.
        sum: SumChunks,
    },
    /// The driver cannot go on with this attempt.
    Abandon {
        /// For which attempt.
        id: AttemptId,
        /// Why, in words.
        reason: String,
    },
}

/// What a silo asks of its driver.
#[derive(Debug)]
pub enum SiloEffect {
    /// Send now.
    Send(Delivery),
    /// Send at the next time of the public grid, which runs from the arrival of Open.
    SendOnGrid(Delivery),
    /// Compute, clip, quantise and noise the local vector; then `Prepared`.
    Train(RoundPlan),
    /// Mask the stored vector into the spool on a CPU pool; then `Masked`.
    Mask(MaskJob),
    /// Send the signed root, then stream the spooled chunks under it.
    Upload {
        /// For which attempt.
        id: AttemptId,
        /// What the chunks must hash to.
        root: Digest,
        /// The message that signs the root.
        signed: Delivery,
    },
    /// Take the stored vector into the inner product on a CPU pool; then `Tagged`.
    Tag(TagJob),
    /// Fetch the sum and the survivors' uploads from the coordinator and compute this silo's part again; then `Replayed`.
    Replay(ReplayJob),
    /// Erase the attempt's secrets file and stored vectors' masks.
    EraseSecrets,
    /// A released sum has been verified.
    Finished(VerifiedSum),
    /// The attempt is over for this silo.
    Aborted {
        /// Which attempt.
        id: AttemptId,
        /// Why.
        fault: Fault,
        /// The signed messages that prove it.
        evidence: Vec<Envelope>,
    },
    /// A message was discarded without a change of state.
    Rejected(Fault),
    /// The same of a message that the coordinator signed and should not have.
    Refused {
        /// Of which attempt.
        id: AttemptId,
        /// What is wrong with it.
        fault: Fault,
        /// As received.
        message: Envelope,
    },
}

/// What the coordinator is told.
#[derive(Debug)]
pub enum CoordinatorEvent {
    /// A silo's message arrived.
    Delivered {
        /// Over whose authenticated session.
        from: SiloName,
        /// As received.
        delivery: Delivery,
    },
    /// All chunks of a silo's upload are spooled.
    Uploaded {
        /// Whose.
        from: SiloName,
        /// Merkle root over the spooled chunks.
        root: Digest,
        /// Bytes of all chunks.
        length: u64,
    },
    /// A silo's session has been closed for long enough to count as dropped.
    Gone(SiloName),
    /// A silo's session is open again.
    Back(SiloName),
    /// The time has moved on.
    Tick,
    /// The unmasking has ended.
    Summed {
        /// H(S).
        digest: Digest,
    },
    /// H(S) is logged and cosigned by a quorum.
    SumLogged {
        /// The log proof, which is the same for every silo.
        proof: Vec<u8>,
    },
    /// The inner product of the challenge with the sum is known.
    Checked {
        /// What [`InnerProduct`] gave.
        product: InnerProduct,
    },
    /// Somebody ends the attempt.
    Cancel {
        /// Why, in words.
        reason: String,
    },
}

/// What the coordinator asks of its driver.
#[derive(Debug)]
pub enum CoordinatorEffect {
    /// Send now.
    Send {
        /// To whom.
        to: SiloName,
        /// What.
        outgoing: Outgoing,
    },
    /// Keep these on the disk, under the name of their dealer, until the attempt is over. Comes before the snapshot is
    /// stored: the snapshot counts on them.
    KeepDeal {
        /// Whose deal.
        dealer: SiloName,
        /// One for every entry of the KeyBook, in its order.
        ciphertexts: Vec<Vec<u8>>,
    },
    /// Keep this on the disk, under the name of its silo, until the attempt is over; a later one counts instead of an
    /// earlier. Comes before the snapshot is stored, too.
    KeepReveal {
        /// Whose.
        silo: SiloName,
        /// As it came.
        reveal: Envelope,
    },
    /// Write this to the audit log, with its evidence, before anything is sent.
    Accuse(Accusation),
    /// Write to the audit log before anything is sent.
    Record {
        /// What happened.
        kind: RecordKind,
        /// The digest of the message or list.
        digest: Digest,
        /// The silos concerned.
        silos: Vec<SiloName>,
    },
    /// Recover the sum on a CPU pool; then `Summed`.
    Unmask(UnmaskJob),
    /// Log H(S) and gather a quorum of cosignatures; then `SumLogged`.
    CommitSum(Digest),
    /// Take the sum into the inner product on a CPU pool; then `Checked`.
    CheckSum(InnerProduct),
    /// The sum is released.
    Released {
        /// Whose inputs it holds.
        survivors: Vec<SiloName>,
        /// Which invited silos it does not hold.
        dropped: Vec<SiloName>,
    },
    /// The attempt ended without a sum.
    Abandoned {
        /// Why, in words.
        reason: String,
        /// In which phase.
        phase: &'static str,
        /// Whether inputs had been masked, so that the attempt stays charged.
        charged: bool,
    },
    /// A message was discarded without a change of state.
    Rejected {
        /// Who sent it.
        from: SiloName,
        /// Why.
        fault: Fault,
    },
}

/// The events of a round that the shared log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// An attempt was opened.
    Opened,
    /// The KeyBook was published.
    KeyBook,
    /// The DealBook was published.
    DealBook,
    /// The cohort was frozen.
    Frozen,
    /// Survivors were proposed.
    Proposed,
    /// The certificate was formed.
    Certified,
    /// Tags were missing or did not add up: survivors were asked to compute the sum again.
    Replayed,
    /// A release was published.
    Released,
    /// The attempt was abandoned.
    Abandoned,
}
