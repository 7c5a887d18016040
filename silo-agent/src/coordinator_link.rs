// SPDX-License-Identifier: Apache-2.0
//! The one connection of a hospital: outwards, to its coordinator, made again whenever it is lost.
//!
//! The first frame signs what only the two ends of this TLS connection know, so that a proxy which opens the TLS in
//! between is detected. No socket of the hospital listens.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use consilium_certs::ChannelBinding;
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::SigningKey;
use consilium_wire::client::{self, ConnectFault};
use consilium_wire::v1::{self, CoordinatorFrame, SiloFrame, coordinator_frame, silo_frame};
use rustls::ClientConfig;
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tracing::{info, warn};

use crate::config::ReconnectSection;
use crate::randomness;

/// What the link tells the agent.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A session is open; frames may be sent.
    Connected {
        /// The session.
        session: Session,
        /// The checkpoint beyond this silo's memory that it is said to have cosigned; empty if there is none.
        own_cosignature: String,
    },
    /// The coordinator runs another roster than the one pinned here.
    OtherRoster,
    /// A frame arrived.
    Frame(Box<coordinator_frame::Frame>),
    /// The session is over.
    Disconnected,
}

/// An open session, for those who send: answers and uploads wait in lines of their own, so that a long upload holds up
/// no answer.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    answers: mpsc::Sender<SiloFrame>,
    uploads: mpsc::Sender<SiloFrame>,
    hang_up: Arc<Notify>,
}

/// The frames of a session on their way to the network.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) answers: mpsc::Receiver<SiloFrame>,
    pub(crate) uploads: mpsc::Receiver<SiloFrame>,
}

impl Session {
    pub(crate) fn new() -> (Session, Outgoing) {
        let (answers, answers_out) = mpsc::channel(ANSWERS_WAITING);
        let (uploads, uploads_out) = mpsc::channel(CHUNKS_WAITING);
        let session = Session {
            answers,
            uploads,
            hang_up: Arc::default(),
        };
        let outgoing = Outgoing {
            answers: answers_out,
            uploads: uploads_out,
        };
        (session, outgoing)
    }

    /// Sends at once. SECURITY: a coordinator that takes nothing off the line does not hold up the agent: the session
    /// ends, and what was lost with it is asked for again in the next one.
    pub(crate) fn send(&self, frame: silo_frame::Frame) {
        match self.answers.try_send(framed(frame)) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.hang_up.notify_one(),
        }
    }

    /// Sends a part of an upload from its own thread, and waits for room.
    pub(crate) fn upload(&self, frame: silo_frame::Frame) -> Result<(), SessionEnded> {
        self.uploads
            .blocking_send(framed(frame))
            .map_err(|_| SessionEnded)
    }

    /// Asks for a part of a sum that is computed again, from its own thread.
    pub(crate) fn ask(&self, request: v1::ReplayRequest) -> Result<(), SessionEnded> {
        self.upload(silo_frame::Frame::ReplayRequest(request))
    }

    /// Whether both are the same session.
    pub(crate) fn is(&self, other: &Session) -> bool {
        self.answers.same_channel(&other.answers)
    }
}

/// The session is over.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the session ended")]
pub(crate) struct SessionEnded;

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
    #[error("the coordinator takes nothing off the line")]
    Stalled,
    #[error("the agent has stopped")]
    AgentGone,
}

