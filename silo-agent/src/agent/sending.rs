// SPDX-License-Identifier: Apache-2.0
//! What leaves, and when: at once, or at the time when it tells nothing.

use std::time::{Duration, Instant};

use consilium_audit::entry::{EventKind, Outcome};
use consilium_protocol::Delivery;
use consilium_wire::v1::{self, silo_frame};
use tracing::warn;

use super::{Agent, AgentFault};

/// A message that waits for its time on the public grid.
pub(super) struct Delayed {
    pub(super) due: Instant,
    pub(super) study: String,
    pub(super) delivery: Delivery,
}

impl Agent {
    pub(super) fn until_next_duty(&self) -> Duration {
        let next = self
            .delayed
            .iter()
            .map(|delayed| delayed.due)
            .chain(self.answers.iter().map(|(due, _)| *due))
            .min()
            .unwrap_or(self.next_poll)
            .min(self.next_poll);
        next.saturating_duration_since(Instant::now())
    }

    pub(super) fn send_due(&mut self) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            self.answers.drain(..).partition(|(due, _)| *due <= now);
        self.answers = later;
        for (_, answer) in due {
            self.send(answer);
        }
        let (due, later): (Vec<_>, Vec<_>) = self
            .delayed
            .drain(..)
            .partition(|delayed| delayed.due <= now);
        self.delayed = later;
        for Delayed {
            study, delivery, ..
        } in due
        {
            self.send_protocol(&study, delivery);
        }
    }

    /// Sends a frame if there is a session. What is lost with a session is asked for again in the next one.
    pub(super) fn send(&self, frame: silo_frame::Frame) {
        if let Some(session) = &self.session {
            session.send(frame);
        }
    }

    /// Sends an answer about a study: at once, or when it is due.
    pub(super) fn answer(&mut self, due: Option<Instant>, frame: silo_frame::Frame) {
        match due {
            None => self.send(frame),
            Some(due) => self.answers.push((due, frame)),
        }
    }

    pub(super) fn send_protocol(&self, study: &str, delivery: Delivery) {
        self.send(silo_frame::Frame::Protocol(v1::ProtocolMessage::new(
            study, delivery,
        )));
    }

    /// Tells the coordinator, in one word, that this silo takes no further part in a study.
    pub(super) fn decline(
        &mut self,
        study: &str,
        word: &str,
        reason: &str,
    ) -> Result<(), AgentFault> {
        // Neither word nor time of an answer tells more than the coordinator may know; nor does standard error.
        warn!(study, told = word, "declined; this silo's own log says why");
        let in_flight = self
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.study == study);
        let due = in_flight.then(|| self.next_grid_time());
        self.own_log.record_study(
            EventKind::StudyNotReady,
            study,
            Outcome::Failed,
            &[("told", word), ("reason", reason)],
        )?;
        let declined = silo_frame::Frame::Declined(v1::Declined {
            study_id: study.to_owned(),
            reason: word.to_owned(),
        });
        self.answer(due, declined);
        Ok(())
    }
}
