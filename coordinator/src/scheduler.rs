// SPDX-License-Identifier: Apache-2.0
//! The queue of studies: one at a time, the oldest first.

use crate::catch_up::CatchUps;
use crate::crash::CrashPoint;
use crate::federation::{Federation, unix_milliseconds};
use crate::input::Input;
use crate::study::{Study, StudyState};
use crate::study_run::{RunEnd, RunFault, StudyRun, Workplace, cancel_queued, settle};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Runs studies until the service stops.
pub(crate) async fn run(
    federation: Arc<Federation>,
    inputs: mpsc::Receiver<Input>,
    crash: Option<CrashPoint>,
) -> Result<(), RunFault> {
    let mut scheduler = Scheduler {
        federation,
        inputs,
        catch_ups: CatchUps::default(),
        crash,
    };
    loop {
        let end = match scheduler.next_study().await? {
            Some(study) => scheduler.run_study(study).await?,
            None => scheduler.wait().await?,
        };
        match end {
            RunEnd::Ended => {}
            RunEnd::Stopping => return Ok(()),
        }
    }
}

struct Scheduler {
    federation: Arc<Federation>,
    inputs: mpsc::Receiver<Input>,
    /// They outlive the studies during which they begin.
    catch_ups: CatchUps,
    crash: Option<CrashPoint>,
}

impl Scheduler {
    /// The study that a stopped process left behind, otherwise the oldest that waits.
    async fn next_study(&self) -> Result<Option<Study>, RunFault> {
        if self.federation.roster().is_none() {
            return Ok(None);
        }
        let study = self.federation.store.with(|store| {
            match store.oldest_study(&[StudyState::Running, StudyState::Consenting])? {
                Some(study) => Ok(Some(study)),
                None => store.oldest_study(&[StudyState::Queued]),
            }
        });
        Ok(study.await?)
    }

    async fn run_study(&mut self, study: Study) -> Result<RunEnd, RunFault> {
        let Some(roster) = self.federation.roster() else {
            return Ok(RunEnd::Ended);
        };
        let workplace = Workplace {
            federation: &self.federation,
            inputs: &mut self.inputs,
            catch_ups: &mut self.catch_ups,
            crash: self.crash,
        };
        match StudyRun::new(workplace, roster, study) {
            Ok(run) => run.run().await,
            Err(refused) => {
                let (mut study, fault) = *refused;
                let reason = format!(
                    "the study does not fit the roster in force: {}",
                    crate::explain(&fault)
                );
                study.end(StudyState::Failed, reason, None, unix_milliseconds());
                let decided = study.clone();
                self.federation
                    .store
                    .with(move |store| store.save_study(&decided))
                    .await?;
                settle(&self.federation, &mut study).await?;
                Ok(RunEnd::Ended)
            }
        }
    }

    /// Waits for a study; meanwhile returning silos hear what they missed.
    async fn wait(&mut self) -> Result<RunEnd, RunFault> {
        loop {
            let input = tokio::select! {
                input = self.inputs.recv() => input,
                Some(_) = self.catch_ups.next(), if !self.catch_ups.is_empty() => continue,
            };
            match input {
                None | Some(Input::Stop) => return Ok(RunEnd::Stopping),
                Some(Input::Submitted) => return Ok(RunEnd::Ended),
                Some(Input::Opened(silo)) => self.catch_ups.begin(&self.federation, &silo, None),
                Some(Input::Cancel {
                    study_id,
                    reason,
                    answer,
                }) => cancel_queued(&self.federation, study_id, reason, answer).await?,
                Some(
                    Input::Gone(_)
                    | Input::Consent { .. }
                    | Input::Delivered { .. }
                    | Input::Spooled { .. }
                    | Input::BadChunk { .. }
                    | Input::Declined { .. }
                    | Input::RosterChanged,
                ) => {}
            }
        }
    }
}