impl Link {
    /// Connects, again and again, until `stop` says so.
    pub(crate) async fn run<E: From<LinkEvent>>(
        self,
        agent: SyncSender<E>,
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
            let mut event = Some(LinkEvent::Disconnected.into());
            while let Some(waiting) = event.take() {
                match tell(&agent, waiting) {
                    Ok(back) => event = back,
                    Err(_) => return,
                }
                if event.is_some() {
                    tokio::time::sleep(PAUSE_WHEN_FULL).await;
                }
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
        agent: &SyncSender<E>,
        welcomed: &mut bool,
    ) -> Result<(), SessionFault> {
        let connection =
            client::connect(&self.address, &self.server_name, Arc::clone(&self.tls)).await?;
        let (session, outgoing) = Session::new();
        let hello = self.hello(ChannelBinding::from_bytes(connection.channel_binding));
        session.send(silo_frame::Frame::Hello(hello));
        let outgoing =
            ReceiverStream::new(outgoing.answers).merge(ReceiverStream::new(outgoing.uploads));
        let refused = |status: tonic::Status| SessionFault::Refused(status.message().to_owned());
        let mut incoming = client::federation(&connection)
            .session(outgoing)
            .await
            .map_err(refused)?
            .into_inner();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        // What the agent has no room for yet. Nothing more is read meanwhile: HTTP/2 makes the coordinator wait.
        let mut waiting: Option<E> = None;
        loop {
            let frame = tokio::select! {
                frame = incoming.message(), if waiting.is_none() => {
                    frame.map_err(refused)?.ok_or(SessionFault::Closed)?
                }
                () = tokio::time::sleep(PAUSE_WHEN_FULL), if waiting.is_some() => {
                    if let Some(event) = waiting.take() {
                        waiting = tell(agent, event)?;
                    }
                    continue;
                }
                _ = heartbeat.tick() => {
                    // A full line is a sign of life in itself.
                    let _ = session.answers.try_send(framed(silo_frame::Frame::Heartbeat(v1::Heartbeat {})));
                    continue;
                }
                () = session.hang_up.notified() => return Err(SessionFault::Stalled),
            };
            let CoordinatorFrame { frame: Some(frame) } = frame else {
                continue;
            };
            let event = match frame {
                coordinator_frame::Frame::Welcome(welcome) => {
                    *welcomed = true;
                    if welcome.roster_root != self.roster_root.as_bytes() {
                        LinkEvent::OtherRoster
                    } else {
                        info!(coordinator = %self.address, "session open");
                        LinkEvent::Connected {
                            session: session.clone(),
                            own_cosignature: welcome.own_cosignature,
                        }
                    }
                }
                coordinator_frame::Frame::Heartbeat(_) => continue,
                other => LinkEvent::Frame(Box::new(other)),
            };
            waiting = tell(agent, event.into())?;
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
fn framed(frame: silo_frame::Frame) -> SiloFrame {
    SiloFrame { frame: Some(frame) }
}

/// Tells the agent; gives the event back when there is no room for it.
fn tell<E>(agent: &SyncSender<E>, event: E) -> Result<Option<E>, SessionFault> {
    match agent.try_send(event) {
        Ok(()) => Ok(None),
        Err(TrySendError::Full(event)) => Ok(Some(event)),
        Err(TrySendError::Disconnected(_)) => Err(SessionFault::AgentGone),
    }
}

/// Answers that may wait for the network: a few attempts' worth.
const ANSWERS_WAITING: usize = 256;
/// Chunks of an upload that may wait for the network, beside those that HTTP/2 lets through.
pub(crate) const CHUNKS_WAITING: usize = 4;
const PAUSE_WHEN_FULL: Duration = Duration::from_millis(5);
const HEARTBEAT: Duration = Duration::from_secs(2);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn heartbeat() -> silo_frame::Frame {
        silo_frame::Frame::Heartbeat(v1::Heartbeat {})
    }

    #[tokio::test]
    async fn a_coordinator_that_takes_nothing_off_the_line_loses_the_session_and_holds_up_nobody() {
        let (session, outgoing) = Session::new();
        for _ in 0..ANSWERS_WAITING {
            session.send(heartbeat());
        }
        let patience = Duration::from_millis(1);
        let hung_up = tokio::time::timeout(patience, session.hang_up.notified());
        assert!(hung_up.await.is_err());
        // This one would have waited for ever.
        session.send(heartbeat());
        session.hang_up.notified().await;
        drop(outgoing);
        session.send(heartbeat());
    }

    #[test]
    fn a_full_agent_gets_nothing_more_until_it_has_room() {
        let (agent, inputs) = std::sync::mpsc::sync_channel(1);
        assert_eq!(tell(&agent, 1).unwrap(), None);
        assert_eq!(tell(&agent, 2).unwrap(), Some(2));
        inputs.recv().unwrap();
        assert_eq!(tell(&agent, 2).unwrap(), None);
        drop(inputs);
        assert!(tell(&agent, 3).is_err());
    }
}
