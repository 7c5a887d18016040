// SPDX-License-Identifier: Apache-2.0
//! Silos that misbehave, and attempts that end without a sum: each entry of the log names its evidence, which lies among
//! the log's objects for whoever has the log. One entry for each silo and attempt.

use super::RoundDriver;
use super::pending::{Record, RecordedKind};
use crate::study_run::RunFault;
use consilium_crypto::digest::Digest;
use consilium_protocol::{
    Accusation, Charge, CoordinatorEvent, CoordinatorMachine, Envelope, Evidence, Sender, SiloName,
};
use serde::Serialize;
use std::sync::Arc;

impl RoundDriver<'_, '_> {
    /// Writes down what the machine accuses a silo of, if it is the first thing.
    pub(super) async fn accuse(&mut self, accusation: Accusation) -> Result<(), RunFault> {
        if !self.is_first(&accusation.silo) {
            return Ok(());
        }
        let (silo, reason) = (accusation.silo.clone(), accusation.fault.to_string());
        tracing::warn!(%silo, %reason, "a silo misbehaved");
        let reveals = self.run.federation.spool.reveals_of(self.plan.id);
        let trail = self.trail();
        let evidence =
            tokio::task::spawn_blocking(move || accusation.evidence(trail, &reveals)).await;
        let evidence = evidence
            .map_err(|_| RunFault::BrokeOff)?
            .map_err(RunFault::Evidence)?;
        self.record_misbehaviour(silo, reason, &evidence).await
    }

    /// Gives up an attempt whose sum cannot be recovered, and says whose upload that is.
    pub(super) async fn accuse_upload(
        &mut self,
        silo: Option<SiloName>,
        reason: String,
        unpacked: Option<(u64, Vec<u8>)>,
    ) -> Result<(), RunFault> {
        self.pending.records.clear();
        if let Some(silo) = silo {
            self.record_upload(silo, reason.clone(), unpacked).await?;
        }
        self.handle(CoordinatorEvent::Cancel { reason }).await?;
        Ok(())
    }

    /// A session refused a chunk: it is held against the root that the silo signed.
    pub(super) async fn chunk_refused(
        &mut self,
        silo: SiloName,
        reason: String,
        unpacked: Option<(u64, Vec<u8>)>,
    ) -> Result<(), RunFault> {
        self.pending.records.clear();
        self.record_upload(silo, reason, unpacked).await?;
        self.write_accusations().await
    }

    /// The digests that came with a signed root are not under it.
    pub(super) async fn digests_refused(
        &mut self,
        silo: SiloName,
        signed: Envelope,
    ) -> Result<(), RunFault> {
        if !self.is_first(&silo) {
            return Ok(());
        }
        let reason = "the digests of its chunks do not give the root that it signed";
        tracing::warn!(%silo, %reason, "an upload was refused");
        let charge = Charge::OtherUpload { signed };
        let evidence = Evidence::new(Sender::Silo(silo.clone()), charge);
        self.pending.records.clear();
        self.record_misbehaviour(silo, reason.to_owned(), &evidence)
            .await?;
        self.write_accusations().await
    }

    /// Keeps the message that ends the attempt, for the entry that says so; with it the evidence that ended it.
    pub(super) async fn keep_abandon(&mut self, abandon: Arc<Envelope>) -> Result<(), RunFault> {
        let kept = self.keep_object(&*abandon).await?;
        let records = self.pending.records.iter();
        let evidence = records.rev().find_map(|record| record.evidence);
        for record in &mut self.pending.records {
            if record.kind == RecordedKind::Abandoned {
                record.message = Some(kept);
                record.evidence = evidence;
            }
        }
        Ok(())
    }

    /// What shows that an upload is no part of a sum: the chunk under the signed root, or the root alone.
    async fn record_upload(
        &mut self,
        silo: SiloName,
        reason: String,
        unpacked: Option<(u64, Vec<u8>)>,
    ) -> Result<(), RunFault> {
        if !self.is_first(&silo) {
            return Ok(());
        }
        tracing::warn!(%silo, %reason, "an upload was refused");
        let (spool, id, name) = (
            Arc::clone(&self.run.federation.spool),
            self.plan.id,
            silo.clone(),
        );
        let announced = tokio::task::spawn_blocking(move || spool.announced(id, &name)).await;
        let announced = announced.map_err(|_| RunFault::BrokeOff)??;
        let (signed, digests) =
            announced.ok_or(RunFault::Incomplete("a refused upload was never announced"))?;
        let charge = match unpacked {
            Some((index, chunk)) => Charge::NotPacked {
                signed,
                digests,
                index,
                chunk,
            },
            None => Charge::OtherUpload { signed },
        };
        let evidence = Evidence::new(Sender::Silo(silo.clone()), charge).within(self.trail());
        self.record_misbehaviour(silo, reason, &evidence).await
    }

    async fn record_misbehaviour(
        &mut self,
        silo: SiloName,
        reason: String,
        evidence: &Evidence,
    ) -> Result<(), RunFault> {
        let kept = self.keep_object(evidence).await?;
        let mut record = Record::new(RecordedKind::Misbehaviour, kept, vec![silo]);
        record.evidence = Some(kept);
        record.reason = Some(reason);
        self.pending.records.push(record);
        Ok(())
    }

    /// Of a silo without whose upload the attempt goes on.
    async fn write_accusations(&mut self) -> Result<(), RunFault> {
        if self.pending.records.is_empty() {
            return Ok(());
        }
        self.carry_out(Vec::new()).await
    }

    /// Everything that this side has signed in the attempt.
    fn trail(&self) -> Vec<Envelope> {
        let machine = self.machine.as_ref();
        machine.map_or_else(Vec::new, |machine: &CoordinatorMachine| {
            machine.trail().collect()
        })
    }

    fn is_first(&mut self, silo: &SiloName) -> bool {
        self.pending.accused.insert(silo.clone())
    }

    /// Among the log's objects, as JSON.
    async fn keep_object(&self, object: &impl Serialize) -> Result<Digest, RunFault> {
        let bytes = serde_json::to_vec(object).map_err(|fault| RunFault::Evidence(fault.into()))?;
        let log = &self.run.federation.log;
        Ok(log.with(move |log| log.put_object(&bytes)).await?)
    }
}
