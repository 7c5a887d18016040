// SPDX-License-Identifier: Apache-2.0
//! What researchers do: submit, list, watch, cancel, fetch the result.

use crate::admission::admit;
use crate::enrolment_service::internal;
use crate::federation::{Federation, actor_of, unix_milliseconds};
use crate::input::Input;
use crate::log_keeper::{clamp, now};
use crate::store::StoreFault;
use crate::study::{Study, StudyState};
use crate::study_progress::progress_of;
use consilium_audit::{Event, EventKind, StudyReference};
use consilium_certs::{PeerIdentity, Role};
use consilium_crypto::label::Label;
use consilium_crypto::signing::Signature;
use consilium_crypto::transcript::sha256;
use consilium_wire::StudyId;
use consilium_wire::v1::studies_server::Studies;
use consilium_wire::{limits, v1};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// The most bytes of a reason that are kept.
const LONGEST_REASON: usize = 1000;

/// The studies service.
#[derive(Clone, Debug)]
pub(crate) struct StudiesService {
    federation: Arc<Federation>,
}

impl StudiesService {
    /// Serves one federation.
    #[must_use]
    pub(crate) fn new(federation: Arc<Federation>) -> Self {
        Self { federation }
    }

    /// The study with this id, or the only one whose id begins with it.
    async fn find(&self, id: &str) -> Result<Study, Status> {
        let wanted = id.to_owned();
        let studies = self
            .federation
            .store
            .with(move |store| match store.study(&wanted)? {
                Some(study) => Ok(vec![study]),
                None if wanted.len() < 8 => Ok(Vec::new()),
                None => {
                    let all = store.studies()?;
                    Ok(all
                        .into_iter()
                        .filter(|study| study.id.starts_with(&wanted))
                        .collect())
                }
            })
            .await
            .map_err(internal)?;
        match <[Study; 1]>::try_from(studies) {
            Ok([study]) => Ok(study),
            Err(none) if none.is_empty() => Err(Status::not_found(
                StoreFault::UnknownStudy(id.to_owned()).to_string(),
            )),
            Err(several) => Err(Status::invalid_argument(format!(
                "`{id}` is the beginning of {} ids; give more digits",
                several.len()
            ))),
        }
    }
}

#[tonic::async_trait]
impl Studies for StudiesService {
    type WatchStream = ReceiverStream<Result<v1::StudyProgress, Status>>;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let peer = self.federation.member(&request)?;
        if peer.role != Role::Researcher {
            return Err(Status::permission_denied(
                "only a researcher of the roster submits studies",
            ));
        }
        let v1::SubmitRequest {
            study: bytes,
            signature,
        } = request.into_inner();
        if bytes.len() > limits::STUDY_BYTES {
            return Err(Status::invalid_argument(format!(
                "the study file has {} bytes; the most is {}",
                bytes.len(),
                limits::STUDY_BYTES
            )));
        }
        let signature = Signature::try_from(signature.as_slice())
            .map_err(|_| Status::invalid_argument("a signature has 64 bytes"))?;
        let roster = self
            .federation
            .roster()
            .ok_or_else(|| Status::failed_precondition("no roster is in force"))?;
        let admitted = admit(&bytes, &[], &roster).map_err(|fault| {
            Status::invalid_argument(format!("the study cannot run: {}", crate::explain(&fault)))
        })?;
        check_researcher(&peer, &admitted.study.heading.researcher)?;
        let key = roster
            .roster
            .key_of(&peer)
            .ok_or_else(|| Status::permission_denied("the researcher has no key in the roster"))?;
        key.verify(Label::StudySignature, &[&bytes], &signature)
            .map_err(|_| Status::permission_denied("the study is not signed by its researcher"))?;

