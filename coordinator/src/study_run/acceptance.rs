// SPDX-License-Identifier: Apache-2.0
//! What goes on from a release waits for a threshold of silos to sign that they verified its sum, and logs that.
//!
//! Our own log entry says what was released; only the silos can say that it is the sum of what they sent.

use super::{Halt, RunFault, StudyRun};
use crate::federation::Federation;
use crate::log_keeper::{KeeperFault, now};
use crate::store::{StoreFault, StoredAcceptance};
use crate::study::StudyState;
use consilium_audit::entry::AttemptReference;
use consilium_audit::{ACCEPTANCES, Acceptances, AcceptedRelease, Event, EventKind};
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::Signature;
use consilium_protocol::{AttemptId, SiloName};
use consilium_wire::v1;
use std::sync::Arc;
use std::time::Duration;

/// Why an acceptance could not be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptanceFault {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The log.
    #[error(transparent)]
    Log(#[from] KeeperFault),
}

impl Federation {
    /// Keeps a silo's signature under a sum that it verified, if it is one.
    pub(crate) async fn take_acceptance(
        &self,
        silo: SiloName,
        accepted: &v1::ReleaseAccepted,
    ) -> Result<(), AcceptanceFault> {
        let sum = Digest::try_from(accepted.sum.as_slice());
        let signature = Signature::try_from(accepted.signature.as_slice());
        let (Ok(sum), Ok(signature)) = (sum, signature) else {
            tracing::warn!(%silo, "an acceptance holds no digest or no signature; it was discarded");
            return Ok(());
        };
        let acceptance = StoredAcceptance {
            silo,
            id: accepted.id(),
            sum,
            signature,
        };
        let claimed = acceptance.clone();
        let is_signed =
            self.log
                .with(move |log| {
                    let trust = log.trust();
                    let release = AcceptedRelease {
                        origin: trust.log.origin(),
                        attempt: reference(claimed.id),
                        sum: &claimed.sum,
                    };
                    let witness = trust.witnesses.member(claimed.silo.as_str());
                    Ok(witness
                        .is_some_and(|witness| release.is_signed_by(witness, &claimed.signature)))
                })
                .await?;
        if !is_signed {
            tracing::warn!(silo = %acceptance.silo, "an acceptance is not signed by its silo; it was discarded");
            return Ok(());
        }
        self.store
            .with(move |store| store.accept_release(&acceptance))
            .await?;
        self.accepted.send_replace(());
        Ok(())
    }
}

impl StudyRun<'_> {
    /// Waits until a threshold of silos, more than may lie, has verified the last released sum, and logs their signatures.
    pub(super) async fn await_acceptances(&mut self) -> Result<(), Halt> {
        let Some(place) = self.study.last_release else {
            return Ok(());
        };
        if self.study.accepted_release == Some(place) {
            return Ok(());
        }
        self.show("waiting for silos to verify the sum");
        let federation = Arc::clone(self.federation);
        let release = federation.log.with(move |log| log.entry(place)).await?;
        let (Some(attempt), Some(sum)) =
            (release.event.attempt, release.event.detail_digest("sum"))
        else {
            return Err(RunFault::Incomplete("the logged release names no sum").into());
        };
        let needed = usize::try_from(self.admitted.plan.thresholds.threshold).unwrap_or(usize::MAX);
        let patience = Duration::from_secs(federation.config.deadlines.gathering_seconds);
        let invited = self.study.invited.clone();
        let gathering = async move {
            let mut news = federation.accepted.subscribe();
            loop {
                news.borrow_and_update();
                let stored = federation.store.with(|store| store.acceptances()).await?;
                let signatures: Vec<_> = stored
                    .into_iter()
                    .filter(|accepted| {
                        reference(accepted.id) == attempt
                            && accepted.sum == sum
                            && invited.contains(&accepted.silo)
                    })
                    .map(|accepted| (accepted.silo.to_string(), accepted.signature))
                    .collect();
                if signatures.len() >= needed {
                    return Ok::<_, RunFault>(Acceptances(signatures.into_iter().collect()));
                }
                // The sender is the federation's own, which outlives the study.
                if news.changed().await.is_err() {
                    return Err(RunFault::BrokeOff);
                }
            }
        };
        let gathering = async move {
            match tokio::time::timeout(patience, gathering).await {
                Ok(gathered) => gathered.map(Some),
                Err(_) => Ok(None),
            }
        };
        let Some(acceptances) = self.listening(gathering).await? else {
            let reason = format!(
                "fewer than {needed} silos verified the released sum within {} s",
                patience.as_secs()
            );
            return Err(self.end(StudyState::Failed, reason, None).await?);
        };
        let log = &self.federation.log;
        let bytes = serde_json::to_vec(&acceptances).unwrap_or_default();
        let object = log.with(move |log| log.put_object(&bytes)).await?;
        let event = Event::new(EventKind::RoundAccepted, now(), self.federation.actor())
            .with_study(self.reference())
            .with_attempt(attempt.epoch, attempt.round, attempt.attempt)
            .with_detail("sum", sum.to_string())
            .with_reference(ACCEPTANCES, object);
        log.append_one(event).await?;
        self.study.accepted_release = Some(place);
        Ok(self.save().await?)
    }
}

fn reference(id: AttemptId) -> AttemptReference {
    AttemptReference {
        epoch: id.epoch,
        round: id.round,
        attempt: id.attempt,
    }
}
