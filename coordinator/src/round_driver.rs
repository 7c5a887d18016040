// SPDX-License-Identifier: Apache-2.0
//! Drives the coordinator's machine through one attempt.
//!
//! For every event: the machine handles it; its snapshot and what it asks for are stored in one transaction; the audit
//! records are written; only then is anything sent. After a restart the stored records are written again (the log keeps
//! one of each) and returning silos get everything that was ever sent to them in this attempt.

mod pending;

use crate::catch_up::OpenProofs;
use crate::crash::{CrashPlace, reached};
use crate::federation::{Federation, unix_milliseconds};
use crate::input::Input;
use crate::sessions::PackedSum;
use crate::silo_service::chunk_length;
use crate::store::StoredRelease;
use crate::study::{Attempt, Dropout, StoredOutcome};
use crate::study_run::{RunFault, StudyRun, cancel_queued, write_result};
use consilium_crypto::digest::Digest;
use consilium_crypto::packing;
use consilium_learning::{Step, TaskFault};
use consilium_protocol::{
    CoordinatorEffect, CoordinatorEvent, CoordinatorMachine, CoordinatorSurroundings, Deadlines,
    Delivery, Envelope, RoundPlan, SiloName, UnmaskJob,
};
use pending::{Conclusion, Pending, Record, RecordedKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long too few silos may be present before the attempt is given up.
const RETURN_TIME: Duration = Duration::from_secs(30);

/// One attempt in progress.
pub(crate) struct RoundDriver<'r, 'a> {
    run: &'r mut StudyRun<'a>,
    plan: RoundPlan,
    /// `None` only while an event is handled.
    machine: Option<CoordinatorMachine>,
    pending: Pending,
    work: JoinSet<Result<Work, RunFault>>,
    gone: BTreeSet<SiloName>,
    /// In which phase a silo went missing.
    missing: BTreeMap<SiloName, String>,
    /// Since when too few silos are present.
    lacking: Option<Instant>,
    cancelled: Option<String>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum RoundOutcome {
    /// A sum was released; the study's record is up to date.
    Released,
    /// No sum.
    Abandoned {
        /// Why.
        reason: String,
        /// In which phase.
        phase: String,
    },
    /// A sum was released and leads nowhere.
    NoResult(String),
    /// Somebody cancelled the study.
    Cancelled(String),
    /// The service stops; the attempt is stored.
    Stopping,
}

/// Work that ran beside the messages.
enum Work {
    /// The sum, stored, and H(S).
    Summed { blob: Digest, digest: Digest },
    /// H(S) is committed.
    Committed { proof: Vec<u8> },
}

impl<'r, 'a> RoundDriver<'r, 'a> {
    /// Opens an attempt. `proofs` are the attachments of each silo's Open.
    pub(crate) async fn open(
        run: &'r mut StudyRun<'a>,
        plan: RoundPlan,
        proofs: BTreeMap<SiloName, Vec<Vec<u8>>>,
    ) -> Result<Self, RunFault> {
        let mut effects = Vec::new();
        let roster = Arc::clone(&run.roster);
        let machine = CoordinatorMachine::open(
            &surroundings(run.federation, &roster.membership),
            plan.clone(),
            proofs,
            unix_milliseconds(),
            &mut effects,
        );
        let mut driver = Self::new(run, plan, machine, Pending::default());
        driver.carry_out(effects).await?;
        driver.notice_absent_silos().await?;
        Ok(driver)
    }

    /// Takes up the attempt that a stopped process left behind.
    pub(crate) async fn restore(
        run: &'r mut StudyRun<'a>,
        attempt: Attempt,
    ) -> Result<Self, RunFault> {
        let deadlines = run.federation.config.deadlines;
        let grace = deadlines.exchange_seconds.max(deadlines.drop_seconds * 2) * 1000;
        let machine = CoordinatorMachine::restore(&attempt.snapshot, unix_milliseconds(), grace)?;
        let pending: Pending = postcard::from_bytes(&attempt.pending)?;
        let mut driver = Self::new(run, machine.plan().clone(), machine, pending);
        driver.write_records().await?;
        if driver.pending.conclusion.is_none() {
            let mut effects = Vec::new();
            if let Some(machine) = &driver.machine
                && let Err(fault) = machine.resume(&mut effects)
            {
                let reason = fault.to_string();
                driver.step(CoordinatorEvent::Cancel { reason }).await?;
                return Ok(driver);
            }
            driver.carry_out(effects).await?;
            driver.count_spooled_uploads().await?;
            driver.notice_absent_silos().await?;
        }
        Ok(driver)
    }

    fn new(
        run: &'r mut StudyRun<'a>,
        plan: RoundPlan,
        machine: CoordinatorMachine,
        pending: Pending,
    ) -> Self {
        run.federation.set_current_plan(Some(plan.clone()));
        Self {
            run,
            plan,
            machine: Some(machine),
            pending,
            work: JoinSet::new(),
            gone: BTreeSet::new(),
            missing: BTreeMap::new(),
            lacking: None,
            cancelled: None,
        }
    }

    /// Drives the attempt to its end.
    pub(crate) async fn run(mut self) -> Result<RoundOutcome, RunFault> {
        let outcome = self.drive().await;
        self.run.federation.set_current_plan(None);
        outcome
    }

    async fn drive(&mut self) -> Result<RoundOutcome, RunFault> {
        loop {
            if let Some(conclusion) = self.pending.conclusion.clone() {
                return self.conclude(conclusion).await;
            }
            self.show();
            let due = self.machine.as_ref().and_then(CoordinatorMachine::deadline);
            let due = due.map(|due| {
                Instant::now() + Duration::from_millis(due.saturating_sub(unix_milliseconds()))
            });
            let hopeless = self.lacking.map(|since| since + RETURN_TIME);
            tokio::select! {
                input = self.run.inputs.recv() => match input {
                    None | Some(Input::Stop) => return Ok(RoundOutcome::Stopping),
                    Some(input) => self.take(input).await?,
                },
                Some(done) = self.work.join_next(), if !self.work.is_empty() => {
                    self.take_work(done.map_err(|_| RunFault::BrokeOff)??).await?;
                }
                Some((silo, proofs)) = self.run.catch_ups.next(), if !self.run.catch_ups.is_empty() => {
                    self.replay(&silo, proofs);
                }
                () = sleep_until(due) => self.step(CoordinatorEvent::Tick).await?,
                () = sleep_until(hopeless) => {
                    self.lacking = None;
                    let reason = format!("too few silos were connected for {} s", RETURN_TIME.as_secs());
                    self.step(CoordinatorEvent::Cancel { reason }).await?;
                }
            }
        }
    }

    /// Takes what reached the scheduler.
    async fn take(&mut self, input: Input) -> Result<(), RunFault> {
        match input {
            Input::Opened(silo) => self.silo_returned(silo).await,
            Input::Gone(silo) => self.silo_is_gone(silo).await,
            Input::Delivered { from, delivery } => {
                if delivery.envelope.peek_attempt() != Some(self.plan.id) {
                    return Ok(());
                }
                self.step(CoordinatorEvent::Delivered { from, delivery })
                    .await
            }
            Input::Spooled {
                from,
                id,
                bytes,
                complete,
            } => {
                if id != self.plan.id {
                    return Ok(());
                }
                self.run.study.bytes_received = self.run.study.bytes_received.saturating_add(bytes);
                if complete {
                    self.count_upload(from).await
                } else {
                    Ok(())
                }
            }
            Input::Declined {
                from,
                study_id,
                reason,
            } => {
                if study_id != self.run.study.id || self.plan.silos.binary_search(&from).is_err() {
                    return Ok(());
                }
                tracing::info!(silo = %from, %reason, "a silo takes no further part");
                self.run
                    .study
                    .declined
                    .insert(from.clone(), reason.chars().take(32).collect());
                self.silo_is_gone(from).await
            }
            Input::Cancel { study_id, reason } => {
                if study_id != self.run.study.id {
                    return cancel_queued(self.run.federation, study_id, reason).await;
                }
                self.cancelled = Some(reason.clone());
                self.step(CoordinatorEvent::Cancel { reason }).await
            }
            Input::Consent { .. } | Input::Submitted | Input::Stop => Ok(()),
        }
    }

    async fn silo_returned(&mut self, silo: SiloName) -> Result<(), RunFault> {
        self.run
            .catch_ups
            .begin(self.run.federation, &silo, Some(&self.run.study));
        if self.gone.contains(&silo) && !self.run.study.declined.contains_key(&silo) {
            self.gone.remove(&silo);
            self.missing.remove(&silo);
            self.count_present();
            self.step(CoordinatorEvent::Back(silo)).await?;
        }
        Ok(())
    }

    async fn silo_is_gone(&mut self, silo: SiloName) -> Result<(), RunFault> {
        let invited = self.plan.silos.binary_search(&silo).is_ok();
        if !invited || !self.gone.insert(silo.clone()) {
            return Ok(());
        }
        let phase = self.phase_name();
        if !self.run.study.absent.contains(&silo) {
            tracing::warn!(%silo, phase, "a silo dropped");
        }
        self.missing.insert(silo.clone(), phase.to_owned());
        self.count_present();
        self.step(CoordinatorEvent::Gone(silo)).await
    }

    /// Tells the machine about silos that were gone before the attempt.
    async fn notice_absent_silos(&mut self) -> Result<(), RunFault> {
        for silo in self.plan.silos.clone() {
            if self.run.federation.sessions.is_gone(&silo)
                || self.run.study.declined.contains_key(&silo)
            {
                self.silo_is_gone(silo).await?;
            }
        }
        Ok(())
    }

    fn count_present(&mut self) {
        let enough = self.plan.silos.len() - self.gone.len() >= self.plan.fewest();
        if enough {
            self.lacking = None;
        } else if self.lacking.is_none() {
            self.lacking = Some(Instant::now());
        }
    }

    /// Sends a returned silo everything of this attempt again, with proofs of its latest start.
    fn replay(&self, silo: &SiloName, proofs: Option<OpenProofs>) {
        let Some(machine) = &self.machine else { return };
        for delivery in machine.outbox(silo) {
            let mut delivery = delivery.clone();
            if is_open(&delivery.envelope)
                && let Some(proofs) = &proofs
            {
                delivery.attachments = proofs.clone().attachments();
            }
            self.run
                .federation
                .sessions
                .send_delivery(silo, &self.run.study.id, delivery);
        }
    }

    /// After a restart: uploads whose last chunk was spooled and not yet counted.
    async fn count_spooled_uploads(&mut self) -> Result<(), RunFault> {
        for silo in self.plan.silos.clone() {
            self.count_upload(silo).await?;
        }
        Ok(())
    }

    async fn count_upload(&mut self, from: SiloName) -> Result<(), RunFault> {
        let (spool, id, silo) = (
            Arc::clone(&self.run.federation.spool),
            self.plan.id,
            from.clone(),
        );
        let upload = tokio::task::spawn_blocking(move || spool.upload(id, &silo))
            .await
            .map_err(|_| RunFault::BrokeOff)??;
        match upload.root(self.plan.chunk_count()) {
            Some(root) => {
                let length = upload.length();
                self.step(CoordinatorEvent::Uploaded { from, root, length })
                    .await
            }
            None => Ok(()),
        }
    }

    async fn take_work(&mut self, work: Work) -> Result<(), RunFault> {
        match work {
            Work::Summed { blob, digest } => {
                self.pending.sum = Some(blob);
                self.step(CoordinatorEvent::Summed { digest }).await
            }
            Work::Committed { proof } => {
                self.reach(CrashPlace::SumLogged);
                let proofs = self
                    .plan
                    .silos
                    .iter()
                    .map(|silo| (silo.clone(), proof.clone()))
                    .collect();
                self.step(CoordinatorEvent::SumLogged { proofs }).await
            }
        }
    }

    /// Lets the machine handle one event and carries out what it asks for.
    async fn step(&mut self, event: CoordinatorEvent) -> Result<(), RunFault> {
        let Some(machine) = self.machine.take() else {
            return Ok(());
        };
        let roster = Arc::clone(&self.run.roster);
        let surroundings = surroundings(self.run.federation, &roster.membership);
        let mut effects = Vec::new();
        self.machine =
            Some(machine.handle(&surroundings, unix_milliseconds(), event, &mut effects));
        self.carry_out(effects).await
    }

    /// Persist, then audit, then send.
    async fn carry_out(&mut self, effects: Vec<CoordinatorEffect>) -> Result<(), RunFault> {
        let rejected =
            |effect: &CoordinatorEffect| matches!(effect, CoordinatorEffect::Rejected { .. });
        let changed = effects.is_empty() || !effects.iter().all(rejected);
        let mut sends = Vec::new();
        let mut job = None;
        self.pending.records.clear();
        for effect in effects {
            match effect {
                CoordinatorEffect::Send { to, delivery } => sends.push((to, delivery)),
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
        if !changed {
            return Ok(());
        }
        self.save().await?;
        self.reach_recorded();
        let committed = self.write_records().await?;
        for (to, delivery) in sends {
            // A silo that is catching up gets this with the rest of the attempt's messages.
            if self.pending.conclusion.is_some() || !self.run.catch_ups.holds(&to) {
                self.send(&to, delivery);
            }
        }
        if let Some(job) = job {
            self.unmask(job);
        }
        if let Some(place) = committed {
            self.commit_sum(place);
        }
        Ok(())
    }

    fn send(&self, to: &SiloName, delivery: Delivery) {
        let sessions = &self.run.federation.sessions;
        if let Some(blob) = self.pending.sum.filter(|_| is_release(&delivery.envelope)) {
            let chunk_bytes = chunk_length(&self.plan, 0);
            sessions.send_sum(
                to,
                PackedSum {
                    id: self.plan.id,
                    blob,
                    chunk_bytes,
                },
            );
        }
        sessions.send_delivery(to, &self.run.study.id, delivery);
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
    async fn write_records(&mut self) -> Result<Option<u64>, RunFault> {
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
                | RecordedKind::Abandoned
                | RecordedKind::Misbehaviour => {}
            }
        }
        Ok(committed)
    }

    /// Recovers the sum on the blocking pool.
    fn unmask(&mut self, job: UnmaskJob) {
        let spool = Arc::clone(&self.run.federation.spool);
        let plan = self.plan.clone();
        self.work.spawn_blocking(move || {
            let sum = job.run(&spool.chunks_of(plan.id))?;
            let digest = job
                .digest(&sum)
                .map_err(|_| RunFault::Incomplete("the sum does not fit its plan"))?;
            let blob = spool.put(&pack_sum(&plan, &sum)?)?;
            Ok(Work::Summed { blob, digest })
        });
    }

    /// Gathers cosignatures over the commitment.
    fn commit_sum(&mut self, place: u64) {
        let log = self.run.federation.log.clone();
        self.work.spawn(async move {
            log.committed(place).await?;
            let proof = log.proof(place).await?;
            Ok(Work::Committed {
                proof: proof.to_bytes(),
            })
        });
    }

    /// Brings the study's record up to date with the attempt's end.
    async fn conclude(&mut self, conclusion: Conclusion) -> Result<RoundOutcome, RunFault> {
        match conclusion {
            Conclusion::Released { survivors, dropped } => self.release(&survivors, &dropped).await,
            Conclusion::Abandoned {
                reason,
                phase,
                charged,
            } => {
                if charged {
                    self.run.study.attempts_charged += 1;
                } else {
                    self.run.study.uncharged_failures += 1;
                }
                let dropped: Vec<SiloName> = self.missing.keys().cloned().collect();
                self.note_dropouts(&dropped);
                self.end_attempt(None).await?;
                Ok(match self.cancelled.take() {
                    Some(reason) => RoundOutcome::Cancelled(reason),
                    None => RoundOutcome::Abandoned { reason, phase },
                })
            }
        }
    }

    async fn release(
        &mut self,
        survivors: &[SiloName],
        dropped: &[SiloName],
    ) -> Result<RoundOutcome, RunFault> {
        let blob = self
            .pending
            .sum
            .ok_or(RunFault::Incomplete("the sum is missing"))?;
        let commitment_index = self
            .pending
            .commitment_index
            .ok_or(RunFault::Incomplete("no commitment is logged"))?;
        let release_index = self
            .pending
            .release_index
            .ok_or(RunFault::Incomplete("no release is logged"))?;
        let delivery = survivors
            .first()
            .zip(self.machine.as_ref())
            .and_then(|(silo, machine)| {
                machine
                    .outbox(silo)
                    .iter()
                    .rfind(|delivery| is_release(&delivery.envelope))
            })
            .ok_or(RunFault::Incomplete("the release is missing"))?;
        let release = StoredRelease {
            study_id: self.run.study.id.clone(),
            round: self.plan.id.round,
            delivery: postcard::to_allocvec(delivery)?,
            sum: blob,
            commitment_index,
            release_index,
        };
        let advanced = self.advance(blob).await?;
        let study = &mut self.run.study;
        study.rounds_done += 1;
        study.attempts_charged += 1;
        study.released.push(self.plan.id);
        study.last_release = Some(release_index);
        self.note_dropouts(dropped);
        let outcome = match advanced {
            Ok(Step::Continue(model)) => {
                self.run.study.model = model.to_bytes();
                RoundOutcome::Released
            }
            Ok(Step::Finished(finished)) => {
                let (json, tensors) = write_result(&finished.result)?;
                let spool = Arc::clone(&self.run.federation.spool);
                let stored = tokio::task::spawn_blocking(move || {
                    Ok::<_, RunFault>((spool.put(&json)?, spool.put(&tensors)?))
                });
                let (json, safetensors) = stored.await.map_err(|_| RunFault::BrokeOff)??;
                self.run.study.model = finished.model.to_bytes();
                self.run.study.outcome = Some(StoredOutcome {
                    json,
                    safetensors: Some(safetensors),
                    milliseconds: unix_milliseconds(),
                });
                RoundOutcome::Released
            }
            Err(fault) => {
                RoundOutcome::NoResult(format!("no result follows from the sum: {fault}"))
            }
        };
        self.end_attempt(Some(release)).await?;
        self.show();
        Ok(outcome)
    }

    /// The model after the released sum, computed exactly as every silo computes it.
    async fn advance(&self, blob: Digest) -> Result<Result<Step, TaskFault>, RunFault> {
        let (spool, plan) = (Arc::clone(&self.run.federation.spool), self.plan.clone());
        let (task, vector, model) = (
            self.run.admitted.task.clone(),
            self.run.admitted.vector,
            self.run.model()?,
        );
        let advanced = tokio::task::spawn_blocking(move || {
            let sum = unpack_sum(&plan, &spool.get(&blob)?)?;
            Ok::<_, RunFault>(
                task.decode(&vector, &sum)
                    .and_then(|decoded| task.advance(&model, &decoded)),
            )
        });
        advanced.await.map_err(|_| RunFault::BrokeOff)?
    }

    /// Notes silos that this attempt lacks and the one before it had.
    fn note_dropouts(&mut self, dropped: &[SiloName]) {
        let round = u32::try_from(self.run.study.released.len()).unwrap_or(u32::MAX);
        let study = &mut self.run.study;
        // An attempt that released is already counted; one that did not belongs to the next round.
        let round = if study.released.last() == Some(&self.plan.id) {
            round
        } else {
            round + 1
        };
        for silo in dropped {
            if !study.absent.contains(silo) {
                let phase = self
                    .missing
                    .get(silo)
                    .map_or("late", String::as_str)
                    .to_owned();
                study.dropouts.push(Dropout {
                    silo: silo.clone(),
                    round,
                    phase,
                });
            }
        }
        study.absent = dropped.to_vec();
    }

    async fn end_attempt(&mut self, release: Option<StoredRelease>) -> Result<(), RunFault> {
        let study = self.run.study.clone();
        let store = &self.run.federation.store;
        Ok(store
            .with(move |store| store.end_attempt(&study, release.as_ref()))
            .await?)
    }

    fn phase_name(&self) -> &'static str {
        self.machine
            .as_ref()
            .map_or("", CoordinatorMachine::phase_name)
    }

    fn show(&self) {
        let mut progress = crate::study_progress::progress_with(
            &self.run.study,
            self.run.federation,
            &self.run.amounts,
        );
        progress.phase = self.phase_name().to_owned();
        progress.round = self.round();
        self.run.federation.progress.show(progress);
    }

    /// The round within the study, from 1.
    fn round(&self) -> u32 {
        let released = u32::try_from(self.run.study.released.len()).unwrap_or(u32::MAX);
        if self.run.study.released.last() == Some(&self.plan.id) {
            released
        } else {
            released + 1
        }
    }

    fn reach(&self, place: CrashPlace) {
        reached(self.run.crash, place, self.round());
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
                RecordedKind::Abandoned | RecordedKind::Misbehaviour => {}
            }
        }
    }
}

