// SPDX-License-Identifier: Apache-2.0
//! One round after another, until the study has its result or cannot have one.

use super::{Ending, RunFault, StudyRun, cancel_queued, word};
use crate::catch_up::{OWN_COSIGNATURE_TIME, open_proofs};
use crate::input::Input;
use crate::log_keeper::now;
use crate::round_driver::{RoundDriver, RoundOutcome};
use consilium_audit::{Event, EventKind};
use consilium_learning::Model;
use consilium_protocol::{AttemptId, SiloName};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Attempts that may fail before any input is masked, for each round.
const UNCHARGED_FAILURES: u32 = 5;

impl StudyRun<'_> {
    /// Runs rounds until the study has its result or cannot have one.
    pub(super) async fn run_rounds(&mut self) -> Result<Ending, RunFault> {
        if let Some(ending) = self.finish_attempt_in_flight().await? {
            return Ok(ending);
        }
        loop {
            if let Some(outcome) = self.study.outcome.clone() {
                return Ok(Ending::Completed(outcome));
            }
            if let Some(reason) = self.exhausted() {
                return Ok(Ending::Failed(reason));
            }
            if let Some(ending) = self.gather_silos().await? {
                return Ok(ending);
            }
            self.next_attempt().await?;
            let outcome = self.drive_new_attempt().await?;
            if let Some(ending) = self.after_round(outcome) {
                return Ok(ending);
            }
        }
    }

    async fn finish_attempt_in_flight(&mut self) -> Result<Option<Ending>, RunFault> {
        let stored = self.federation.store.with(|store| store.attempt()).await?;
        let Some(attempt) = stored.filter(|attempt| attempt.study_id == self.study.id) else {
            return Ok(None);
        };
        tracing::info!(attempt = %attempt.id, "an attempt in flight is taken up again");
        let event = Event::new(EventKind::SystemRecovered, now(), self.federation.actor())
            .with_study(self.reference())
            .with_attempt(attempt.id.epoch, attempt.id.round, attempt.id.attempt);
        self.federation.log.append_one(event).await?;
        let outcome = RoundDriver::restore(self, attempt).await?.run().await?;
        Ok(self.after_round(outcome))
    }

    fn after_round(&mut self, outcome: RoundOutcome) -> Option<Ending> {
        match outcome {
            RoundOutcome::Released => None,
            RoundOutcome::Stopping => Some(Ending::Stopping),
            RoundOutcome::Cancelled(reason) => Some(Ending::Cancelled(reason)),
            RoundOutcome::NoResult(reason) => Some(Ending::Failed(reason)),
            RoundOutcome::Abandoned { reason, phase } => {
                tracing::warn!(%reason, %phase, "an attempt was abandoned");
                // A drop ends a study without noise: two sums over different silos would tell them apart.
                (!self.admitted.study.is_noised()).then(|| {
                    Ending::Failed(format!(
                        "a round without noise was abandoned while {phase}: {reason}"
                    ))
                })
            }
        }
    }

    /// Why no further attempt may be opened.
    fn exhausted(&self) -> Option<String> {
        let in_force = self
            .federation
            .roster()
            .map(|roster| roster.membership.roster_root);
        if in_force != Some(self.roster.membership.roster_root) {
            return Some("another roster took effect; submit the study again".to_owned());
        }
        let attempts = self.admitted.study.attempts();
        if self.admitted.study.is_noised() && self.study.attempts_charged >= attempts {
            return Some(format!("all {attempts} reserved attempts are used up"));
        }
        if self.study.uncharged_failures >= UNCHARGED_FAILURES {
            return Some(format!(
                "{UNCHARGED_FAILURES} attempts at one round failed before any upload"
            ));
        }
        None
    }

    /// Waits until enough silos are there to open a round.
    async fn gather_silos(&mut self) -> Result<Option<Ending>, RunFault> {
        let patience = Duration::from_secs(self.federation.config.deadlines.gathering_seconds);
        let deadline = Instant::now() + patience;
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
            if enough && !settling && self.catch_ups.is_empty() {
                return Ok(None);
            }
            if !enough && self.too_many_declined() {
                return Ok(Some(Ending::Failed(
                    "too many silos take no further part".to_owned(),
                )));
            }
            self.show("waiting for silos");
            let input = tokio::select! {
                input = self.inputs.recv() => input,
                Some(_) = self.catch_ups.next(), if !self.catch_ups.is_empty() => continue,
                () = tokio::time::sleep_until(deadline) => {
                    let reason = format!("too few silos were connected for {} s", patience.as_secs());
                    return Ok(Some(Ending::Failed(reason)));
                }
            };
            let Some(input) = input else {
                return Ok(Some(Ending::Stopping));
            };
            match input {
                Input::Opened(silo) => {
                    self.catch_ups
                        .begin(self.federation, &silo, Some(&self.study));
                }
                Input::Declined {
                    from,
                    study_id,
                    reason,
                } if study_id == self.study.id => {
                    self.study.declined.insert(from, word(&reason));
                    self.save().await?;
                }
                Input::Cancel { study_id, reason } if study_id == self.study.id => {
                    return Ok(Some(Ending::Cancelled(reason)));
                }
                Input::Cancel { study_id, reason } => {
                    cancel_queued(self.federation, study_id, reason).await?;
                }
                Input::Stop => return Ok(Some(Ending::Stopping)),
                Input::Gone(_)
                | Input::Consent { .. }
                | Input::Delivered { .. }
                | Input::Spooled { .. }
                | Input::Declined { .. }
                | Input::Submitted => {}
            }
        }
    }

    fn too_many_declined(&self) -> bool {
        self.study.invited.len() - self.study.declined.len() < self.admitted.plan.fewest()
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

    async fn drive_new_attempt(&mut self) -> Result<RoundOutcome, RunFault> {
        let id = AttemptId {
            epoch: self.roster.membership.epoch,
            round: self.study.round,
            attempt: self.study.attempt,
        };
        let plan = self
            .admitted
            .plan_for(id, &self.roster.membership, &self.model()?)?;
        // The commit rule: no next round before the last release is cosigned by a quorum, each silo's own cosignature
        // among them.
        if let Some(place) = self.study.last_release {
            let connected = self.federation.sessions.connected();
            let invited: BTreeSet<SiloName> = plan
                .silos
                .iter()
                .filter(|silo| connected.contains(*silo))
                .cloned()
                .collect();
            self.federation
                .log
                .committed_by(place, &invited, OWN_COSIGNATURE_TIME)
                .await?;
        }
        let mut proofs = BTreeMap::new();
        for silo in &plan.silos {
            let open = open_proofs(self.federation, silo).await?;
            proofs.insert(silo.clone(), open.attachments());
        }
        RoundDriver::open(self, plan, proofs).await?.run().await
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
