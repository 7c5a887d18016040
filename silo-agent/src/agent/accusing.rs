// SPDX-License-Identifier: Apache-2.0
//! What the coordinator signed and this silo refused: kept in its own log, for whoever judges it.

use std::collections::BTreeSet;

use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_protocol::{AttemptId, Charge, Envelope, Evidence, Fault, Sender};
use tracing::{error, warn};

use super::{Agent, AgentFault};
use crate::explain;

/// The evidence that this process has written down over messages which changed nothing.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeSet<Digest>);

impl Refusals {
    /// Whether this is to be written down: it is new, and no flood.
    fn admits(&mut self, evidence: Digest) -> bool {
        self.0.len() < MOST_REFUSALS && self.0.insert(evidence)
    }
}

impl Agent {
    /// A message that the coordinator signed changed nothing here; it may have to answer for it elsewhere.
    pub(super) fn refused(
        &mut self,
        study: &str,
        id: AttemptId,
        fault: &Fault,
        message: Envelope,
    ) -> Result<(), AgentFault> {
        let reason = explain(fault);
        warn!(study, %id, "a message of the coordinator was refused: {reason}");
        let evidence = against_the_coordinator(fault, &[message]);
        if !self.refusals.admits(sha256(&evidence)) || self.own_log.holds_accusation(&evidence)? {
            return Ok(());
        }
        self.accuse_the_coordinator(study, id, &reason, &evidence)?;
        Ok(self.own_log.sign_head()?)
    }

    /// Writes an accusation down with its evidence.
    pub(super) fn accuse_the_coordinator(
        &mut self,
        study: &str,
        id: AttemptId,
        reason: &str,
        evidence: &[u8],
    ) -> Result<(), AgentFault> {
        error!(study, %id, "the coordinator's signed messages are kept as evidence: {reason}");
        let kept = self.own_log.keep(evidence)?;
        Ok(self.own_log.accuse(study, id, reason, kept)?)
    }
}

/// The evidence as it is kept. Two questions where one may be prove themselves; what else a silo refuses is for the judge.
pub(super) fn against_the_coordinator(fault: &Fault, messages: &[Envelope]) -> Vec<u8> {
    let charge = match (fault, messages) {
        (Fault::Equivocation { .. }, [first, second])
            if first.peek_name() == second.peek_name() =>
        {
            Charge::SecondAnswer {
                first: first.clone(),
                second: second.clone(),
            }
        }
        _ => Charge::Messages {
            messages: messages.to_vec(),
        },
    };
    let evidence = Evidence::new(Sender::Coordinator, charge);
    serde_json::to_vec(&evidence).unwrap_or_default()
}

/// In one life of the process, each at most as long as two messages of the wire: a flood fills neither log nor disk.
const MOST_REFUSALS: usize = 16;
