// SPDX-License-Identifier: Apache-2.0
//! This silo as a witness of the shared log: it cosigns only what extends what it cosigned before.

use consilium_audit::entry::EventKind;
use consilium_audit::entry::Outcome;
use consilium_audit::witness::CosignRefusal;
use consilium_crypto::digest::Digest;
use consilium_wire::v1::{self, silo_frame};
use tracing::{error, warn};

use super::{Agent, AgentFault, now_milliseconds};
use crate::attempt_files::Reached;
use crate::explain;
use crate::own_log::with_details;

impl Agent {
    /// A checkpoint that this silo cosigned, it is said, and that it may have forgotten.
    ///
    /// SECURITY: with the whole folder the memory of what was spent and answered is put back too, and nothing inside the
    /// folder shows it. Only this silo's own signature is believed; a coordinator can keep it back, and cannot make one.
    pub(super) fn compare_with_own(&mut self, shown: &str) -> Result<(), AgentFault> {
        let Some(forgotten) = self.shared_log.cosigned_by(&self.witness, shown) else {
            return Ok(());
        };
        let remembered = self.witness.head().size;
        if forgotten <= remembered {
            return Ok(());
        }
        if remembered == 0 {
            // What docs/operating.md says to do after a loss: journal, ledger and attempts begin anew.
            warn!(
                cosigned = forgotten,
                "this folder begins anew, and this silo has cosigned the log before; the policy's budget must leave out \
                 what was spent"
            );
            let begun = self.own_log.event(EventKind::SystemRecovered)?;
            let size = forgotten.to_string();
            self.own_log
                .record(&with_details(begun, &[("cosigned_before", &size)]))?;
            return Ok(());
        }
        let known = Reached {
            step: self.step_number,
            cosigned: forgotten,
        };
        // The next start stops before it connects.
        self.files.record_reached(known)?;
        Err(AgentFault::old_journal(
            &self.folder,
            Reached {
                cosigned: remembered,
                ..known
            },
            known,
        ))
    }

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