        let heading = &admitted.study.heading;
        let submitted_milliseconds = unix_milliseconds();
        let mut study = Study::submitted(heading.name.clone(), bytes, peer.name.to_string());
        study.signature = signature.to_string();
        study.submitted_milliseconds = submitted_milliseconds;
        study.invited = admitted.plan.silos;
        study.id = StudyId::of(&study.bytes, &signature.to_bytes()).to_string();
        self.check_new(&study.id).await?;
        let reference = StudyReference {
            id: study.id.clone(),
            name: Some(heading.name.clone()),
            ethics: Some(heading.ethics.clone()),
            basis: heading.basis.clone(),
            agreement: None,
            purpose: Some(heading.purpose.clone()),
        };
        let event = Event::new(EventKind::StudySubmitted, now(), actor_of(&peer))
            .with_study(reference)
            .with_object(heading.data.clone())
            .with_reference("study", sha256(&study.bytes));
        // Intent before effect: what cannot be logged is not queued.
        let bytes = study.bytes.clone();
        self.federation
            .log
            .with(move |log| log.put_object(&bytes))
            .await
            .map_err(internal)?;
        self.federation
            .log
            .append_one(event)
            .await
            .map_err(internal)?;
        let study_id = study.id.clone();
        let studies_before = self
            .federation
            .store
            .with(move |store| {
                let running = store
                    .studies()?
                    .iter()
                    .filter(|study| !study.state.has_ended())
                    .count();
                store.add_study(&study)?;
                Ok(running)
            })
            .await
            .map_err(|fault| match fault {
                StoreFault::RepeatedStudy(id) => {
                    submitted_before(id.get(..12).unwrap_or(id.as_str()))
                }
                fault => internal(fault),
            })?;
        self.federation.inputs.send(Input::Submitted).await.ok();
        Ok(Response::new(v1::SubmitResponse {
            study_id,
            studies_before: u32::try_from(studies_before).unwrap_or(u32::MAX),
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        self.federation.member(&request)?;
        let mut studies = self
            .federation
            .store
            .with(|store| store.studies())
            .await
            .map_err(internal)?;
        studies.reverse();
        Ok(Response::new(v1::ListResponse {
            studies: studies.iter().map(Study::summary).collect(),
        }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let peer = self.federation.member(&request)?;
        let study = self.find(&request.into_inner().study_id).await?;
        let mut roster = self.federation.roster.subscribe();
        let (sender, stream) = mpsc::channel(16);
        let mut watched = self
            .federation
            .progress
            .watch(progress_of(&study, &self.federation));
        // It may have ended between the two reads.
        let study = self.find(&study.id).await?;
        if study.state.has_ended() {
            self.federation
                .progress
                .close(progress_of(&study, &self.federation));
        }
        tokio::spawn(async move {
            loop {
                let progress = watched.borrow_and_update().clone();
                let ended = has_ended(&progress);
                if sender.send(Ok(progress)).await.is_err() || ended {
                    return;
                }
                loop {
                    tokio::select! {
                        changed = watched.changed() => match changed {
                            Ok(()) => break,
                            Err(_) => return,
                        },
                        changed = roster.changed() => {
                            let admitted = roster
                                .borrow_and_update()
                                .as_ref()
                                .is_some_and(|roster| roster.roster.admits(&peer));
                            if changed.is_err() || !admitted {
                                let left = Status::permission_denied("no longer in the roster in force");
                                sender.send(Err(left)).await.ok();
                                return;
                            }
                        }
                        () = sender.closed() => return,
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        let peer = self.federation.member(&request)?;
        let request = request.into_inner();
        let study = self.find(&request.study_id).await?;
        let own = peer.role == Role::Researcher && peer.name.as_str() == study.researcher;
        if !own && peer.role != Role::Operator {
            return Err(Status::permission_denied(
                "a study is cancelled by its researcher or by an operator",
            ));
        }
        if study.state.has_ended() {
            let state = study.state.as_str();
            return Err(Status::failed_precondition(format!(
                "the study has already ended: {state}"
            )));
        }
        let reason = match request.reason.trim() {
            "" => format!("cancelled by `{}`", peer.name),
            words => format!("cancelled by `{}`: {words}", peer.name),
        };
        let stopping = || Status::unavailable("the coordinator is stopping");
        let (answer, answered) = oneshot::channel();
        let cancel = Input::Cancel {
            study_id: study.id,
            reason: clamp(&reason, LONGEST_REASON),
            answer,
        };
        let inputs = &self.federation.inputs;
        inputs.send(cancel).await.map_err(|_| stopping())?;
        // INVARIANT: whoever is told that a study is cancelled never sees it complete.
        answered
            .await
            .map_err(|_| stopping())?
            .map_err(Status::failed_precondition)?;
        Ok(Response::new(v1::CancelResponse {}))
    }

    async fn result(
        &self,
        request: Request<v1::ResultRequest>,
    ) -> Result<Response<v1::ResultResponse>, Status> {
        let peer = self.federation.member(&request)?;
        let study = self.find(&request.into_inner().study_id).await?;
        let own = peer.role == Role::Researcher && peer.name.as_str() == study.researcher;
        if !own && !matches!(peer.role, Role::Operator | Role::Officer) {
            return Err(Status::permission_denied(
                "a result is given to its researcher, to officers and to operators",
            ));
        }
        let Some(result) = study.result else {
            return Err(Status::failed_precondition(match study.state {
                StudyState::Queued | StudyState::Consenting | StudyState::Running => {
                    "the study has not ended; follow it with `study watch`".to_owned()
                }
                StudyState::Completed
                | StudyState::Refused
                | StudyState::Failed
                | StudyState::Cancelled => {
                    format!(
                        "the study has no result: {} ({})",
                        study.state.as_str(),
                        study.reason
                    )
                }
            }));
        };
        let spool = Arc::clone(&self.federation.spool);
        let (digest, log_index) = (result.json, result.log_index);
        let (json, safetensors) = tokio::task::spawn_blocking(move || {
            let safetensors = result
                .safetensors
                .map(|blob| spool.get(&blob))
                .transpose()?;
            Ok((spool.get(&result.json)?, safetensors.unwrap_or_default()))
        })
        .await
        .map_err(|_| Status::unavailable("the coordinator is stopping"))?
        .map_err(|fault: crate::spool::SpoolFault| internal(fault))?;
        Ok(Response::new(v1::ResultResponse {
            json,
            safetensors,
            digest: digest.as_bytes().to_vec(),
            log_index,
        }))
    }
}

impl StudiesService {
    /// One signed file is one study, whoever hands it in again.
    async fn check_new(&self, id: &str) -> Result<(), Status> {
        let wanted = id.to_owned();
        let known = self
            .federation
            .store
            .with(move |store| store.study(&wanted))
            .await
            .map_err(internal)?;
        match known {
            None => Ok(()),
            Some(known) => Err(submitted_before(known.short_id())),
        }
    }
}

fn submitted_before(id: &str) -> Status {
    Status::already_exists(format!(
        "already submitted as {id}; change `name` or add a `submission = \"...\"` text under `[study]` to ask again"
    ))
}

fn check_researcher(peer: &PeerIdentity, researcher: &str) -> Result<(), Status> {
    if peer.name.as_str() == researcher {
        return Ok(());
    }
    Err(Status::permission_denied(format!(
        "`study.researcher` is `{researcher}`, and `{}` submits it: write your own name there",
        peer.name
    )))
}

fn has_ended(progress: &v1::StudyProgress) -> bool {
    match progress.state() {
        v1::StudyState::Unspecified
        | v1::StudyState::Queued
        | v1::StudyState::Consenting
        | v1::StudyState::Running => false,
        v1::StudyState::Completed
        | v1::StudyState::Refused
        | v1::StudyState::Failed
        | v1::StudyState::Cancelled => true,
    }
}
