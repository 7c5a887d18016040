// SPDX-License-Identifier: Apache-2.0
//! How studies end: with a result, a refusal, a failure or a withdrawal.
//!
//! An ending is stored in the study's record together with what caused it; only then is it logged, and told last. A
//! restart in between repeats the entry of the log, which is the same one.

use super::{Halt, RunFault, StudyRun};
use crate::catch_up::send_end;
use crate::federation::{Federation, unix_milliseconds};
use crate::log_keeper::{clamp, now};
use crate::study::{Answer, Ending, Refusal, StoredOutcome, StoredResult, Study, StudyState};
use crate::study_progress::progress_of;
use consilium_audit::{Actor, Event, EventKind, Outcome, StudyReference, Timestamp};
use consilium_protocol::SiloName;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The most bytes of a reason in an entry of the log.
const REASON_BYTES: usize = 500;

/// The most conditions that an entry of the log carries, and the most bytes of each.
const CONDITIONS: usize = 12;
const CONDITION_BYTES: usize = 300;

/// Who waits for a cancellation.
pub(crate) type Answered = oneshot::Sender<Result<(), String>>;

impl StudyRun<'_> {
    /// Decides how the study ends.
    pub(super) async fn end(
        &mut self,
        state: StudyState,
        reason: impl Into<String>,
        silo: Option<SiloName>,
    ) -> Result<Halt, RunFault> {
        self.study
            .end(state, reason.into(), silo, unix_milliseconds());
        self.save().await?;
        self.reach_ending();
        Ok(Halt::Over)
    }

    /// Ends the study because its researcher or an operator wants it to.
    pub(super) async fn cancel(&mut self, reason: String, answer: Answered) -> Result<(), Halt> {
        if self.completing {
            let late = "the study is complete; only cosignatures of that are awaited";
            answer.send(Err(late.to_owned())).ok();
            return Ok(());
        }
        let halt = self.end(StudyState::Cancelled, reason, None).await?;
        answer.send(Ok(())).ok();
        Err(halt)
    }

    /// Hands the result out. No result before a quorum has cosigned what it rests on: first the releases, so that a
    /// completed study stands on cosigned ones, then the completion itself.
    pub(super) async fn complete(&mut self, outcome: StoredOutcome) -> Result<(), Halt> {
        self.show("waiting for cosignatures");
        let log = self.federation.log.clone();
        let event = Event::new(
            EventKind::StudyCompleted,
            time_of(outcome.milliseconds),
            self.federation.actor(),
        )
        .on_behalf_of(self.study.researcher.clone())
        .with_study(self.reference())
        .with_reference("result", outcome.json);
        let known = event.clone();
        let logged = log.with(move |log| log.place_of(&known)).await?.is_some();
        if !logged {
            let before = log.clone();
            let releases_committed = async move {
                let size = before.with(|log| Ok(log.size())).await?;
                match size.checked_sub(1) {
                    Some(last) => before.committed(last).await,
                    None => Ok(()),
                }
            };
            self.listening(releases_committed).await?;
        }
        // From here on the log says that the study is complete.
        self.completing = true;
        let log_index = log.append_one(event).await?;
        let committed = {
            let log = log.clone();
            async move { log.committed(log_index).await }
        };
        self.listening(committed).await?;
        let StoredOutcome {
            json, safetensors, ..
        } = outcome;
        self.study.result = Some(StoredResult {
            json,
            safetensors,
            log_index,
        });
        self.study.state = StudyState::Completed;
        self.study.ended_milliseconds = unix_milliseconds();
        self.save().await?;
        tell_end(self.federation, &self.study);
        Ok(())
    }
}

/// Cancels a study that waits for its turn.
pub(crate) async fn cancel_queued(
    federation: &Arc<Federation>,
    study_id: String,
    reason: String,
    answer: Answered,
) -> Result<(), RunFault> {
    let stored = federation
        .store
        .with(move |store| store.study(&study_id))
        .await?;
    let Some(mut study) = stored.filter(|study| study.state == StudyState::Queued) else {
        answer
            .send(Err("the study has already ended".to_owned()))
            .ok();
        return Ok(());
    };
    study.end(StudyState::Cancelled, reason, None, unix_milliseconds());
    save(federation, &study).await?;
    answer.send(Ok(())).ok();
    settle(federation, &mut study).await
}

