// SPDX-License-Identifier: Apache-2.0
//! One study from the offer to its end.
//!
//! ```text
//! queued --offer--> consenting --every silo agrees--> running --a round after another--> completed
//!   consenting --one refuses, is not ready, or does not answer in time--> refused
//!   running --an attempt too many, a sum that leads nowhere--> failed;  any --the researcher--> cancelled
//!   any --another roster is in force--> failed
//! ```
//!
//! What has happened is in the study's record before anybody is told, so a restart goes on where it stopped.

mod acceptance;
mod consent;
mod ending;
mod lingering;
mod result_files;
mod rounds;

use crate::admission::{AdmissionFault, Admitted, admit};
use crate::catch_up::{CatchUpFault, CatchUps};
use crate::crash::{CrashPlace, CrashPoint, reached};
use crate::federation::{Federation, PublishedRoster, unix_milliseconds};
use crate::input::Input;
use crate::log_keeper::KeeperFault;
use crate::spool::SpoolFault;
use crate::store::StoreFault;
use crate::study::{Study, StudyState};
use crate::study_progress::{Amounts, progress_with};
use consilium_audit::StudyReference;
use consilium_learning::model::ModelFault;
use consilium_protocol::{PlanFault, RestoreFault};
use std::sync::Arc;
use tokio::sync::mpsc;

pub(crate) use ending::{cancel_queued, settle};

/// What a study borrows from the scheduler.
pub(crate) struct Workplace<'a> {
    pub(crate) federation: &'a Arc<Federation>,
    pub(crate) inputs: &'a mut mpsc::Receiver<Input>,
    pub(crate) catch_ups: &'a mut CatchUps,
    pub(crate) crash: Option<CrashPoint>,
}

/// One study in progress.
pub(crate) struct StudyRun<'a> {
    pub(crate) federation: &'a Arc<Federation>,
    pub(crate) inputs: &'a mut mpsc::Receiver<Input>,
    pub(crate) catch_ups: &'a mut CatchUps,
    pub(crate) crash: Option<CrashPoint>,
    pub(crate) roster: Arc<PublishedRoster>,
    pub(crate) study: Study,
    pub(crate) admitted: Admitted,
    pub(crate) amounts: Amounts,
    /// Whether the log may say already that the study is complete.
    completing: bool,
}

/// Why the work on a study stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunEnd {
    /// It has ended.
    Ended,
    /// The service stops; the study goes on after the next start.
    Stopping,
}

/// Why a part of the work does not go on.
#[derive(Debug)]
pub(crate) enum Halt {
    /// How the study ends is stored.
    Over,
    /// The service stops.
    Stopping,
    /// Our own side failed.
    Fault(RunFault),
}

