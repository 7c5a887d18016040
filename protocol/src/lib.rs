// SPDX-License-Identifier: Apache-2.0
//! One round of secure aggregation, both sides, without input or output.
//!
//! The protocol is Bonawitz et al. 2017 ("Practical Secure Aggregation for Privacy-Preserving Machine Learning",
//! CCS), active-adversary variant on the complete graph, with fresh keys in each attempt, a cohort that is fixed
//! late, and masks bound to the whole transcript.
//!
//! Five names to know: [`RoundPlan`] (the public parameters), [`SiloMachine`] and [`CoordinatorMachine`] (the two
//! sides), [`Delivery`] (the only thing that travels) and [`Fault`] (what a peer did wrong).
//!
//! The crate opens no socket and no file, knows no clock and draws no randomness of its own: drivers pass events,
//! time and a random source in and perform the effects that come out, after they have persisted the snapshot.

mod book;
mod byte_string;
mod certificate;
mod challenge;
mod coordinator;
mod deal;
mod defence;
mod effect;
mod envelope;
mod evidence;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod example_plan;
mod fault;
mod id;
mod log_verifier;
mod mask_job;
mod membership;
mod memory;
mod message;
mod outgoing;
mod ready_grid;
mod release;
mod replay;
mod round_plan;
mod secrets;
mod signed_list;
mod silo;
mod sum_chunks;
mod unmask;

pub use challenge::{InnerProduct, TagJob};
pub use coordinator::{
    Accusation, CoordinatorMachine, CoordinatorSurroundings, Deadlines, RevealSource,
};
pub use effect::{CoordinatorEffect, CoordinatorEvent, RecordKind, SiloEffect, SiloEvent};
pub use envelope::{Delivery, Envelope, Sender, peek_plan};
pub use evidence::{Charge, Evidence, EvidenceFault, Judgement, Standing};
pub use fault::Fault;
pub use id::{AttemptId, SiloName, SiloNameFault};
pub use log_verifier::LogVerifier;
pub use mask_job::{MaskJob, chunk_digest, upload_root};
pub use membership::{Membership, SiloKeys};
pub use message::{
    CoordinatorMessage, Release, RevealedShare, SecretKind, SiloMessage, Verification,
};
pub use outgoing::{Beside, DealSource, Outgoing};
pub use ready_grid::{
    READY_GRID_MILLISECONDS, WorkloadFault, check_workload, ready_grid_milliseconds,
};
pub use release::{VerifiedBy, VerifiedSum, verify_release};
pub use replay::{ReplayJob, ReplayOutcome, ReplaySource};
pub use round_plan::{
    CHUNK_FIELDS, MOST_SILOS, MaskCipher, PROTOCOL_VERSION, PlanFault, RoundPlan, Thresholds,
};
pub use silo::{RestoreFault, SiloMachine, SiloSurroundings};
/// Defences that a test takes away, to show that the attack which each one stops is real.
#[cfg(feature = "insecure_for_test")]
pub mod insecure_for_test {
    pub use crate::defence::{Defence, without};
}

pub use sum_chunks::SumChunks;
pub use unmask::{ChunkSource, SumSink, UnmaskFault, UnmaskJob};
