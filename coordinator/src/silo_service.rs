// SPDX-License-Identifier: Apache-2.0
//! One session per silo: who it is, what it says, and what is sent to it.

mod departure;
mod receiving;
mod sending;

use crate::enrolment_service::internal;
use crate::federation::Federation;
use crate::input::Input;
use crate::log_keeper::now;
use crate::sessions::{PartAsked, SessionNumber};
use crate::store::StoredStart;
use consilium_audit::{Actor, Event, EventKind, Log};
use consilium_certs::{ChannelBinding, Role};
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::Signature;
use consilium_protocol::SiloName;
use consilium_wire::server::PeerInfo;
use consilium_wire::v1;
use consilium_wire::v1::coordinator_frame::Frame as Sent;
use consilium_wire::v1::federation_server::Federation as FederationRpc;
use consilium_wire::v1::silo_frame::Frame as Received;
pub(crate) use departure::Departures;
use departure::{Departing, Departure, Frames};
use receiving::Receiving;
pub(crate) use receiving::{chunk_length, is_packed};
use sending::pump;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tonic::{Request, Response, Status, Streaming};

/// Frames that wait in the transport; the rest waits in the session's own queue.
const FRAMES_IN_TRANSPORT: usize = 4;

/// How long a silo may take to say who it is.
const HELLO_TIME: Duration = Duration::from_secs(10);

/// The federation service.
#[derive(Clone, Debug)]
pub(crate) struct SiloService {
    federation: Arc<Federation>,
}

impl SiloService {
    /// Serves one federation.
    #[must_use]
    pub(crate) fn new(federation: Arc<Federation>) -> Self {
        Self { federation }
    }
}

#[tonic::async_trait]
impl FederationRpc for SiloService {
    type SessionStream = Departing;

    async fn session(
        &self,
        request: Request<Streaming<v1::SiloFrame>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let peer = self.federation.member(&request)?;
        if peer.role != Role::Silo {
            return Err(Status::permission_denied("only a silo opens a session"));
        }
        let silo = SiloName::parse(peer.name.as_str())
            .map_err(|fault| Status::permission_denied(fault.to_string()))?;
        let binding = request
            .extensions()
            .get::<PeerInfo>()
            .map(|peer| ChannelBinding::from_bytes(peer.channel_binding))
            .ok_or_else(|| Status::internal("the connection has no channel binding"))?;
        let (frames, stream) = mpsc::channel(FRAMES_IN_TRANSPORT);
        let federation = Arc::clone(&self.federation);
        tokio::spawn(async move {
            let incoming = request.into_inner();
            let session = Session {
                federation,
                silo,
                frames,
            };
            if let Err(status) = session.run(binding, incoming).await {
                tracing::info!(
                    reason = status.message(),
                    "a session was refused or broke off"
                );
            }
        });
        Ok(Response::new(Departing::new(stream)))
    }
}

/// One silo's session.
struct Session {
    federation: Arc<Federation>,
    silo: SiloName,
    frames: Frames,
}

impl Session {
    async fn run(
        self,
        binding: ChannelBinding,
        mut incoming: Streaming<v1::SiloFrame>,
    ) -> Result<(), Status> {
        let (hello, root) = match self.greet(&binding, &mut incoming).await {
            Ok(greeted) => greeted,
            Err(status) => {
                self.frames.send(Departure::last(status.clone())).await.ok();
                return Err(status);
            }
        };
        let Self {
            federation,
            silo,
            frames,
        } = self;
        let (number, queue) = federation.sessions.open(&silo);
        if !federation.is_in_force(&root) {
            // Published between the greeting and the opening: this session was not among those that ended.
            federation.sessions.close(&silo, &number);
            let status = Status::aborted("another roster is in force; open another session");
            frames.send(Departure::last(status.clone())).await.ok();
            return Err(status);
        }
        let pumping = tokio::spawn(pump(Arc::clone(&federation), queue, frames));
        tracing::info!(%silo, "session open");
        federation.log.witness_opened(&silo, hello.log_size);
        federation
            .inputs
            .send(Input::Opened(silo.clone()))
            .await
            .ok();
        let outcome = tokio::select! {
            outcome = listen(&federation, &silo, &number, &mut incoming) => outcome,
            // Another roster, a newer session or the end of the service: nothing more is heard either.
            _ = pumping => Ok(()),
        };
        end(&federation, &silo, &number);
        outcome
    }