impl<F> From<F> for Halt
where
    RunFault: From<F>,
{
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
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
    /// What shows that a silo misbehaved.
    #[error("the evidence of an accusation cannot be read or written")]
    Evidence(#[source] std::io::Error),
    /// Returning silos.
    #[error(transparent)]
    CatchUp(#[from] CatchUpFault),
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
        workplace: Workplace<'a>,
        roster: Arc<PublishedRoster>,
        study: Study,
    ) -> Result<Self, Box<(Study, AdmissionFault)>> {
        let asked = match study.roster_root {
            Some(_) => study.invited.as_slice(),
            None => &[],
        };
        let admitted = match admit(&study.bytes, asked, &roster) {
            Ok(admitted) => admitted,
            Err(fault) => return Err(Box::new((study, fault))),
        };
        let Workplace {
            federation,
            inputs,
            catch_ups,
            crash,
        } = workplace;
        let amounts = Amounts::of(&study, federation);
        Ok(Self {
            federation,
            inputs,
            catch_ups,
            crash,
            roster,
            study,
            admitted,
            amounts,
            completing: false,
        })
    }

    /// Carries the study through to its end.
    pub(crate) async fn run(mut self) -> Result<RunEnd, RunFault> {
        tracing::info!(
            study = self.study.short_id(),
            state = self.study.state.as_str(),
            "study taken up"
        );
        match self.carry_on().await {
            Ok(()) => Ok(RunEnd::Ended),
            Err(Halt::Over) => {
                settle(self.federation, &mut self.study).await?;
                Ok(RunEnd::Ended)
            }
            Err(Halt::Stopping) => Ok(RunEnd::Stopping),
            Err(Halt::Fault(fault)) => Err(fault),
        }
    }

    async fn carry_on(&mut self) -> Result<(), Halt> {
        self.finish_attempt_in_flight().await?;
        self.check_ending().await?;
        if self.study.state == StudyState::Queued {
            self.study.state = StudyState::Consenting;
            self.study.invited = self.admitted.plan.silos.clone();
            self.study.offered_milliseconds = unix_milliseconds();
            self.study.roster_root = Some(self.roster.membership.roster_root);
            self.save().await?;
        }
        if self.study.state == StudyState::Consenting {
            self.gather_consent().await?;
        }
        let outcome = self.run_rounds().await?;
        self.complete(outcome).await
    }

    /// Stops when it is already decided how the study ends, or when its silos agreed under another roster.
    async fn check_ending(&mut self) -> Result<(), Halt> {
        if self.study.ending.is_some() {
            return Err(Halt::Over);
        }
        match self.roster_change() {
            Some(reason) => Err(self.end(StudyState::Failed, reason, None).await?),
            None => Ok(()),
        }
    }

    /// Why the study cannot go on, when another roster is in force than the one under which its silos were asked.
    pub(crate) fn roster_change(&self) -> Option<String> {
        let roster = self.federation.roster()?;
        let asked = self.study.roster_root?;
        // What is released needs only cosignatures.
        let changed = asked != roster.membership.roster_root && self.study.outcome.is_none();
        changed.then(|| {
            format!(
                "roster version {} has replaced the one under which the silos were asked; write another `study.submission` and submit the study again",
                roster.roster.version()
            )
        })
    }

    /// Waits for work and goes on listening.
    async fn listening<T, F>(&mut self, work: impl Future<Output = Result<T, F>>) -> Result<T, Halt>
    where
        Halt: From<F>,
    {
        let mut work = std::pin::pin!(work);
        loop {
            let input = tokio::select! {
                done = &mut work => return Ok(done?),
                input = self.inputs.recv() => input,
                Some(_) = self.catch_ups.next(), if !self.catch_ups.is_empty() => continue,
            };
            self.take(input.unwrap_or(Input::Stop)).await?;
        }
    }

    /// Takes what may come at any time between attempts.
    async fn take(&mut self, input: Input) -> Result<(), Halt> {
        match input {
            Input::Opened(silo) => {
                self.catch_ups
                    .begin(self.federation, &silo, Some(&self.study));
                Ok(())
            }
            Input::Declined {
                from,
                study_id,
                reason,
            } => {
                if study_id == self.study.id && self.study.invites(&from) {
                    self.study.declined.insert(from, word(&reason));
                    self.save().await?;
                }
                Ok(())
            }
            Input::Cancel {
                study_id,
                reason,
                answer,
            } => {
                if study_id == self.study.id {
                    return self.cancel(reason, answer).await;
                }
                Ok(cancel_queued(self.federation, study_id, reason, answer).await?)
            }
            Input::RosterChanged => self.check_ending().await,
            Input::Stop => Err(Halt::Stopping),
            Input::Gone(_)
            | Input::Consent { .. }
            | Input::Delivered { .. }
            | Input::Spooled { .. }
            | Input::BadChunk { .. }
            | Input::Submitted => Ok(()),
        }
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

    /// Dies here if a test asks for it: how the study ends is stored, nothing is logged or told.
    pub(crate) fn reach_ending(&self) {
        if self.study.ending.is_some() {
            let round = self.study.rounds_done.saturating_add(1);
            reached(self.crash, CrashPlace::Ending, round);
        }
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

/// At most one short word of a silo's reason.
pub(crate) fn word(reason: &str) -> String {
    let allowed =
        |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_' || *letter == '-';
    reason.chars().take_while(allowed).take(32).collect()
}
