// SPDX-License-Identifier: Apache-2.0
//! Which silos are connected, and the way to each of them.
//!
//! COST: what waits for a silo is held once for all silos where it is the same for all, and otherwise read from the disk
//! when its turn has come.

use crate::input::Input;
use consilium_crypto::digest::Digest;
use consilium_protocol::{AttemptId, Outgoing as Message, SiloName};
use consilium_wire::v1;
use consilium_wire::v1::coordinator_frame::Frame;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// The open sessions. Sending never waits: each session drains its own queue.
#[derive(Clone, Debug)]
pub struct Sessions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    inputs: mpsc::Sender<Input>,
    drop_after: Duration,
}

#[derive(Debug, Default)]
struct State {
    open: BTreeMap<SiloName, Session>,
    gone: BTreeSet<SiloName>,
    /// Which wait for an absent silo counts: the one that began last.
    awaited: BTreeMap<SiloName, u64>,
    next_number: u64,
}

impl State {
    fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

#[derive(Debug)]
struct Session {
    number: u64,
    outgoing: mpsc::UnboundedSender<Outgoing>,
}

/// What waits to be sent to a silo.
#[derive(Debug)]
pub enum Outgoing {
    /// One frame.
    Frame(Box<v1::CoordinatorFrame>),
    /// A message of the protocol.
    Message(Box<ProtocolMessage>),
    /// A packed sum, in chunks.
    Sum(PackedSum),
    /// The answer to a silo that computes a sum again.
    Part(Box<PartAsked>),
}

/// A message of the protocol, not yet encoded.
#[derive(Debug)]
pub struct ProtocolMessage {
    /// The study it belongs to.
    pub study_id: String,
    /// The attempt it belongs to.
    pub id: AttemptId,
    /// Itself.
    pub message: Message,
}

/// A question of a silo that computes a sum again.
#[derive(Debug)]
pub struct PartAsked {
    /// Which silo asks.
    pub from: SiloName,
    /// What it asks for.
    pub request: v1::ReplayRequest,
    /// Given back once the answer is on its way: until then the silo has no other question.
    pub turn: OwnedSemaphorePermit,
}

/// A packed sum among the blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedSum {
    /// Which attempt it belongs to.
    pub id: AttemptId,
    /// The blob.
    pub blob: Digest,
    /// Bytes of every chunk but the last.
    pub chunk_bytes: usize,
}

/// The hold on an open session.
#[derive(Debug)]
pub struct SessionNumber(u64);

