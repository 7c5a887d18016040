// SPDX-License-Identifier: Apache-2.0
//! What the machine asks for, carried out: spooled, persisted, audited, and only then sent.

use super::RoundDriver;
use super::pending::{Conclusion, Record, RecordedKind};
use crate::crash::CrashPlace;
use crate::replay_desk::ReplayOffer;
use crate::sessions::{PackedSum, ProtocolMessage};
use crate::silo_service::chunk_length;
use crate::study::Attempt;
use crate::study_run::RunFault;
use consilium_protocol::{
    CoordinatorEffect, CoordinatorMachine, CoordinatorMessage, Envelope, Outgoing, Sender,
    SiloName, Verification,
};
use std::sync::Arc;

impl RoundDriver<'_, '_> {
    /// Persist, then audit, then send.
    pub(super) async fn carry_out(
        &mut self,
        effects: Vec<CoordinatorEffect>,
    ) -> Result<(), RunFault> {
        let only_noted = |effect: &CoordinatorEffect| {
            matches!(
                effect,
                CoordinatorEffect::Rejected { .. } | CoordinatorEffect::Accuse(_)
            )
        };
        let changed = effects.is_empty() || !effects.iter().all(only_noted);
        let mut sends = Vec::new();
        let mut job = None;
        let mut check = None;
        let mut abandoned = None;
        for effect in effects {
            match effect {
                CoordinatorEffect::Send { to, outgoing } => sends.push((to, outgoing)),
                CoordinatorEffect::KeepDeal {
                    dealer,
                    ciphertexts,
                } => self.keep_deal(dealer, ciphertexts).await?,
                CoordinatorEffect::KeepReveal { silo, reveal } => {
                    self.keep_reveal(silo, reveal).await?;
                }
                CoordinatorEffect::Accuse(accusation) => self.accuse(accusation).await?,
                CoordinatorEffect::Record {
                    kind,
                    digest,
                    silos,
                } => {
                    self.pending
                        .records
                        .push(Record::new(RecordedKind::from(kind), digest, silos));
                }
                CoordinatorEffect::Unmask(unmask) => job = Some(unmask),
                CoordinatorEffect::CheckSum(product) => check = Some(product),
                CoordinatorEffect::CommitSum(digest) => {
                    let record = Record::new(RecordedKind::SumCommitted, digest, Vec::new());
                    // After a restart the same commitment is asked for again: it keeps its first time.
                    let record = self.pending.commitment.get_or_insert(record).clone();
                    self.pending.records.push(record);
                }
                CoordinatorEffect::Released { survivors, dropped } => {
                    self.pending.conclusion = Some(Conclusion::Released { survivors, dropped });
                }
                CoordinatorEffect::Abandoned {
                    reason,
                    phase,
                    charged,
                } => {
                    let phase = phase.to_owned();
                    abandoned = Some(reason.clone());
                    self.pending.conclusion = Some(Conclusion::Abandoned {
                        reason,
                        phase,
                        charged,
                    });
                }
                CoordinatorEffect::Rejected { from, fault } => {
                    tracing::info!(silo = %from, %fault, "a message was rejected");
                }
            }
        }
        if !changed && self.pending.records.is_empty() {
            return Ok(());
        }
        let abandon = sends
            .iter()
            .find(|(_, outgoing)| outgoing.envelope.peek_name() == Some("Abandon"));
        if let Some((_, abandon)) = abandon {
            self.keep_abandon(Arc::clone(&abandon.envelope)).await?;
        }
        let release = sends
            .iter()
            .find(|(_, outgoing)| is_release(&outgoing.envelope));
        let vouchers = release.map(|(_, outgoing)| vouchers(&outgoing.envelope));
        for record in &mut self.pending.records {
            match record.kind {
                RecordedKind::Abandoned => record.reason = abandoned.take(),
                RecordedKind::Released => record.vouchers = vouchers.clone().unwrap_or_default(),
                RecordedKind::Opened
                | RecordedKind::KeyBook
                | RecordedKind::DealBook
                | RecordedKind::Frozen
                | RecordedKind::Proposed
                | RecordedKind::Certified
                | RecordedKind::SumCommitted
                | RecordedKind::Replayed
                | RecordedKind::Misbehaviour => {}
            }
        }
        self.save().await?;
        self.set_replay_desk();
        self.run.reach_ending();
        self.reach_recorded();
        let committed = self.write_records().await?;
        for (to, outgoing) in sends {
            // A silo that is catching up gets this with the rest of the attempt's messages.
            if self.pending.conclusion.is_some() || !self.run.catch_ups.holds(&to) {
                self.send(&to, outgoing);
            }
        }
        if let Some(job) = job {
            self.unmask(job);
        }
        if let Some(product) = check {
            self.check_sum(product)?;
        }
        if let Some(place) = committed {
            self.commit_sum(place);
        }
        Ok(())
    }

    fn send(&self, to: &SiloName, outgoing: Outgoing) {
        if let Some(blob) = self.pending.sum.filter(|_| is_release(&outgoing.envelope)) {
            let chunk_bytes = chunk_length(&self.plan, 0);
            let sessions = &self.run.federation.sessions;
            sessions.send_sum(
                to,
                PackedSum {
                    id: self.plan.id,
                    blob,
                    chunk_bytes,
                },
            );
        }
        self.send_message(to, outgoing);
    }

