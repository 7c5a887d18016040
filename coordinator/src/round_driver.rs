// SPDX-License-Identifier: Apache-2.0
//! Drives the coordinator's machine through one attempt.
//!
//! For every event: the machine handles it; deals are spooled; its snapshot and what it asks for are stored in one
//! transaction; the audit records are written; only then is anything sent. After a restart the stored records are written again (the log keeps
//! one of each) and returning silos get everything that was ever sent to them in this attempt.

mod accusation;
mod conclusion;
mod effects;
mod pending;
mod presence;
mod stored_sum;
mod sum;
mod uploads;

use crate::crash::{CrashPlace, reached};
use crate::federation::{Federation, unix_milliseconds};
use crate::input::Input;
use crate::study::{Attempt, StudyState};
use crate::study_run::{Halt, RunFault, StudyRun, cancel_queued, word};
use consilium_protocol::{
    CoordinatorEffect, CoordinatorEvent, CoordinatorMachine, CoordinatorSurroundings, Deadlines,
    RoundPlan, SiloName,
};
use pending::Pending;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use sum::Work;
use tokio::task::JoinSet;
use tokio::time::Instant;

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
        driver.pending.records.clear();
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
        if driver.pending.conclusion.is_some() {
            return Ok(driver);
        }
        let decided = driver.run.study.ending.as_ref();
        let decided = decided.map(|ending| ending.reason.clone());
        if let Some(reason) = decided.or_else(|| driver.run.roster_change()) {
            driver.give_up(StudyState::Failed, reason).await?;
        } else {
            let mut effects = Vec::new();
            if let Some(machine) = &driver.machine
                && let Err(fault) = machine.resume(&mut effects)
            {
                let reason = fault.to_string();
                driver.step(CoordinatorEvent::Cancel { reason }).await?;
                return Ok(driver);
            }
            driver.pending.records.clear();
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
        }
    }

    /// Drives the attempt to its end.
    pub(crate) async fn run(mut self) -> Result<(), Halt> {
        let outcome = self.drive().await;
        self.run.federation.replays.set(None);
        self.run.federation.set_current_plan(None);
        outcome
    }

    async fn drive(&mut self) -> Result<(), Halt> {
        loop {
            if let Some(conclusion) = self.pending.conclusion.clone() {
                return Ok(self.conclude(conclusion).await?);
            }
            self.show();
            let due = self.machine.as_ref().and_then(CoordinatorMachine::deadline);
            let due = due.map(|due| {
                Instant::now() + Duration::from_millis(due.saturating_sub(unix_milliseconds()))
            });
            let patience = Duration::from_secs(self.run.federation.config.deadlines.return_seconds);
            let hopeless = self.lacking.map(|since| since + patience);
            tokio::select! {
                input = self.run.inputs.recv() => match input {
                    None | Some(Input::Stop) => return Err(Halt::Stopping),
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
                    let reason = format!("too few silos were connected for {} s", patience.as_secs());
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
                self.delivered(from, delivery).await
            }
            Input::BadChunk {
                from,
                id,
                reason,
                unpacked,
            } => {
                if id != self.plan.id {
                    return Ok(());
                }
                self.chunk_refused(from, reason, unpacked).await
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
                self.reach(CrashPlace::Spooled);
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
                self.run.study.declined.insert(from.clone(), word(&reason));
                self.silo_is_gone(from).await
            }
            Input::Cancel {
                study_id,
                reason,
                answer,
            } => {
                if study_id != self.run.study.id {
                    return cancel_queued(self.run.federation, study_id, reason, answer).await;
                }
                self.give_up(StudyState::Cancelled, reason).await?;
                answer.send(Ok(())).ok();
                Ok(())
            }
            Input::RosterChanged => match self.run.roster_change() {
                Some(reason) => self.give_up(StudyState::Failed, reason).await,
                None => Ok(()),
            },
            Input::Consent { .. } | Input::Submitted | Input::Stop => Ok(()),
        }
    }

    /// Ends the attempt because the study ends: stored in one transaction.
    async fn give_up(&mut self, state: StudyState, reason: String) -> Result<(), RunFault> {
        self.run
            .study
            .end(state, reason.clone(), None, unix_milliseconds());
        self.step(CoordinatorEvent::Cancel { reason }).await
    }

    /// Lets the machine handle one event and carries out what it asks for.
    async fn step(&mut self, event: CoordinatorEvent) -> Result<(), RunFault> {
        self.step_and_tell(event).await.map(|_taken| ())
    }

    /// The same; says whether the machine took the event and rejected nothing.
    async fn step_and_tell(&mut self, event: CoordinatorEvent) -> Result<bool, RunFault> {
        self.pending.records.clear();
        self.handle(event).await
    }

    async fn handle(&mut self, event: CoordinatorEvent) -> Result<bool, RunFault> {
        let Some(machine) = self.machine.take() else {
            return Ok(false);
        };
        let roster = Arc::clone(&self.run.roster);
        let surroundings = surroundings(self.run.federation, &roster.membership);
        let mut effects = Vec::new();
        self.machine =
            Some(machine.handle(&surroundings, unix_milliseconds(), event, &mut effects));
        let rejected =
            |effect: &CoordinatorEffect| matches!(effect, CoordinatorEffect::Rejected { .. });
        let taken = !effects.iter().any(rejected);
        self.count_present();
        self.carry_out(effects).await?;
        Ok(taken)
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

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
