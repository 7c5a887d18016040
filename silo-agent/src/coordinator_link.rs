// SPDX-License-Identifier: Apache-2.0
//! The one connection of a hospital: outwards, to its coordinator, made again whenever it is lost.
//!
//! The first frame signs what only the two ends of this TLS connection know, so that a proxy which opens the TLS in
//! between is detected. No socket of the hospital listens.

use std::sync::Arc;
use std::sync::mpsc::Sender as StdSender;
use std::time::Duration;

use consilium_certs::ChannelBinding;
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::SigningKey;
use consilium_wire::client::{self, ConnectFault};
use consilium_wire::v1::{self, CoordinatorFrame, SiloFrame, coordinator_frame, silo_frame};
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{info, warn};

use crate::config::ReconnectSection;
use crate::randomness;

/// What the link tells the agent.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A session is open; frames may be sent.
    Connected(mpsc::Sender<SiloFrame>),
    /// The coordinator runs another roster than the one pinned here.
    OtherRoster,
    /// A frame arrived.
    Frame(Box<coordinator_frame::Frame>),
    /// The session is over.
    Disconnected,
}

/// Everything a session begins with.
pub(crate) struct Link {
    pub(crate) address: String,
    pub(crate) server_name: String,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) identity: SigningKey,
    pub(crate) name: String,
    pub(crate) roster_root: Digest,
    pub(crate) instance: Digest,
    pub(crate) start_nonce: Digest,
    pub(crate) reconnect: ReconnectSection,
    /// The size of the shared log that this silo cosigned last.
    pub(crate) log_size: watch::Receiver<u64>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum SessionFault {
    #[error(transparent)]
    Connect(#[from] ConnectFault),
    #[error("the coordinator refused the session: {0}")]
    Refused(String),
    #[error("the coordinator closed the session")]
    Closed,
    #[error("the agent has stopped")]
    AgentGone,
}

impl Link {
    /// Connects, again and again, until `stop` says so.
    pub(crate) async fn run<E: From<LinkEvent>>(
        self,
        agent: StdSender<E>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut delay = Duration::from_millis(self.reconnect.first_delay_milliseconds.max(1));
        let longest = Duration::from_secs(self.reconnect.longest_delay_seconds.max(1));
        loop {
            let mut welcomed = false;
            let ended = tokio::select! {
                ended = self.session(&agent, &mut welcomed) => ended,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            if agent.send(LinkEvent::Disconnected.into()).is_err() {
                return;
            }
            if welcomed {
                delay = Duration::from_millis(self.reconnect.first_delay_milliseconds.max(1));
            }
            match ended {
                Err(SessionFault::AgentGone) => return,
                Err(fault) => warn!("{}; trying again", crate::explain(&fault)),
                Ok(()) => {}
            }
            let spread = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            let pause = delay / 2 + Duration::from_millis(randomness::jitter(spread));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            delay = (delay * 2).min(longest);
        }
    }

    async fn session<E: From<LinkEvent>>(
        &self,
        agent: &StdSender<E>,
        welcomed: &mut bool,
    ) -> Result<(), SessionFault> {
        let connection =
            client::connect(&self.address, &self.server_name, Arc::clone(&self.tls)).await?;
        let (frames, outgoing) = mpsc::channel(FRAMES_IN_FLIGHT);
        let hello = self.hello(ChannelBinding::from_bytes(connection.channel_binding));
        send(&frames, silo_frame::Frame::Hello(hello)).await?;
        let refused = |status: tonic::Status| SessionFault::Refused(status.message().to_owned());
        let mut incoming = client::federation(&connection)
            .session(ReceiverStream::new(outgoing))
            .await
            .map_err(refused)?
            .into_inner();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            let frame = tokio::select! {
                frame = incoming.message() => frame.map_err(refused)?.ok_or(SessionFault::Closed)?,
                _ = heartbeat.tick() => {
                    // A full queue is a sign of life in itself.
                    let _ = frames.try_send(framed(silo_frame::Frame::Heartbeat(v1::Heartbeat {})));
                    continue;
                }
            };
            let CoordinatorFrame { frame: Some(frame) } = frame else {
                continue;
            };
            let event = match frame {
                coordinator_frame::Frame::Welcome(welcome) => {
                    *welcomed = true;
                    if welcome.roster_root != self.roster_root.as_bytes() {
                        tell(agent, LinkEvent::OtherRoster)?;
                    }
                    info!(coordinator = %self.address, "session open");
                    LinkEvent::Connected(frames.clone())
                }
                coordinator_frame::Frame::Heartbeat(_) => continue,
                other => LinkEvent::Frame(Box::new(other)),
            };
            tell(agent, event)?;
        }
    }

    fn hello(&self, binding: ChannelBinding) -> v1::Hello {
        let mut hello = v1::Hello {
            name: self.name.clone(),
            roster_root: self.roster_root.as_bytes().to_vec(),
            instance: self.instance.as_bytes().to_vec(),
            start_nonce: self.start_nonce.as_bytes().to_vec(),
            log_size: *self.log_size.borrow(),
            channel_binding_signature: Vec::new(),
        };
        let statement = hello.statement();
        let parts: Vec<&[u8]> = statement.iter().map(Vec::as_slice).collect();
        hello.channel_binding_signature = binding.sign(&self.identity, &parts).to_bytes().to_vec();
        hello
    }
}

/// Wraps one kind of frame for the stream.
pub(crate) fn framed(frame: silo_frame::Frame) -> SiloFrame {
    SiloFrame { frame: Some(frame) }
}

async fn send(
    frames: &mpsc::Sender<SiloFrame>,
    frame: silo_frame::Frame,
) -> Result<(), SessionFault> {
    frames
        .send(framed(frame))
        .await
        .map_err(|_| SessionFault::Closed)
}

fn tell<E: From<LinkEvent>>(agent: &StdSender<E>, event: LinkEvent) -> Result<(), SessionFault> {
    agent
        .send(event.into())
        .map_err(|_| SessionFault::AgentGone)
}

const FRAMES_IN_FLIGHT: usize = 32;
const HEARTBEAT: Duration = Duration::from_secs(2);
