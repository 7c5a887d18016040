// SPDX-License-Identifier: Apache-2.0
//! What a silo missed while it had no session: releases, and the ends of studies.
//!
//! A silo computes the next model itself, so it needs every release of a study, in order, before the next Open.

use crate::federation::Federation;
use crate::log_keeper::KeeperFault;
use crate::sessions::PackedSum;
use crate::silo_service::chunk_length;
use crate::store::{StoreFault, StoredRelease};
use crate::study::{Study, StudyState};
use consilium_protocol::{Delivery, SiloName, peek_plan};
use consilium_wire::v1;
use consilium_wire::v1::coordinator_frame::Frame;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Ended studies that a returning silo is told about; earlier ones it has seen or will ask its officer about.
const ENDED_STUDIES: usize = 32;

/// How long proofs wait for a silo's own cosignature.
pub(crate) const OWN_COSIGNATURE_TIME: Duration = Duration::from_secs(5);

/// Why a silo could not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatchUpFault {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The log.
    #[error(transparent)]
    Log(#[from] KeeperFault),
    /// A stored release.
    #[error("a stored release cannot be read")]
    Release(#[from] postcard::Error),
}

/// The catch-ups in progress. Until a silo's is over nothing else is sent to it.
#[derive(Debug, Default)]
pub(crate) struct CatchUps {
    tasks: JoinSet<(SiloName, Option<OpenProofs>)>,
    running: BTreeSet<SiloName>,
}

/// What an Open carries beside it for one silo.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenProofs {
    /// Proof of the silo's start.
    pub(crate) start: Option<Vec<u8>>,
    /// Proof of the newest release of any study that asked this silo: each silo demands it before it answers another Open.
    pub(crate) release: Option<Vec<u8>>,
}

impl OpenProofs {
    /// As attachments of Open.
    pub(crate) fn attachments(self) -> Vec<Vec<u8>> {
        // The order is fixed: without a proof of the start an empty one keeps its place.
        std::iter::once(self.start.unwrap_or_default())
            .chain(self.release)
            .collect()
    }
}

impl CatchUps {
    /// Begins to tell a silo what it missed. `current` is the study in progress.
    pub(crate) fn begin(
        &mut self,
        federation: &Arc<Federation>,
        silo: &SiloName,
        current: Option<&Study>,
    ) {
        self.running.insert(silo.clone());
        let (federation, silo) = (Arc::clone(federation), silo.clone());
        let current = current.map(|study| study.id.clone());
        self.tasks.spawn(async move {
            let told = tell(&federation, &silo, current.as_deref()).await;
            let proofs = match told {
                Ok(()) => open_proofs(&federation, &silo).await,
                Err(fault) => Err(fault),
            };
            match proofs {
                Ok(proofs) => (silo, Some(proofs)),
                Err(fault) => {
                    tracing::error!(%silo, fault = %crate::explain(&fault), "a silo could not be caught up");
                    (silo, None)
                }
            }
        });
    }

    /// Whether a silo is being told what it missed.
    pub(crate) fn holds(&self, silo: &SiloName) -> bool {
        self.running.contains(silo)
    }

    /// Whether any silo is.
    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// The next silo that has been told, with fresh proofs for an Open.
    pub(crate) async fn next(&mut self) -> Option<(SiloName, Option<OpenProofs>)> {
        match self.tasks.join_next().await? {
            Ok((silo, proofs)) => {
                self.running.remove(&silo);
                Some((silo, proofs))
            }
            Err(_) => {
                // A task that broke off names nobody: nobody is held back any longer.
                self.running.clear();
                None
            }
        }
    }
}

/// The proofs that an Open carries for one silo, once they are committed.
pub(crate) async fn open_proofs(
    federation: &Federation,
    silo: &SiloName,
) -> Result<OpenProofs, CatchUpFault> {
    let name = silo.clone();
    let (start, studies) = federation
        .store
        .with(move |store| Ok((store.last_start(&name)?, store.studies()?)))
        .await?;
    let mut proofs = OpenProofs::default();
    if let Some(start) = start {
        federation.log.committed(start.log_index).await?;
        proofs.start = Some(federation.log.proof(start.log_index).await?.to_bytes());
    }
    if let Some(place) = newest_release(&studies, silo) {
        let patience = if federation.sessions.is_open(silo) {
            OWN_COSIGNATURE_TIME
        } else {
            Duration::ZERO
        };
        let proof = federation.log.proof_for(place, silo, patience).await?;
        proofs.release = Some(proof.to_bytes());
    }
    Ok(proofs)
}

/// Where the log holds the newest release of any study that asked this silo; it has been told of all of them.
fn newest_release(studies: &[Study], silo: &SiloName) -> Option<u64> {
    studies
        .iter()
        .filter(|study| study.answers.contains_key(silo))
        .filter_map(|study| study.last_release)
        .max()
}

/// Sends releases that a silo has not accepted, and the ends of its studies.
async fn tell(
    federation: &Federation,
    silo: &SiloName,
    current: Option<&str>,
) -> Result<(), CatchUpFault> {
    let (accepted, studies) = federation
        .store
        .with(move |store| Ok((store.acceptances()?, store.studies()?)))
        .await?;
    let accepted = accepted
        .iter()
        .find(|acceptance| acceptance.silo == *silo)
        .map_or(0, |acceptance| acceptance.id.round);
    let concerned = |study: &&Study| {
        study.answers.contains_key(silo)
            && (study.state.has_ended() || current == Some(study.id.as_str()))
    };
    let mut studies: Vec<&Study> = studies
        .iter()
        .rev()
        .filter(concerned)
        .take(ENDED_STUDIES)
        .collect();
    studies.reverse();
    for study in studies {
        if study.round > accepted {
            let id = study.id.clone();
            let releases = federation
                .store
                .with(move |store| store.releases(&id))
                .await?;
            for release in releases
                .into_iter()
                .filter(|release| release.round > accepted)
            {
                send_release(federation, silo, &release).await?;
            }
        }
        if study.state.has_ended() {
            send_end(federation, silo, study);
        }
    }
    Ok(())
}

/// Sends a release again, with a proof under the newest cosigned head.
async fn send_release(
    federation: &Federation,
    silo: &SiloName,
    release: &StoredRelease,
) -> Result<(), CatchUpFault> {
    federation.log.committed(release.commitment_index).await?;
    let proof = federation
        .log
        .proof(release.commitment_index)
        .await?
        .to_bytes();
    let mut delivery: Delivery = postcard::from_bytes(&release.delivery)?;
    delivery.attachments = vec![proof];
    if let Some(plan) = peek_plan(&delivery) {
        let chunk_bytes = chunk_length(&plan, 0);
        federation.sessions.send_sum(
            silo,
            PackedSum {
                id: plan.id,
                blob: release.sum,
                chunk_bytes,
            },
        );
    }
    let message = v1::ProtocolMessage::new(&release.study_id, delivery);
    federation.sessions.send(silo, Frame::Protocol(message));
    Ok(())
}

/// Tells a silo that a study has ended.
pub(crate) fn send_end(federation: &Federation, silo: &SiloName, study: &Study) {
    let outcome = match study.state {
        StudyState::Queued | StudyState::Consenting | StudyState::Running => return,
        ended @ (StudyState::Completed
        | StudyState::Refused
        | StudyState::Failed
        | StudyState::Cancelled) => v1::StudyState::from(ended),
    };
    let ended = v1::StudyEnded {
        study_id: study.id.clone(),
        outcome: outcome.into(),
    };
    federation.sessions.send(silo, Frame::Ended(ended));
}