/// Logs the stored ending of a study, brings its record up to date and tells everybody.
pub(crate) async fn settle(
    federation: &Arc<Federation>,
    study: &mut Study,
) -> Result<(), RunFault> {
    let Some(ending) = study.ending.clone() else {
        return Ok(());
    };
    drop_attempt(federation, study, &ending).await?;
    let event = ending_event(federation, study, &ending);
    federation.log.append_one(event).await?;
    let Ending { state, reason, .. } = ending;
    tracing::info!(study = study.short_id(), state = state.as_str(), %reason, "study ended");
    study.state = state;
    study.reason = reason;
    study.ended_milliseconds = ending.milliseconds;
    save(federation, study).await?;
    tell_end(federation, study);
    Ok(())
}

/// Ends an attempt that nobody could take up again.
async fn drop_attempt(
    federation: &Arc<Federation>,
    study: &Study,
    ending: &Ending,
) -> Result<(), RunFault> {
    let stored = federation.store.with(|store| store.attempt()).await?;
    let Some(attempt) = stored.filter(|attempt| attempt.study_id == study.id) else {
        return Ok(());
    };
    let event = Event::new(
        EventKind::RoundAbandoned,
        time_of(ending.milliseconds),
        federation.actor(),
    )
    .with_study(StudyReference::new(study.id.clone()))
    .with_attempt(attempt.id.epoch, attempt.id.round, attempt.id.attempt)
    .with_detail("reason", clamp(&ending.reason, REASON_BYTES));
    federation.log.append_one(event).await?;
    let study = study.clone();
    Ok(federation
        .store
        .with(move |store| store.end_attempt(&study, None))
        .await?)
}

fn tell_end(federation: &Federation, study: &Study) {
    // A study that was never offered means nothing to its silos.
    for silo in study
        .invited
        .iter()
        .filter(|_| study.offered_milliseconds > 0)
    {
        send_end(federation, silo, study);
    }
    federation.progress.close(progress_of(study, federation));
}

async fn save(federation: &Federation, study: &Study) -> Result<(), RunFault> {
    let study = study.clone();
    Ok(federation
        .store
        .with(move |store| store.save_study(&study))
        .await?)
}

/// The entry of the log for an ending: the same whenever it is made.
fn ending_event(federation: &Federation, study: &Study, ending: &Ending) -> Event {
    let answer = ending
        .silo
        .as_ref()
        .and_then(|silo| study.answers.get(silo));
    let (kind, outcome) = match (ending.state, answer) {
        (StudyState::Refused, Some(Answer::NotReady)) => {
            (EventKind::StudyNotReady, Outcome::Refused)
        }
        (StudyState::Refused, _) => (EventKind::StudyRefused, Outcome::Refused),
        (StudyState::Cancelled, _) => (EventKind::StudyCancelled, Outcome::Failed),
        (
            StudyState::Queued
            | StudyState::Consenting
            | StudyState::Running
            | StudyState::Completed
            | StudyState::Failed,
            _,
        ) => (EventKind::StudyFailed, Outcome::Failed),
    };
    let actor = match &ending.silo {
        Some(silo) => Actor::silo(silo.as_str()),
        None => federation.actor(),
    };
    let event = Event::new(kind, time_of(ending.milliseconds), actor)
        .with_study(StudyReference::new(study.id.clone()))
        .with_outcome(outcome);
    let by_silo = |refusal: &&Refusal| Some(&refusal.silo) == ending.silo.as_ref();
    match (answer, study.refusals.iter().find(by_silo)) {
        (Some(Answer::NotReady), _) => event,
        (_, Some(refusal)) => with_conditions(event, refusal),
        (_, None) => event.with_detail("reason", clamp(&ending.reason, REASON_BYTES)),
    }
}

fn with_conditions(mut event: Event, refusal: &Refusal) -> Event {
    for (number, (rule, text)) in (1..=CONDITIONS).zip(&refusal.conditions) {
        event = event.with_detail(
            format!("condition_{number:02}"),
            clamp(&format!("{rule}: {text}"), CONDITION_BYTES),
        );
    }
    if let Some(more) = refusal
        .conditions
        .len()
        .checked_sub(CONDITIONS)
        .filter(|more| *more > 0)
    {
        event = event.with_detail("conditions_left_out", more.to_string());
    }
    let version = refusal.policy_version.trim_start_matches('v').parse();
    match (version, refusal.policy_digest) {
        (Ok(version), Some(digest)) => event.with_policy(version, digest),
        (Err(_), _) | (_, None) => event,
    }
}

fn time_of(milliseconds: u64) -> Timestamp {
    Timestamp::from_unix_milliseconds(milliseconds).unwrap_or_else(|_| now())
}