impl Sessions {
    /// No sessions yet. A silo counts as gone when its session has been closed for `drop_after`.
    #[must_use]
    pub fn new(inputs: mpsc::Sender<Input>, drop_after: Duration) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            inputs,
            drop_after,
        }))
    }

    /// Takes a silo's new session; an older one of the same silo ends.
    pub fn open(&self, silo: &SiloName) -> (SessionNumber, mpsc::UnboundedReceiver<Outgoing>) {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let mut state = self.lock();
        let number = state.number();
        state.awaited.remove(silo);
        state
            .open
            .insert(silo.clone(), Session { number, outgoing });
        state.gone.remove(silo);
        (SessionNumber(number), queue)
    }

    /// Ends a session, unless a newer one has taken its place. After a while the silo counts as gone.
    pub fn close(&self, silo: &SiloName, session: &SessionNumber) {
        {
            let mut state = self.lock();
            if state
                .open
                .get(silo)
                .is_none_or(|open| open.number != session.0)
            {
                return;
            }
            state.open.remove(silo);
        }
        self.expect_within(silo.clone(), self.0.drop_after);
    }

    /// Counts a silo as gone unless it has a session at the end of `time`.
    pub fn expect_within(&self, silo: SiloName, time: Duration) {
        let wait = {
            let mut state = self.lock();
            let wait = state.number();
            state.awaited.insert(silo.clone(), wait);
            wait
        };
        let sessions = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            {
                let mut state = sessions.lock();
                // A silo that returned and left again has its own, later wait.
                if state.awaited.get(&silo) != Some(&wait) || state.open.contains_key(&silo) {
                    return;
                }
                state.awaited.remove(&silo);
                if !state.gone.insert(silo.clone()) {
                    return;
                }
            }
            sessions.0.inputs.send(Input::Gone(silo)).await.ok();
        });
    }

    /// Ends every session, as when a new roster takes effect.
    pub fn close_all(&self) {
        let silos: Vec<SiloName> = std::mem::take(&mut self.lock().open).into_keys().collect();
        for silo in silos {
            self.expect_within(silo, self.0.drop_after);
        }
    }

    /// Whether this session is the one that its silo has now.
    #[must_use]
    pub fn is_current(&self, silo: &SiloName, session: &SessionNumber) -> bool {
        let state = self.lock();
        state
            .open
            .get(silo)
            .is_some_and(|open| open.number == session.0)
    }

    /// Whether a silo has a session.
    #[must_use]
    pub fn is_open(&self, silo: &SiloName) -> bool {
        self.lock().open.contains_key(silo)
    }

    /// Whether a silo has been without a session for too long.
    #[must_use]
    pub fn is_gone(&self, silo: &SiloName) -> bool {
        self.lock().gone.contains(silo)
    }

    /// The silos with a session.
    #[must_use]
    pub fn connected(&self) -> BTreeSet<SiloName> {
        self.lock().open.keys().cloned().collect()
    }

    /// Sends a frame, if the silo has a session. What must not be lost is replayed when it returns.
    pub fn send(&self, silo: &SiloName, frame: Frame) {
        let frame = Box::new(v1::CoordinatorFrame { frame: Some(frame) });
        self.enqueue(silo, Outgoing::Frame(frame));
    }

    /// Sends a message of the protocol.
    pub fn send_message(&self, silo: &SiloName, message: ProtocolMessage) {
        self.enqueue(silo, Outgoing::Message(Box::new(message)));
    }

    /// Sends a sum.
    pub fn send_sum(&self, silo: &SiloName, sum: PackedSum) {
        self.enqueue(silo, Outgoing::Sum(sum));
    }

    /// Answers a silo that computes a sum again.
    pub fn send_part(&self, asked: PartAsked) {
        let silo = asked.from.clone();
        self.enqueue(&silo, Outgoing::Part(Box::new(asked)));
    }

    fn enqueue(&self, silo: &SiloName, outgoing: Outgoing) {
        if let Some(session) = self.lock().open.get(silo) {
            session.outgoing.send(outgoing).ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn silo() -> SiloName {
        SiloName::parse("3_UK").unwrap()
    }

    fn sessions(drop_after: Duration) -> (Sessions, mpsc::Receiver<Input>) {
        let (sender, inputs) = mpsc::channel(8);
        (Sessions::new(sender, drop_after), inputs)
    }

    fn heartbeat() -> Frame {
        Frame::Heartbeat(v1::Heartbeat {})
    }

    #[tokio::test]
    async fn a_silo_counts_as_gone_only_after_a_while() {
        let (sessions, mut inputs) = sessions(Duration::from_millis(1));
        let (number, _queue) = sessions.open(&silo());
        sessions.close(&silo(), &number);
        assert!(!sessions.is_open(&silo()) && !sessions.is_gone(&silo()));
        assert!(matches!(inputs.recv().await, Some(Input::Gone(name)) if name == silo()));
        assert!(sessions.is_gone(&silo()));
    }

    #[tokio::test]
    async fn a_silo_that_returns_in_time_was_never_gone() {
        let (sessions, mut inputs) = sessions(Duration::from_millis(1));
        let (number, _queue) = sessions.open(&silo());
        sessions.close(&silo(), &number);
        let (_number, _queue) = sessions.open(&silo());
        // Timers end in order: when this later one has ended, so has the one of the silo.
        let other = SiloName::parse("1_UM").unwrap();
        sessions.expect_within(other.clone(), Duration::from_millis(20));
        assert!(matches!(inputs.recv().await, Some(Input::Gone(name)) if name == other));
        assert!(!sessions.is_gone(&silo()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silo_that_returned_and_left_again_has_its_whole_time_anew() {
        let (sessions, mut inputs) = sessions(Duration::from_secs(5));
        let leave = || {
            let (number, _queue) = sessions.open(&silo());
            sessions.close(&silo(), &number);
        };
        leave();
        tokio::time::sleep(Duration::from_secs(4)).await;
        leave();
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(
            !sessions.is_gone(&silo()),
            "the first wait was taken for the second"
        );
        assert!(inputs.try_recv().is_err());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(sessions.is_gone(&silo()));
    }

    #[tokio::test]
    async fn closing_an_older_session_leaves_the_newer_one_open() {
        let (sessions, _inputs) = sessions(Duration::from_secs(5));
        let (older, mut old_queue) = sessions.open(&silo());
        let (_newer, mut queue) = sessions.open(&silo());
        assert!(
            old_queue.recv().await.is_none(),
            "the older session has ended"
        );
        sessions.close(&silo(), &older);
        assert!(sessions.is_open(&silo()));
        sessions.send(&silo(), heartbeat());
        assert!(matches!(queue.recv().await, Some(Outgoing::Frame(_))));
    }

    #[tokio::test]
    async fn frames_for_an_absent_silo_are_dropped() {
        let (sessions, _inputs) = sessions(Duration::from_secs(5));
        sessions.send(&silo(), heartbeat());
        let (_number, mut queue) = sessions.open(&silo());
        assert!(queue.try_recv().is_err());
    }
}
