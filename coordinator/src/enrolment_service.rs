// SPDX-License-Identifier: Apache-2.0
//! Joining: invitations redeemed, certificates issued, rosters shown and signed.

use crate::federation::{Federation, PublishFault, actor_of, unix_milliseconds};
use crate::log_keeper::now;
use crate::store::{Participant, StoreFault};
use consilium_audit::{Event, EventKind, Timestamp};
use consilium_certs::enrolment::token_from_bytes;
use consilium_certs::{
    EnrolmentRequest, EnrolmentResponse, InvitationRecord, Name, PeerIdentity, Role, SignedRoster,
    UnixSeconds,
};
use consilium_crypto::signing::{Signature, VerifyingKey};
use consilium_wire::v1;
use consilium_wire::v1::enrolment_server::Enrolment;
use std::sync::Arc;
use std::time::SystemTime;
use tonic::{Request, Response, Status};

/// The enrolment service.
#[derive(Clone, Debug)]
pub(crate) struct EnrolmentService {
    federation: Arc<Federation>,
}

impl EnrolmentService {
    /// Serves one federation.
    #[must_use]
    pub(crate) fn new(federation: Arc<Federation>) -> Self {
        Self { federation }
    }
}

#[tonic::async_trait]
impl Enrolment for EnrolmentService {
    async fn join(
        &self,
        request: Request<v1::JoinRequest>,
    ) -> Result<Response<v1::JoinResponse>, Status> {
        let request = read_request(request.into_inner())?;
        let token = request.token_hash();
        let stored = self
            .federation
            .store
            .with(move |store| store.invitation(&token))
            .await
            .map_err(internal)?
            .ok_or_else(|| Status::permission_denied(StoreFault::UnknownInvitation.to_string()))?;
        let record: InvitationRecord = serde_json::from_str(&stored.invitation)
            .map_err(|_| Status::internal("the stored invitation cannot be read"))?;
        let time = UnixSeconds::from_system_time(SystemTime::now());
        let enrolled = record
            .accept(&request, time)
            .map_err(|fault| Status::permission_denied(fault.to_string()))?;
        let response = EnrolmentResponse::make(&enrolled, &self.federation.authority, time)
            .map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        let participant = Participant {
            name: enrolled.name.to_string(),
            role: enrolled.role.to_string(),
            identity: enrolled.identity,
            witness: enrolled.witness,
            joined_milliseconds: unix_milliseconds(),
        };
        let first_milliseconds = self
            .federation
            .store
            .with(move |store| {
                store.enrol(&token, &participant)?;
                let kept = store.participants()?;
                let kept = kept.iter().find(|kept| kept.name == participant.name);
                Ok(kept.map_or(participant.joined_milliseconds, |kept| {
                    kept.joined_milliseconds
                }))
            })
            .await
            .map_err(|fault| Status::permission_denied(fault.to_string()))?;
        let peer = PeerIdentity {
            role: enrolled.role,
            name: enrolled.name.clone(),
        };
        // Written at every request, with the time of the first: one entry, even after a kill before the first one.
        let time = Timestamp::from_unix_milliseconds(first_milliseconds).unwrap_or_else(|_| now());
        let event = Event::new(EventKind::IdentityJoined, time, actor_of(&peer))
            .with_detail("identity", enrolled.identity.to_string())
            .with_detail("short_code", enrolled.short_code().to_string());
        self.federation
            .log
            .append_one(event)
            .await
            .map_err(internal)?;
        tracing::info!(name = %enrolled.name, role = %enrolled.role, "joined");
        Ok(Response::new(v1::JoinResponse {
            certificate_chain: response.certificate_chain,
            authorities: response.authorities,
        }))
    }

    async fn roster(
        &self,
        request: Request<v1::RosterRequest>,
    ) -> Result<Response<v1::RosterResponse>, Status> {
        self.federation.peer(&request)?;
        let rosters = self
            .federation
            .store
            .with(|store| store.rosters())
            .await
            .map_err(internal)?;
        let mut response = v1::RosterResponse::default();
        for stored in rosters {
            let signed: SignedRoster = serde_json::from_str(&stored.text)
                .map_err(|_| Status::internal("a stored roster cannot be read"))?;
            let signatures = signed
                .signatures
                .iter()
                .map(|(name, signature)| (name.to_string(), signature.to_bytes().to_vec()));
            let sent = v1::SignedRoster {
                signatures: signatures.collect(),
                roster: signed.roster,
            };
            if stored.published {
                response.published.push(sent);
            } else {
                response.draft = Some(sent);
            }
        }
        Ok(Response::new(response))
    }

    async fn sign_roster(
        &self,
        request: Request<v1::SignRosterRequest>,
    ) -> Result<Response<v1::SignRosterResponse>, Status> {
        let peer = self.federation.peer(&request)?;
        let request = request.into_inner();
        let name = Name::parse(&request.name)
            .map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        if peer.role != Role::Silo || peer.name != name {
            return Err(Status::permission_denied(
                "only a silo signs, and in its own name",
            ));
        }
        let root = request
            .roster_root
            .as_slice()
            .try_into()
            .map_err(|_| Status::invalid_argument("`roster_root` is no digest"))?;
        let signature = signature(&request.signature)?;
        let state = self
            .federation
            .sign_draft(name, root, signature)
            .await
            .map_err(|fault| match fault {
                PublishFault::Roster(_) | PublishFault::NoDraft | PublishFault::OtherDraft => {
                    Status::failed_precondition(fault.to_string())
                }
                PublishFault::Folder(_)
                | PublishFault::SiloName(_)
                | PublishFault::Witnesses(_)
                | PublishFault::Log(_)
                | PublishFault::Store(_)
                | PublishFault::Draft(_)
                | PublishFault::Stopped => internal(fault),
            })?;
        Ok(Response::new(v1::SignRosterResponse {
            signatures: u32::try_from(state.signatures).unwrap_or(u32::MAX),
            needed: u32::try_from(state.needed).unwrap_or(u32::MAX),
            published: state.published,
        }))
    }
}

fn read_request(request: v1::JoinRequest) -> Result<EnrolmentRequest, Status> {
    let refuse = |what: &str| Status::invalid_argument(format!("`{what}` cannot be read"));
    let token = token_from_bytes(&request.token).map_err(|_| refuse("token"))?;
    let witness = match request.witness.as_slice() {
        [] => None,
        bytes => Some(key(bytes).ok_or_else(|| refuse("witness"))?),
    };
    let witness_signature = match request.witness_signature.as_slice() {
        [] => None,
        bytes => Some(signature(bytes)?),
    };
    Ok(EnrolmentRequest {
        role: request.role.parse().map_err(|_| refuse("role"))?,
        name: Name::parse(&request.name).map_err(|_| refuse("name"))?,
        token,
        certificate_request: request.certificate_request,
        identity: key(&request.identity).ok_or_else(|| refuse("identity"))?,
        witness,
        identity_signature: signature(&request.identity_signature)?,
        witness_signature,
    })
}

fn key(bytes: &[u8]) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()
}

fn signature(bytes: &[u8]) -> Result<Signature, Status> {
    Signature::try_from(bytes).map_err(|_| Status::invalid_argument("a signature has 64 bytes"))
}

/// Tells the peer that it is our fault and the log what it is.
pub(crate) fn internal(fault: impl std::error::Error) -> Status {
    tracing::error!(fault = %crate::explain(&fault), "a request failed");
    Status::internal("the coordinator could not do this; its operator finds the reason in its log")
}