    pub(super) fn send_message(&self, to: &SiloName, message: Outgoing) {
        let message = ProtocolMessage {
            study_id: self.run.study.id.clone(),
            id: self.plan.id,
            message,
        };
        self.run.federation.sessions.send_message(to, message);
    }

    async fn keep_deal(&self, dealer: SiloName, ciphertexts: Vec<Vec<u8>>) -> Result<(), RunFault> {
        let (spool, id) = (Arc::clone(&self.run.federation.spool), self.plan.id);
        let kept =
            tokio::task::spawn_blocking(move || spool.keep_deal(id, &dealer, &ciphertexts)).await;
        Ok(kept.map_err(|_| RunFault::BrokeOff)??)
    }

    async fn keep_reveal(&self, silo: SiloName, reveal: Envelope) -> Result<(), RunFault> {
        let (spool, id) = (Arc::clone(&self.run.federation.spool), self.plan.id);
        let kept = tokio::task::spawn_blocking(move || spool.keep_reveal(id, &silo, &reveal)).await;
        Ok(kept.map_err(|_| RunFault::BrokeOff)??)
    }

    /// Before a survivor is asked to compute the sum again, it can fetch what that takes; afterwards it cannot.
    fn set_replay_desk(&self) {
        let survivors = self
            .machine
            .as_ref()
            .and_then(CoordinatorMachine::replaying);
        let offer = survivors
            .zip(self.pending.sum)
            .map(|(survivors, sum)| ReplayOffer {
                plan: self.plan.clone(),
                survivors,
                sum,
            });
        self.run.federation.replays.set(offer);
    }

    async fn save(&mut self) -> Result<(), RunFault> {
        let Some(machine) = &self.machine else {
            return Ok(());
        };
        let attempt = Attempt {
            study_id: self.run.study.id.clone(),
            id: self.plan.id,
            snapshot: machine.snapshot(),
            pending: postcard::to_allocvec(&self.pending)?,
        };
        let study = self.run.study.clone();
        let store = &self.run.federation.store;
        Ok(store
            .with(move |store| store.save_attempt(&study, &attempt))
            .await?)
    }

    /// Writes the stored records to the log; says where a commitment to the sum stands.
    pub(super) async fn write_records(&mut self) -> Result<Option<u64>, RunFault> {
        if self.pending.records.is_empty() {
            return Ok(None);
        }
        let federation = self.run.federation;
        let events = self
            .pending
            .records
            .iter()
            .map(|record| record.event(&self.plan, self.run.reference(), federation.actor()))
            .collect();
        let places = federation.log.append(events).await?;
        let mut committed = None;
        for (record, place) in self.pending.records.iter().zip(places) {
            match record.kind {
                RecordedKind::SumCommitted => {
                    self.pending.commitment_index = Some(place);
                    committed = Some(place);
                }
                RecordedKind::Released => self.pending.release_index = Some(place),
                RecordedKind::Opened
                | RecordedKind::KeyBook
                | RecordedKind::DealBook
                | RecordedKind::Frozen
                | RecordedKind::Proposed
                | RecordedKind::Certified
                | RecordedKind::Replayed
                | RecordedKind::Abandoned
                | RecordedKind::Misbehaviour => {}
            }
        }
        Ok(committed)
    }

    /// Dies here if a test asks for it: the snapshot is stored, nothing is logged or sent.
    fn reach_recorded(&self) {
        for record in &self.pending.records {
            match record.kind {
                RecordedKind::Opened => self.reach(CrashPlace::Opened),
                RecordedKind::KeyBook => self.reach(CrashPlace::KeyBook),
                RecordedKind::DealBook => self.reach(CrashPlace::DealBook),
                RecordedKind::Frozen => self.reach(CrashPlace::Frozen),
                RecordedKind::Proposed => self.reach(CrashPlace::Proposed),
                RecordedKind::Certified => self.reach(CrashPlace::Certified),
                RecordedKind::SumCommitted => self.reach(CrashPlace::Unmasked),
                RecordedKind::Released => self.reach(CrashPlace::Released),
                RecordedKind::Replayed => self.reach(CrashPlace::Replaying),
                RecordedKind::Abandoned | RecordedKind::Misbehaviour => {}
            }
        }
    }
}

pub(super) fn is_release(envelope: &Envelope) -> bool {
    envelope.peek_name() == Some("Release")
}

/// Who computed a released sum again; nobody when tags vouch for it.
fn vouchers(release: &Envelope) -> Vec<SiloName> {
    let Some(CoordinatorMessage::Release(release)) = release.peek_coordinator_message() else {
        return Vec::new();
    };
    match release.verification {
        Verification::Tags { .. } => Vec::new(),
        Verification::Replay { replayed, .. } => replayed
            .into_iter()
            .filter_map(|envelope| match envelope.sender {
                Sender::Silo(silo) => Some(silo),
                Sender::Coordinator => None,
            })
            .collect(),
    }
}
