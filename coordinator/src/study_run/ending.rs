// SPDX-License-Identifier: Apache-2.0
//! How studies end: with a result, a refusal, a failure or a withdrawal.

use super::{Ending, RunEnd, RunFault, StudyRun};
use crate::catch_up::send_end;
use crate::federation::{Federation, unix_milliseconds};
use crate::log_keeper::now;
use crate::study::{StoredOutcome, StoredResult, Study, StudyState};
use crate::study_progress::{progress_of, progress_with};
use consilium_audit::{Event, EventKind, Outcome, StudyReference, Timestamp};
use consilium_learning::StudyResult;
use std::sync::Arc;

impl StudyRun<'_> {
    /// Ends the study and tells everybody.
    pub(super) async fn finish(mut self, ending: Ending) -> Result<RunEnd, RunFault> {
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
    federation.progress.close(progress_of(study, federation));
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
