// SPDX-License-Identifier: Apache-2.0
//! Frames on their way into the transport, and how many large ones there may be at a time.
//!
//! COST: a message that tells everybody about everybody is as long as there are silos, and goes to all of them at once.
//! Few sessions hold an encoded one at a time; the others wait with a reference to it.

use consilium_wire::v1;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::Stream;
use tonic::Status;

/// A message with a longer body takes a place.
pub(super) const LARGE: usize = 64 * 1024;

/// Large messages in the transport at a time.
const PLACES: usize = 4;

/// So long a silo that does not read holds up the others, and no longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// The way into one session's transport.
pub(super) type Frames = mpsc::Sender<Departure>;

/// The places of large messages, of all sessions together.
#[derive(Clone, Debug)]
pub(crate) struct Departures(Arc<Semaphore>);

impl Default for Departures {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }
}

impl Departures {
    /// Waits for a place; goes without one when none becomes free in time.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.0).acquire_owned();
        tokio::time::timeout(PATIENCE, place).await.ok()?.ok()
    }
}

/// A frame, or the end of a session, with the place that it takes.
#[derive(Debug)]
pub(super) struct Departure {
    frame: Result<v1::CoordinatorFrame, Status>,
    place: Option<OwnedSemaphorePermit>,
}

impl Departure {
    pub(super) fn of(frame: v1::CoordinatorFrame) -> Self {
        Self::with(frame, None)
    }

    pub(super) fn with(frame: v1::CoordinatorFrame, place: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            frame: Ok(frame),
            place,
        }
    }

    pub(super) fn last(status: Status) -> Self {
        Self {
            frame: Err(status),
            place: None,
        }
    }
}

/// What the transport takes from. It asks for the next frame when the one before has left, so that is when a place is
/// given back.
#[derive(Debug)]
pub(crate) struct Departing {
    frames: mpsc::Receiver<Departure>,
    place: Option<OwnedSemaphorePermit>,
}

impl Departing {
    pub(super) fn new(frames: mpsc::Receiver<Departure>) -> Self {
        Self {
            frames,
            place: None,
        }
    }
}

impl Stream for Departing {
    type Item = Result<v1::CoordinatorFrame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.place = None;
        self.frames.poll_recv(context).map(|departure| {
            let Departure { frame, place } = departure?;
            self.place = place;
            Some(frame)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use consilium_wire::v1::coordinator_frame::Frame;
    use tokio_stream::StreamExt;

    fn heartbeat() -> v1::CoordinatorFrame {
        v1::CoordinatorFrame {
            frame: Some(Frame::Heartbeat(v1::Heartbeat {})),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_given_back_when_the_transport_asks_for_the_next_frame() {
        let departures = Departures::default();
        let mut held = Vec::new();
        for _ in 1..PLACES {
            held.push(departures.place().await.unwrap());
        }
        let (frames, waiting) = mpsc::channel(4);
        let mut departing = Departing::new(waiting);
        let place = departures.place().await;
        assert!(place.is_some());
        frames
            .send(Departure::with(heartbeat(), place))
            .await
            .unwrap();
        departing.next().await.unwrap().unwrap();
        assert!(
            departures.place().await.is_none(),
            "one more is in the transport"
        );
        frames.send(Departure::of(heartbeat())).await.unwrap();
        departing.next().await.unwrap().unwrap();
        assert!(departures.place().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_ends_gives_its_place_back_and_one_that_stands_still_holds_nobody_up() {
        let departures = Departures::default();
        let (frames, waiting) = mpsc::channel(PLACES);
        for _ in 0..PLACES {
            let place = departures.place().await;
            frames
                .send(Departure::with(heartbeat(), place))
                .await
                .unwrap();
        }
        assert!(departures.place().await.is_none(), "nobody reads");
        drop(waiting);
        assert!(departures.place().await.is_some());
    }
}
