// SPDX-License-Identifier: Apache-2.0
//! One round after another, until the study has its result or cannot have one.

use super::lingering::{Lingering, Presence};
use super::{Halt, RunFault, StudyRun};
use crate::catch_up::{OWN_COSIGNATURE_TIME, open_proofs};
use crate::input::Input;
use crate::log_keeper::now;
use crate::round_driver::RoundDriver;
use crate::study::{StoredOutcome, StudyState};
use consilium_audit::{Event, EventKind};
use consilium_learning::Model;
use consilium_learning::model::Stage;
use consilium_protocol::{AttemptId, RoundPlan, SiloName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Attempts that may fail before any input is masked, for each round.
const UNCHARGED_FAILURES: u32 = 5;

/// What every Open carries beside it, for each silo.
type Proofs = BTreeMap<SiloName, Vec<Vec<u8>>>;

impl StudyRun<'_> {
    /// Runs rounds until the study has its result or cannot have one.
    pub(super) async fn run_rounds(&mut self) -> Result<StoredOutcome, Halt> {
        loop {
            self.check_ending().await?;
            self.await_acceptances().await?;
            if let Some(outcome) = self.study.outcome.clone() {
                return Ok(outcome);
            }
            if let Some(reason) = self.exhausted()? {
                if let Some(trained) = self.study.trained.clone() {
                    // What was learned stands, though nobody knows how well it does.
                    tracing::warn!(%reason, "the model is not evaluated");
                    self.study.outcome = Some(trained);
                    self.save().await?;
                    continue;
                }
                return Err(self.end(StudyState::Failed, reason, None).await?);
            }
            self.gather_silos().await?;
            self.next_attempt().await?;
            let plan = self.next_plan()?;
            let proofs = self.proofs_for(&plan).await?;
            RoundDriver::open(self, plan, proofs).await?.run().await?;
        }
    }

    /// Takes up the attempt that a stopped process left behind.
    pub(super) async fn finish_attempt_in_flight(&mut self) -> Result<(), Halt> {
        let stored = self.federation.store.with(|store| store.attempt()).await?;
        let Some(attempt) = stored.filter(|attempt| attempt.study_id == self.study.id) else {
            return Ok(());
        };
        tracing::info!(attempt = %attempt.id, "an attempt in flight is taken up again");
        let event = Event::new(EventKind::SystemRecovered, now(), self.federation.actor())
            .with_study(self.reference())
            .with_attempt(attempt.id.epoch, attempt.id.round, attempt.id.attempt);
        self.federation.log.append_one(event).await?;
        RoundDriver::restore(self, attempt).await?.run().await
    }

    /// Why no further attempt at this stage may be opened.
    fn exhausted(&self) -> Result<Option<String>, RunFault> {
        let study = &self.admitted.study;
        let evaluated = self.study.evaluations_charged;
        let (attempts, charged, at) = match self.model()?.stage {
            Stage::Training => {
                let charged = self.study.attempts_charged.saturating_sub(evaluated);
                (study.attempts(), charged, "")
            }
            Stage::Evaluation => (study.evaluation_attempts(), evaluated, " at the evaluation"),
        };
        if study.is_noised() && charged >= attempts {
            let reason = format!("all {attempts} reserved attempts{at} are used up");
            return Ok(Some(reason));
        }
        if self.study.uncharged_failures >= UNCHARGED_FAILURES {
            let reason =
                format!("{UNCHARGED_FAILURES} attempts at one round failed before any upload");
            return Ok(Some(reason));
        }
        Ok(None)
    }

    /// Waits until enough silos are there to open a round.
    async fn gather_silos(&mut self) -> Result<(), Halt> {
        let deadlines = self.federation.config.deadlines;
        let patience = Duration::from_secs(deadlines.gathering_seconds);
        let deadline = Instant::now() + patience;
        let mut lingering = Lingering::new(Duration::from_secs(deadlines.drop_seconds), patience);
        loop {
            let sessions = &self.federation.sessions;
            let present =
                self.study.invited.iter().filter(|silo| {
                    sessions.is_open(silo) && !self.study.declined.contains_key(*silo)
                });
            let enough = present.count() >= self.admitted.plan.fewest();
            let settling = self.study.invited.iter().any(|silo| {
                !sessions.is_open(silo)
                    && !sessions.is_gone(silo)
                    && !self.study.declined.contains_key(silo)
            });
            let presence = Presence {
                enough,
                on_their_way: settling || !self.catch_ups.is_empty(),
            };
            let now = Instant::now();
            if lingering.is_over(presence, now) || (enough && now >= deadline) {
                return Ok(());
            }
            if now >= deadline {
                let reason = format!("too few silos were connected for {} s", patience.as_secs());
                return Err(self.end(StudyState::Failed, reason, None).await?);
            }
            if !enough && self.too_many_declined() {
                let reason = "too many silos take no further part";
                return Err(self.end(StudyState::Failed, reason, None).await?);
            }
            self.show("waiting for silos");
            let wake = lingering
                .until(now)
                .map_or(deadline, |until| until.min(deadline));
            let input = tokio::select! {
                input = self.inputs.recv() => input,
                Some(_) = self.catch_ups.next(), if !self.catch_ups.is_empty() => continue,
                () = tokio::time::sleep_until(wake) => continue,
            };
            self.take(input.unwrap_or(Input::Stop)).await?;
        }
    }

    fn too_many_declined(&self) -> bool {
        let invited = self.study.invited.len();
        let left = invited.saturating_sub(self.study.declined.len());
        left < self.admitted.plan.fewest()
    }

    /// Numbers the next attempt: a new round, or another try of the one that was abandoned.
    async fn next_attempt(&mut self) -> Result<(), RunFault> {
        let released = self.study.released.last().map(|id| id.round);
        if self.study.round == 0 || released == Some(self.study.round) {
            self.study.round = self
                .federation
                .store
                .with(|store| store.next_round())
                .await?;
            self.study.attempt = 0;
            self.study.uncharged_failures = 0;
        }
        self.study.attempt += 1;
        self.save().await
    }

    fn next_plan(&self) -> Result<RoundPlan, RunFault> {
        let id = AttemptId {
            epoch: self.roster.membership.epoch,
            round: self.study.round,
            attempt: self.study.attempt,
        };
        let model = self.model()?;
        Ok(self
            .admitted
            .plan_for(id, &self.roster.membership, &model)?)
    }

    /// The commit rule: no round of any study before the last release of whatever study is cosigned by a quorum, each
    /// silo's own cosignature among them. Gives the proofs of that.
    async fn proofs_for(&mut self, plan: &RoundPlan) -> Result<Proofs, Halt> {
        self.show("waiting for cosignatures");
        let federation = Arc::clone(self.federation);
        let newest = federation
            .store
            .with(|store| store.newest_release())
            .await?;
        let silos = plan.silos.clone();
        let proofs = async move {
            if let Some(release) = newest {
                let connected = federation.sessions.connected();
                let present: BTreeSet<SiloName> = silos
                    .iter()
                    .filter(|silo| connected.contains(*silo))
                    .cloned()
                    .collect();
                federation
                    .log
                    .committed_by(release.release_index, &present, OWN_COSIGNATURE_TIME)
                    .await?;
            }
            let mut proofs = Proofs::new();
            for silo in &silos {
                let open = open_proofs(&federation, silo).await?;
                proofs.insert(silo.clone(), open.attachments());
            }
            Ok::<_, RunFault>(proofs)
        };
        self.listening(proofs).await
    }

    /// The model from which the next round starts.
    pub(crate) fn model(&self) -> Result<Model, RunFault> {
        if self.study.model.is_empty() {
            Ok(self.admitted.task.initial_model())
        } else {
            Ok(Model::from_bytes(&self.study.model)?)
        }
    }
}