    /// Reads and checks the first frame, and logs the silo's start.
    async fn greet(
        &self,
        binding: &ChannelBinding,
        incoming: &mut Streaming<v1::SiloFrame>,
    ) -> Result<(v1::Hello, Digest), Status> {
        let first = tokio::time::timeout(HELLO_TIME, incoming.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no hello in time"))??;
        let Some(v1::SiloFrame {
            frame: Some(Received::Hello(hello)),
        }) = first
        else {
            return Err(Status::invalid_argument("a session begins with a hello"));
        };
        let roster = self
            .federation
            .roster()
            .ok_or_else(|| Status::failed_precondition("no roster is in force"))?;
        let identity = roster
            .membership
            .silos
            .get(&self.silo)
            .filter(|_| hello.name == self.silo.as_str())
            .ok_or_else(|| Status::permission_denied("the hello names another silo"))?;
        let statement = hello.statement();
        let parts: Vec<&[u8]> = statement.iter().map(Vec::as_slice).collect();
        let signature = Signature::try_from(hello.channel_binding_signature.as_slice())
            .map_err(|_| Status::invalid_argument("a signature has 64 bytes"))?;
        binding.verify(identity, &parts, &signature).map_err(|_| {
            Status::unauthenticated(
                "the channel binding does not hold: something between silo and coordinator opens the TLS \
                 connection, or the silo's identity key is not the one in the roster",
            )
        })?;
        let root = roster.membership.roster_root;
        let own_cosignature = self.own_cosignature(hello.log_size).await?;
        self.welcome(root, own_cosignature).await?;
        if hello.roster_root != root.as_bytes() {
            return Err(Status::failed_precondition(
                "the silo pins another roster than the one in force; fetch and verify the new one",
            ));
        }
        let nonce = Digest::try_from(hello.start_nonce.as_slice())
            .map_err(|_| Status::invalid_argument("a start nonce has 32 bytes"))?;
        self.log_start(nonce).await?;
        Ok((hello, root))
    }

    /// What the silo has cosigned beyond what it remembers: its folder may be an old copy, which only its own signature
    /// can tell it.
    async fn own_cosignature(&self, remembered: u64) -> Result<String, Status> {
        let silo = self.silo.clone();
        let newest = move |log: &mut Log| log.newest_cosigned_by(silo.as_str(), remembered);
        let note = self.federation.log.with(newest).await.map_err(internal)?;
        if let Some(note) = &note {
            tracing::warn!(
                silo = %self.silo, cosigned = note.size(), remembered,
                "a silo remembers less of the log than it has cosigned; it is shown its cosignature"
            );
        }
        Ok(note.map(|note| note.to_string()).unwrap_or_default())
    }

    async fn welcome(&self, roster_root: Digest, own_cosignature: String) -> Result<(), Status> {
        let welcome = v1::Welcome {
            server_time_milliseconds: crate::federation::unix_milliseconds(),
            roster_root: roster_root.as_bytes().to_vec(),
            own_cosignature,
        };
        let frame = v1::CoordinatorFrame {
            frame: Some(Sent::Welcome(welcome)),
        };
        self.frames
            .send(Departure::of(frame))
            .await
            .map_err(|_| Status::cancelled("the silo has left"))
    }

    /// Logs a start of the agent once, however often it reconnects.
    async fn log_start(&self, nonce: Digest) -> Result<(), Status> {
        let silo = self.silo.clone();
        let known = self
            .federation
            .store
            .with(move |store| store.last_start(&silo))
            .await
            .map_err(internal)?;
        if known.is_some_and(|start| start.nonce == nonce) {
            return Ok(());
        }
        let event = Event::new(
            EventKind::SiloStarted,
            now(),
            Actor::silo(self.silo.as_str()),
        )
        .with_detail("nonce", nonce.to_string());
        let log_index = self
            .federation
            .log
            .append_one(event)
            .await
            .map_err(internal)?;
        let start = StoredStart {
            silo: self.silo.clone(),
            nonce,
            log_index,
        };
        self.federation
            .store
            .with(move |store| store.add_start(&start))
            .await
            .map_err(internal)
    }
}

fn end(federation: &Federation, silo: &SiloName, number: &SessionNumber) {
    federation.sessions.close(silo, number);
    if !federation.sessions.is_open(silo) {
        federation.log.witness_closed(silo);
        tracing::info!(%silo, "session closed");
    }
}

/// Takes a silo's frames until its stream ends.
async fn listen(
    federation: &Arc<Federation>,
    silo: &SiloName,
    session: &SessionNumber,
    incoming: &mut Streaming<v1::SiloFrame>,
) -> Result<(), Status> {
    let mut upload = Receiving::new(federation, silo);
    let questions = Arc::new(Semaphore::new(1));
    while let Some(v1::SiloFrame { frame }) = upload.next_frame(incoming).await? {
        // Another roster ends all sessions, and a newer session of the silo its older ones.
        if !federation.sessions.is_current(silo, session) {
            return Err(Status::aborted("the session was closed; open another"));
        }
        let from = silo.clone();
        let input = match frame {
            None | Some(Received::Heartbeat(_)) => continue,
            Some(Received::Hello(_)) => {
                return Err(Status::invalid_argument("a second hello in one session"));
            }
            Some(Received::Protocol(message)) => Input::Delivered {
                from,
                delivery: message.into_delivery()?,
            },
            Some(Received::Chunk(chunk)) => {
                upload.take(chunk).await?;
                continue;
            }
            Some(Received::Consent(consent)) => Input::Consent { from, consent },
            Some(Received::ReplayRequest(request)) => {
                // COST: a silo has one answer in the coordinator's memory, and a few in its transport.
                let turn = Arc::clone(&questions).try_acquire_owned().map_err(|_| {
                    Status::resource_exhausted("a second question before the answer to the first")
                })?;
                federation.sessions.send_part(PartAsked {
                    from,
                    request,
                    turn,
                });
                continue;
            }
            Some(Received::Cosignature(cosignature)) => {
                federation.log.cosignature(silo, cosignature);
                continue;
            }
            Some(Received::ReleaseAccepted(accepted)) => {
                federation
                    .take_acceptance(from, &accepted)
                    .await
                    .map_err(internal)?;
                continue;
            }
            Some(Received::Declined(declined)) => Input::Declined {
                from,
                study_id: declined.study_id,
                reason: declined.reason,
            },
        };
        federation
            .inputs
            .send(input)
            .await
            .map_err(|_| Status::unavailable("stopping"))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use consilium_crypto::secret::Secret;
    use consilium_crypto::signing::SigningKey;
    use consilium_crypto::transcript::sha256;
    use consilium_privacy::noise_plan::VectorPlan;
    use consilium_protocol::{AttemptId, Membership, RoundPlan};

    /// A plan whose only chunk has three words of twenty bits, so that four bits of it are unused.
    pub(crate) fn plan() -> RoundPlan {
        let key = |seed| SigningKey::from_seed(&Secret::new([seed; 32])).verifying_key();
        let silos: Vec<SiloName> = ["1_UM", "2_IU", "3_UK", "4_Case"]
            .map(|name| SiloName::parse(name).unwrap())
            .into();
        let membership = Membership {
            epoch: 1,
            roster_root: sha256(b"roster"),
            coordinator: key(0),
            silos: silos.iter().cloned().zip((1..).map(key)).collect(),
            colluders: 1,
        };
        let vector = VectorPlan {
            dimension: 3,
            word_bits: 20,
            clamp: 131_071,
            fraction_bits: 0,
            noise: None,
        };
        let id = AttemptId {
            epoch: 1,
            round: 1,
            attempt: 1,
        };
        let (model, task) = (sha256(b"model"), sha256(b"task"));
        RoundPlan::new(id, &membership, &silos, Some(0), model, task, vector).unwrap()
    }
}
