// SPDX-License-Identifier: Apache-2.0
//! The queue of studies: one at a time, the oldest first.

use crate::catch_up::CatchUps;
use crate::crash::CrashPoint;
use crate::federation::Federation;
use crate::input::Input;
use crate::study::{Study, StudyState};
use crate::study_run::{RunEnd, RunFault, StudyRun, cancel_queued, end_unstarted};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Runs studies until the service stops.
pub(crate) async fn run(
    federation: Arc<Federation>,
    mut inputs: mpsc::UnboundedReceiver<Input>,
    crash: Option<CrashPoint>,
) -> Result<(), RunFault> {
    loop {
        let end = match next_study(&federation).await? {
            Some(study) => run_study(&federation, &mut inputs, crash, study).await?,
            None => wait(&federation, &mut inputs).await?,
        };
        match end {
            RunEnd::Ended => {}
            RunEnd::Stopping => return Ok(()),
        }
    }
}

/// The study that a stopped process left behind, otherwise the oldest that waits.
async fn next_study(federation: &Federation) -> Result<Option<Study>, RunFault> {
    if federation.roster().is_none() {
        return Ok(None);
    }
    let study = federation.store.with(|store| {
        match store.oldest_study(&[StudyState::Running, StudyState::Consenting])? {
            Some(study) => Ok(Some(study)),
            None => store.oldest_study(&[StudyState::Queued]),
        }
    });
    Ok(study.await?)
}

async fn run_study(
    federation: &Arc<Federation>,
    inputs: &mut mpsc::UnboundedReceiver<Input>,
    crash: Option<CrashPoint>,
    study: Study,
) -> Result<RunEnd, RunFault> {
    let Some(roster) = federation.roster() else {
        return Ok(RunEnd::Ended);
    };
    match StudyRun::new(federation, inputs, crash, roster, study) {
        Ok(run) => run.run().await,
        Err(refused) => {
            let (mut study, fault) = *refused;
            let reason = format!(
                "the study does not fit the roster in force: {}",
                crate::explain(&fault)
            );
            end_unstarted(federation, &mut study, StudyState::Failed, reason).await?;
            Ok(RunEnd::Ended)
        }
    }
}

/// Waits for a study; meanwhile returning silos hear what they missed.
async fn wait(
    federation: &Arc<Federation>,
    inputs: &mut mpsc::UnboundedReceiver<Input>,
) -> Result<RunEnd, RunFault> {
    let mut catch_ups = CatchUps::default();
    loop {
        let input = tokio::select! {
            input = inputs.recv() => input,
            Some(_) = catch_ups.next(), if !catch_ups.is_empty() => continue,
        };
        match input {
            None | Some(Input::Stop) => return Ok(RunEnd::Stopping),
            Some(Input::Submitted) => return Ok(RunEnd::Ended),
            Some(Input::Opened(silo)) => catch_ups.begin(federation, &silo, None),
            Some(Input::Cancel { study_id, reason }) => {
                cancel_queued(federation, study_id, reason).await?;
            }
            Some(
                Input::Gone(_)
                | Input::Consent { .. }
                | Input::Delivered { .. }
                | Input::Spooled { .. }
                | Input::Declined { .. },
            ) => {}
        }
    }
}