/// What the machine is lent.
fn surroundings<'s>(
    federation: &'s Federation,
    membership: &'s consilium_protocol::Membership,
) -> CoordinatorSurroundings<'s> {
    let deadlines = federation.config.deadlines;
    CoordinatorSurroundings {
        membership,
        signing_key: &federation.signing_key,
        deadlines: Deadlines {
            exchange_milliseconds: deadlines.exchange_seconds * 1000,
            preparation_milliseconds: deadlines.training_seconds * 1000,
            upload_milliseconds: deadlines.upload_seconds * 1000,
        },
    }
}

fn is_open(envelope: &Envelope) -> bool {
    envelope.peek_name() == Some("Open")
}

fn is_release(envelope: &Envelope) -> bool {
    envelope.peek_name() == Some("Release")
}

/// The sum as it travels: packed chunk by chunk.
fn pack_sum(plan: &RoundPlan, sum: &[u64]) -> Result<Vec<u8>, RunFault> {
    let word_bits = plan.word_bits()?;
    let size = usize::try_from(plan.chunk_fields)
        .unwrap_or(usize::MAX)
        .max(1);
    Ok(sum
        .chunks(size)
        .flat_map(|words| packing::pack(word_bits, words))
        .collect())
}

/// The packed sum as integers of the centred range.
fn unpack_sum(plan: &RoundPlan, packed: &[u8]) -> Result<Vec<i64>, RunFault> {
    let word_bits = plan.word_bits()?;
    let mut sum = Vec::new();
    for (index, chunk) in (0..).zip(packed.chunks(chunk_length(plan, 0).max(1))) {
        let words = packing::unpack(word_bits, chunk, plan.fields_in_chunk(index))
            .map_err(|_| RunFault::Incomplete("the stored sum does not fit its plan"))?;
        sum.extend(words.into_iter().map(|word| word_bits.lift(word)));
    }
    Ok(sum)
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
