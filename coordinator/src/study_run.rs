// SPDX-License-Identifier: Apache-2.0
//! One study from the offer to its end.
//!
//! ```text
//! queued --offer--> consenting --every silo agrees--> running --a round after another--> completed
//!   consenting --one refuses, is not ready, or does not answer in time--> refused
//!   running --an attempt too many, a sum that leads nowhere--> failed;  any --the researcher--> cancelled
//! ```
//!
//! What has happened is in the study's record before anybody is told, so a restart goes on where it stopped.

use crate::admission::{AdmissionFault, Admitted, admit};
use crate::catch_up::{CatchUpFault, CatchUps, OWN_COSIGNATURE_TIME, open_proofs, send_end};
use crate::crash::CrashPoint;
use crate::federation::{Federation, PublishedRoster, unix_milliseconds};
use crate::input::Input;
use crate::log_keeper::{KeeperFault, now};
use crate::round_driver::{RoundDriver, RoundOutcome};
use crate::spool::SpoolFault;
use crate::store::StoreFault;
use crate::study::{Answer, Refusal, StoredOutcome, StoredResult, Study, StudyState};
use crate::study_progress::{Amounts, progress_with};
use consilium_audit::{Actor, Event, EventKind, Outcome, StudyReference, Timestamp};
use consilium_crypto::digest::Digest;
use consilium_learning::model::ModelFault;
use consilium_learning::{Model, StudyResult};
use consilium_protocol::{AttemptId, PlanFault, RestoreFault, SiloName, UnmaskFault};
use consilium_wire::v1;
use consilium_wire::v1::consent::Decision;
use consilium_wire::v1::coordinator_frame::Frame;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Attempts that may fail before any input is masked, for each round.
const UNCHARGED_FAILURES: u32 = 5;

/// The longest list of conditions that an entry of the log carries.
const CONDITIONS_IN_LOG: usize = 16;

/// One study in progress.
pub(crate) struct StudyRun<'a> {
    pub(crate) federation: &'a Arc<Federation>,
    pub(crate) inputs: &'a mut mpsc::UnboundedReceiver<Input>,
    pub(crate) crash: Option<CrashPoint>,
    pub(crate) roster: Arc<PublishedRoster>,
    pub(crate) study: Study,
    pub(crate) admitted: Admitted,
    pub(crate) amounts: Amounts,
    pub(crate) catch_ups: CatchUps,
}

/// Why the work on a study stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunEnd {
    /// It has ended.
    Ended,
    /// The service stops; the study goes on after the next start.
    Stopping,
}

/// How a study ends.
#[derive(Debug)]
enum Ending {
    Completed(StoredOutcome),
    Refused(String),
    Failed(String),
    Cancelled(String),
    Stopping,
}

