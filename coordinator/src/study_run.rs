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

mod consent;
mod ending;
mod rounds;

use crate::admission::{AdmissionFault, Admitted, admit};
use crate::catch_up::{CatchUpFault, CatchUps};
use crate::crash::CrashPoint;
use crate::federation::{Federation, PublishedRoster};
use crate::input::Input;
use crate::log_keeper::KeeperFault;
use crate::spool::SpoolFault;
use crate::store::StoreFault;
use crate::study::{StoredOutcome, Study, StudyState};
use crate::study_progress::{Amounts, progress_with};
use consilium_audit::StudyReference;
use consilium_learning::model::ModelFault;
use consilium_protocol::{PlanFault, RestoreFault, UnmaskFault};
use std::sync::Arc;
use tokio::sync::mpsc;

pub(crate) use ending::{cancel_queued, end_unstarted, write_result};

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

/// At most one short word of a silo's reason.
fn word(reason: &str) -> String {
    let allowed =
        |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_' || *letter == '-';
    reason.chars().take_while(allowed).take(32).collect()
}
