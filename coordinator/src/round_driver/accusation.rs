// SPDX-License-Identifier: Apache-2.0
//! Silos that misbehave: one entry of the log for each and attempt, with the evidence among the log's objects.

use super::RoundDriver;
use super::pending::{Record, RecordedKind};
use crate::study_run::RunFault;
use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_protocol::{CoordinatorEffect, CoordinatorEvent, Envelope, RecordKind, SiloName};
use serde::Serialize;

impl RoundDriver<'_, '_> {
    /// Takes the accusations out of the effects and keeps the first of each silo. `evidence` is the message that was
    /// handled, if one was.
    pub(super) async fn accuse(
        &mut self,
        effects: &mut Vec<CoordinatorEffect>,
        evidence: Option<Envelope>,
    ) -> Result<(), RunFault> {
        let accusations = effects.extract_if(.., |effect| {
            let kind = RecordKind::Misbehaviour;
            matches!(effect, CoordinatorEffect::Record { kind: recorded, .. } if *recorded == kind)
        });
        for accusation in accusations.collect::<Vec<_>>() {
            let CoordinatorEffect::Record { digest, silos, .. } = accusation else {
                continue;
            };
            if !self.is_first(silos.first()) {
                continue;
            }
            let mut record = Record::new(RecordedKind::Misbehaviour, digest, silos);
            let proof = evidence.as_ref().filter(|proof| proof.digest() == digest);
            if let Some(proof) = proof {
                record.evidence = Some(match self.first_answer(record.silo(), proof) {
                    Some(first) => self.keep_evidence(&[&first, proof]).await?,
                    None => self.keep_evidence(proof).await?,
                });
            }
            self.pending.records.push(record);
        }
        Ok(())
    }

    /// Gives up an attempt whose sum cannot be recovered, and says whose upload that is.
    pub(super) async fn accuse_upload(
        &mut self,
        silo: Option<SiloName>,
        reason: String,
    ) -> Result<(), RunFault> {
        self.pending.records.clear();
        if let Some(silo) = silo.filter(|silo| self.is_first(Some(silo))) {
            let digest = sha256(reason.as_bytes());
            let mut record = Record::new(RecordedKind::Misbehaviour, digest, vec![silo]);
            record.reason = Some(reason.clone());
            self.pending.records.push(record);
        }
        let cancel = CoordinatorEvent::Cancel { reason };
        self.handle(cancel, None).await?;
        Ok(())
    }

    pub(super) fn is_first(&mut self, silo: Option<&SiloName>) -> bool {
        silo.is_some_and(|silo| self.pending.accused.insert(silo.clone()))
    }

    /// What a silo had said before it said something else.
    fn first_answer(&self, silo: Option<&SiloName>, second: &Envelope) -> Option<Envelope> {
        let machine = self.machine.as_ref()?;
        machine.first_answer(silo?, second).cloned()
    }

    /// Keeps a signed message, or a list of two that contradict each other.
    pub(super) async fn keep_evidence(
        &self,
        proof: &(impl Serialize + ?Sized),
    ) -> Result<Digest, RunFault> {
        let bytes = serde_json::to_vec(proof).unwrap_or_default();
        let log = &self.run.federation.log;
        Ok(log.with(move |log| log.put_object(&bytes)).await?)
    }
}
