// SPDX-License-Identifier: Apache-2.0
//! This silo as a witness of the shared log: it cosigns only what extends what it cosigned before.

use consilium_audit::entry::EventKind;
use consilium_audit::entry::Outcome;
use consilium_audit::witness::CosignRefusal;
use consilium_crypto::digest::Digest;
use consilium_wire::v1::{self, silo_frame};
use tracing::{error, warn};

use super::{Agent, AgentFault, now_milliseconds};
use crate::explain;
use crate::own_log::with_details;

impl Agent {
    /// A checkpoint to cosign, with the proof that it extends the last one.
    pub(super) fn cosign(&mut self, request: &v1::CosignRequest) -> Result<(), AgentFault> {
        let proof: Option<Vec<Digest>> = request
            .consistency
            .iter()
            .map(|hash| Digest::try_from(hash.as_slice()).ok())
            .collect();
        let Some(proof) = proof else {
            warn!("a checkpoint came with a malformed proof; it was not cosigned");
            return Ok(());
        };
        let seconds = now_milliseconds() / 1000;
        match self
            .witness
            .cosign(&request.checkpoint, request.old_size, &proof, seconds)
        {
            Ok(line) => {
                let head = self.witness.head().clone();
                self.journal.record_witnessed(&head)?;
                self.record_reached()?;
                let (size, root) = (head.size.to_string(), head.root.to_string());
                let cosigned = self.own_log.event(EventKind::AuditCosigned)?;
                self.own_log
                    .record(&with_details(cosigned, &[("size", &size), ("root", &root)]))?;
                self.log_size.send_replace(head.size);
                self.send(silo_frame::Frame::Cosignature(v1::Cosignature {
                    size: head.size,
                    root: head.root.as_bytes().to_vec(),
                    line: line.to_string(),
                }));
                Ok(())
            }
            Err(refusal) => self.refuse_to_cosign(&refusal),
        }
    }

    fn refuse_to_cosign(&mut self, refusal: &CosignRefusal) -> Result<(), AgentFault> {
        let reason = explain(refusal);
        let mut refused = self
            .own_log
            .event(EventKind::AuditCosignatureRefused)?
            .with_outcome(Outcome::Refused);
        if let CosignRefusal::Fork {
            cosigned, offered, ..
        } = refusal
        {
            error!("the coordinator shows two different logs; both heads are kept as evidence");
            for (name, note) in [("cosigned", cosigned), ("offered", offered)] {
                let kept = self.own_log.keep(note.as_bytes())?;
                refused = refused.with_reference(name, kept);
            }
        } else {
            warn!("a checkpoint was not cosigned: {reason}");
        }
        self.own_log
            .record(&with_details(refused, &[("reason", &reason)]))?;
        Ok(self.own_log.sign_head()?)
    }
}
