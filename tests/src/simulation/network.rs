// SPDX-License-Identifier: Apache-2.0
//! Time and what is on its way: one queue of everything that is going to happen, in the order in which it will.

use super::coordinator::CoordinatorWork;
use super::silo::SiloWork;
use consilium_crypto::digest::Digest;
use consilium_protocol::{AttemptId, Delivery};
use std::collections::BTreeMap;

/// Something that is going to happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message reaches a silo; a Release brings the sum with it.
    ToSilo {
        to: usize,
        delivery: Delivery,
        sum: Option<Vec<u64>>,
    },
    /// A message reaches the coordinator.
    ToCoordinator { from: usize, frame: Frame },
    /// A silo's own work ends, if it is still the same process.
    Silo {
        at: usize,
        process: u64,
        work: SiloWork,
    },
    /// The coordinator's own work ends, if it is still the same process.
    Coordinator { process: u64, work: CoordinatorWork },
    /// A silo's session is open.
    Connected(usize),
    /// A silo's session has been closed for a while.
    Dropped(usize),
}

/// What a silo sends.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Message(Delivery),
    /// That it verified a sum.
    Accepted {
        id: AttemptId,
        sum: Digest,
    },
    /// One chunk of a masked vector, and its place.
    Chunk {
        id: AttemptId,
        index: u64,
        bytes: Vec<u8>,
        digest: Digest,
    },
}

/// The queue and the clock.
#[derive(Debug, Default)]
pub(crate) struct Network {
    now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    numbered: u64,
    spread: u64,
    salt: u64,
}

impl Network {
    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Something that happens at a time of its own.
    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.numbered += 1;
        self.queue.insert((at.max(self.now), self.numbered), event);
    }

    /// Something that travels.
    pub(crate) fn send(&mut self, event: Event) {
        let delay = match self.spread {
            0 => 0,
            spread => mix(self.numbered ^ (self.salt << 32)) % spread,
        };
        self.schedule(self.now + LATENCY + delay, event);
    }

    /// When the next event happens.
    pub(crate) fn next_time(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((time, _), _)| *time)
    }

    /// The clock moves on without an event of the queue.
    pub(crate) fn advance_to(&mut self, time: u64) {
        self.now = self.now.max(time);
    }

    /// The next event; the clock moves on to it.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        let ((time, _), event) = self.queue.pop_first()?;
        self.advance_to(time);
        Some(event)
    }

    pub(crate) fn set_jitter(&mut self, spread: u32, salt: u32) {
        self.spread = u64::from(spread);
        self.salt = u64::from(salt);
    }

    /// Takes a message out; `false` when nothing travels.
    pub(crate) fn lose(&mut self, message: u32) -> bool {
        let key = self.travelling(message);
        key.and_then(|key| self.queue.remove(&key)).is_some()
    }

    /// Lets a message arrive twice; the second time a little later.
    pub(crate) fn repeat(&mut self, message: u32) -> bool {
        let Some(key) = self.travelling(message) else {
            return false;
        };
        let again = match self.queue.get(&key) {
            Some(Event::ToSilo { to, delivery, sum }) => Event::ToSilo {
                to: *to,
                delivery: delivery.clone(),
                sum: sum.clone(),
            },
            Some(Event::ToCoordinator { from, frame }) => Event::ToCoordinator {
                from: *from,
                frame: frame.clone(),
            },
            Some(
                Event::Silo { .. }
                | Event::Coordinator { .. }
                | Event::Connected(_)
                | Event::Dropped(_),
            )
            | None => return false,
        };
        self.schedule(key.0 + LATENCY, again);
        true
    }

    /// Lets a message arrive later.
    pub(crate) fn delay(&mut self, message: u32, milliseconds: u32) -> bool {
        let Some(key) = self.travelling(message) else {
            return false;
        };
        let Some(event) = self.queue.remove(&key) else {
            return false;
        };
        self.schedule(key.0 + u64::from(milliseconds), event);
        true
    }

    /// The place in the queue of a message in flight, counted from the next to arrive and round again.
    fn travelling(&self, message: u32) -> Option<(u64, u64)> {
        let travels =
            |event: &Event| matches!(event, Event::ToSilo { .. } | Event::ToCoordinator { .. });
        let keys: Vec<(u64, u64)> = self
            .queue
            .iter()
            .filter(|(_, event)| travels(event))
            .map(|(key, _)| *key)
            .collect();
        let at = usize::try_from(message).ok()?.checked_rem(keys.len())?;
        keys.get(at).copied()
    }
}

/// A bijection that scatters its argument (the finaliser of SplitMix64).
pub(crate) fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// How long a message takes at least, in milliseconds.
const LATENCY: u64 = 5;