/// What our own side could not do. Work stops until the operator has looked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunFault {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The log.
    #[error(transparent)]
    Log(#[from] KeeperFault),
    /// The blobs.
    #[error(transparent)]
    Spool(#[from] SpoolFault),
    /// Returning silos.
    #[error(transparent)]
    CatchUp(#[from] CatchUpFault),
    /// A study that no longer fits the roster.
    #[error(transparent)]
    Admission(#[from] AdmissionFault),
    /// A plan that no longer fits the roster.
    #[error(transparent)]
    Plan(#[from] PlanFault),
    /// A stored model.
    #[error(transparent)]
    Model(#[from] ModelFault),
    /// A stored attempt.
    #[error("the attempt in flight cannot be restored")]
    Restore(#[from] RestoreFault),
    /// What a stored attempt still asks for.
    #[error("the attempt in flight cannot be restored")]
    Pending(#[from] postcard::Error),
    /// The unmasking.
    #[error(transparent)]
    Unmask(#[from] UnmaskFault),
    /// Results that cannot be written.
    #[error("the result cannot be written as JSON or safetensors")]
    Result(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A value that must be there.
    #[error("the state of the attempt is incomplete: {0}")]
    Incomplete(&'static str),
    /// A task of ours that ended early.
    #[error("a computation broke off")]
    BrokeOff,
}

impl<'a> StudyRun<'a> {
    /// Takes a study up, wherever it stands.
    pub(crate) fn new(
        federation: &'a Arc<Federation>,
        inputs: &'a mut mpsc::UnboundedReceiver<Input>,
        crash: Option<CrashPoint>,
        roster: Arc<PublishedRoster>,
        study: Study,
    ) -> Result<Self, Box<(Study, AdmissionFault)>> {
        let admitted = match admit(&study.bytes, &roster) {
            Ok(admitted) => admitted,
            Err(fault) => return Err(Box::new((study, fault))),
        };
        let amounts = Amounts::of(&study, federation);
        let catch_ups = CatchUps::default();
        Ok(Self {
            federation,
            inputs,
            crash,
            roster,
            study,
            admitted,
            amounts,
            catch_ups,
        })
    }

    /// Carries the study through to its end.
    pub(crate) async fn run(mut self) -> Result<RunEnd, RunFault> {
        tracing::info!(
            study = self.study.short_id(),
            state = self.study.state.as_str(),
            "study taken up"
        );
        let mut ending = None;
        if self.study.state == StudyState::Queued {
            self.study.state = StudyState::Consenting;
            self.study.invited = self.admitted.plan.silos.clone();
            self.save().await?;
        }
        if self.study.state == StudyState::Consenting {
            ending = self.gather_consent().await?;
        }
        let ending = match ending {
            Some(ending) => ending,
            None => self.run_rounds().await?,
        };
        self.finish(ending).await
    }

    /// Offers the study until every silo has agreed, or one has not.
    async fn gather_consent(&mut self) -> Result<Option<Ending>, RunFault> {
        for silo in self.study.invited.clone() {
            self.offer(&silo);
        }
        self.show("");
        let deadline = self.deadline_milliseconds();
        loop {
            if self.study.is_agreed() {
                self.study.state = StudyState::Running;
                self.save().await?;
                return Ok(None);
            }
            let left = Duration::from_millis(deadline.saturating_sub(unix_milliseconds()));
            let input = tokio::select! {
                input = self.inputs.recv() => input,
                Some(_) = self.catch_ups.next(), if !self.catch_ups.is_empty() => continue,
                () = tokio::time::sleep(left) => {
                    let reason = self.unanswered();
                    return Ok(Some(Ending::Refused(reason)));
                }
            };
            let Some(input) = input else {
                return Ok(Some(Ending::Stopping));
            };
            match input {
                Input::Opened(silo) => {
                    self.catch_ups
                        .begin(self.federation, &silo, Some(&self.study));
                    self.offer(&silo);
                    self.show("");
                }
                Input::Gone(_) => self.show(""),
                Input::Consent { from, consent } if consent.study_id == self.study.id => {
                    if let Some(ending) = self.take_consent(&from, consent).await? {
                        return Ok(Some(ending));
                    }
                    self.show("");
                }
                Input::Declined {
                    from,
                    study_id,
                    reason,
                } if study_id == self.study.id => {
                    return Ok(Some(Ending::Refused(format!(
                        "`{from}` declined: {}",
                        word(&reason)
                    ))));
                }
                Input::Cancel { study_id, reason } if study_id == self.study.id => {
                    return Ok(Some(Ending::Cancelled(reason)));
                }
                Input::Cancel { study_id, reason } => {
                    cancel_queued(self.federation, study_id, reason).await?;
                }
                Input::Stop => return Ok(Some(Ending::Stopping)),
                Input::Consent { .. }
                | Input::Delivered { .. }
                | Input::Spooled { .. }
                | Input::Declined { .. }
                | Input::Submitted => {}
            }
        }
    }

    fn offer(&self, silo: &SiloName) {
        if self.study.invited.binary_search(silo).is_err()
            || self.study.answers.get(silo) == Some(&Answer::Granted)
        {
            return;
        }
        let offer = v1::StudyOffer {
            study_id: self.study.id.clone(),
            study: self.study.bytes.clone(),
            researcher: self.study.researcher.clone(),
            signature: data_encoding::HEXLOWER
                .decode(self.study.signature.as_bytes())
                .unwrap_or_default(),
            invited: self.study.invited.iter().map(SiloName::to_string).collect(),
            deadline_milliseconds: self.deadline_milliseconds(),
        };
        self.federation.sessions.send(silo, Frame::Offer(offer));
    }

    fn deadline_milliseconds(&self) -> u64 {
        let hours = u64::from(self.admitted.study.heading.deadline_hours);
        self.study
            .submitted_milliseconds
            .saturating_add(hours * 3_600_000)
    }

    fn unanswered(&self) -> String {
        let silent = self.study.invited.iter().filter(|silo| {
            self.study
                .answers
                .get(*silo)
                .is_none_or(|answer| *answer != Answer::Granted)
        });
        let silent: Vec<String> = silent.map(|silo| format!("`{silo}`")).collect();
        format!("no answer by the deadline from {}", silent.join(", "))
    }

    /// Takes one silo's answer. The first that does not agree ends the study.
    async fn take_consent(
        &mut self,
        from: &SiloName,
        consent: v1::Consent,
    ) -> Result<Option<Ending>, RunFault> {
        let invited = self.study.invited.binary_search(from).is_ok();
        let decided = self
            .study
            .answers
            .get(from)
            .is_some_and(|answer| *answer != Answer::Pending);
        let Some(decision) = consent.decision.filter(|_| invited && !decided) else {
            return Ok(None);
        };
        let (answer, event) = match &decision {
            Decision::Granted(_) => (Answer::Granted, EventKind::StudyConsented),
            Decision::Refused(_) => (Answer::Refused, EventKind::StudyRefused),
            Decision::NotReady(_) => (Answer::NotReady, EventKind::StudyNotReady),
            Decision::Pending(_) => (Answer::Pending, EventKind::StudyApprovalRequested),
        };
        if self.study.answers.insert(from.clone(), answer) == Some(answer) {
            return Ok(None);
        }
        let mut event =
            Event::new(event, now(), Actor::silo(from.as_str())).with_study(self.reference());
        let ending = match decision {
            Decision::Granted(_) | Decision::Pending(_) => None,
            Decision::NotReady(_) => {
                event = event.with_outcome(Outcome::Refused);
                Some(Ending::Refused(format!("`{from}` is not ready")))
            }
            Decision::Refused(refused) => {
                event = refusal_event(event, &refused);
                let refusal = Refusal {
                    silo: from.clone(),
                    conditions: refused
                        .conditions
                        .into_iter()
                        .map(|condition| (condition.rule, condition.text))
                        .collect(),
                    policy_version: refused.policy_version,
                };
                self.study.refusals.push(refusal);
                Some(Ending::Refused(format!("refused by `{from}`")))
            }
        };
        self.federation.log.append_one(event).await?;
        self.save().await?;
        Ok(ending)
    }

    /// Runs rounds until the study has its result or cannot have one.
    async fn run_rounds(&mut self) -> Result<Ending, RunFault> {
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
        let mut proofs = std::collections::BTreeMap::new();
        for silo in &plan.silos {
            let open = open_proofs(self.federation, silo, self.study.last_release).await?;
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

    /// Ends the study and tells everybody.
    async fn finish(mut self, ending: Ending) -> Result<RunEnd, RunFault> {
        let (state, reason) = match ending {
            Ending::Stopping => return Ok(RunEnd::Stopping),
            Ending::Completed(outcome) => {
                // No result to the researcher before a quorum has cosigned what it rests on.
                self.show("waiting for cosignatures");
                if let Some(place) = self.study.last_release {
                    self.federation.log.committed(place).await?;
                }
                let time = Timestamp::from_unix_milliseconds(outcome.milliseconds)
                    .unwrap_or_else(|_| now());
                let event = Event::new(EventKind::StudyCompleted, time, self.federation.actor())
                    .on_behalf_of(self.study.researcher.clone())
                    .with_study(self.reference())
                    .with_reference("result", outcome.json);
                // No result to the researcher before a quorum has cosigned what it rests on: first the releases, so that
                // a completed study stands on cosigned ones, then the completion itself.
                self.show("waiting for cosignatures");
                let size = self.federation.log.with(|log| Ok(log.size())).await?;
                if let Some(last) = size.checked_sub(1) {
                    self.federation.log.committed(last).await?;
                }
                let log_index = self.federation.log.append_one(event).await?;
                self.federation.log.committed(log_index).await?;
                let StoredOutcome {
                    json, safetensors, ..
                } = outcome;
                self.study.result = Some(StoredResult {
                    json,
                    safetensors,
                    log_index,
                });
                (StudyState::Completed, String::new())
            }
            Ending::Refused(reason) => (StudyState::Refused, reason),
            Ending::Failed(reason) => {
                self.log_end(EventKind::StudyFailed, &reason).await?;
                (StudyState::Failed, reason)
            }
            Ending::Cancelled(reason) => {
                self.log_end(EventKind::StudyCancelled, &reason).await?;
                (StudyState::Cancelled, reason)
            }
        };
        tracing::info!(study = self.study.short_id(), state = state.as_str(), %reason, "study ended");
        self.study.state = state;
        self.study.reason = reason;
        self.study.ended_milliseconds = unix_milliseconds();
        self.save().await?;
        for silo in &self.study.invited {
            send_end(self.federation, silo, &self.study);
        }
        self.federation
            .progress
            .close(progress_with(&self.study, self.federation, &self.amounts));
        Ok(RunEnd::Ended)
    }

    async fn log_end(&self, kind: EventKind, reason: &str) -> Result<(), RunFault> {
        let event = Event::new(kind, now(), self.federation.actor())
            .with_study(self.reference())
            .with_outcome(Outcome::Failed)
            .with_detail("reason", reason.chars().take(500).collect::<String>());
        self.federation.log.append_one(event).await?;
        Ok(())
    }

    /// The study as the log names it.
    pub(crate) fn reference(&self) -> StudyReference {
        StudyReference::new(self.study.id.clone())
    }

    /// Shows the present state to those who watch.
    pub(crate) fn show(&self, phase: &str) {
        let mut progress = progress_with(&self.study, self.federation, &self.amounts);
        progress.phase = phase.to_owned();
        self.federation.progress.show(progress);
    }

    async fn save(&self) -> Result<(), RunFault> {
        let study = self.study.clone();
        Ok(self
            .federation
            .store
            .with(move |store| store.save_study(&study))
            .await?)
    }
}

/// Cancels a study that waits for its turn.
pub(crate) async fn cancel_queued(
    federation: &Arc<Federation>,
    study_id: String,
    reason: String,
) -> Result<(), RunFault> {
    let stored = federation
        .store
        .with(move |store| store.study(&study_id))
        .await?;
    let Some(mut study) = stored.filter(|study| study.state == StudyState::Queued) else {
        return Ok(());
    };
    end_unstarted(federation, &mut study, StudyState::Cancelled, reason).await
}

/// Ends a study that never began.
pub(crate) async fn end_unstarted(
    federation: &Arc<Federation>,
    study: &mut Study,
    state: StudyState,
    reason: String,
) -> Result<(), RunFault> {
    let kind = match state {
        StudyState::Cancelled => EventKind::StudyCancelled,
        StudyState::Queued
        | StudyState::Consenting
        | StudyState::Running
        | StudyState::Completed
        | StudyState::Refused
        | StudyState::Failed => EventKind::StudyFailed,
    };
    let event = Event::new(kind, now(), federation.actor())
        .with_study(StudyReference::new(study.id.clone()))
        .with_outcome(Outcome::Failed)
        .with_detail("reason", reason.chars().take(500).collect::<String>());
    federation.log.append_one(event).await?;
    study.state = state;
    study.reason = reason;
    study.ended_milliseconds = unix_milliseconds();
    let saved = study.clone();
    federation
        .store
        .with(move |store| store.save_study(&saved))
        .await?;
    federation
        .progress
        .close(crate::study_progress::progress_of(study, federation));
    Ok(())
}

/// The result as JSON and as safetensors.
pub(crate) fn write_result(result: &StudyResult) -> Result<(Vec<u8>, Vec<u8>), RunFault> {
    let json = serde_json::to_vec_pretty(result).map_err(|fault| RunFault::Result(fault.into()))?;
    let parameters = result.parameters();
    let bytes: Vec<(String, Vec<u8>, usize)> = parameters
        .into_iter()
        .map(|(name, values)| {
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            (name, bytes, values.len())
        })
        .collect();
    let views = bytes.iter().map(|(name, bytes, length)| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F64, vec![*length], bytes)
            .map(|view| (name.clone(), view))
    });
    let views = views
        .collect::<Result<Vec<_>, _>>()
        .map_err(|fault| RunFault::Result(fault.into()))?;
    let tensors =
        safetensors::serialize(views, None).map_err(|fault| RunFault::Result(fault.into()))?;
    Ok((json, tensors))
}

fn refusal_event(event: Event, refused: &v1::Refused) -> Event {
    let mut event = event.with_outcome(Outcome::Refused);
    for (number, condition) in (1..=CONDITIONS_IN_LOG).zip(&refused.conditions) {
        let text: String = condition.text.chars().take(300).collect();
        event = event.with_detail(
            format!("condition_{number:02}"),
            format!("{}: {text}", condition.rule),
        );
    }
    let version = refused.policy_version.trim_start_matches('v').parse();
    match (version, Digest::try_from(refused.policy_digest.as_slice())) {
        (Ok(version), Ok(digest)) => event.with_policy(version, digest),
        (Err(_), _) | (_, Err(_)) => event,
    }
}

/// At most one short word of a silo's reason.
fn word(reason: &str) -> String {
    let allowed =
        |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_' || *letter == '-';
    reason.chars().take_while(allowed).take(32).collect()
}
