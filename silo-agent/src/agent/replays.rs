// SPDX-License-Identifier: Apache-2.0
//! Computing a committed sum again: the uploads and the sum are fetched over the session, part after part.
//!
//! ```text
//! the digests of each upload ──>  <── checked against its signed root ..  chunk 0 of each, chunk 0 of the sum ──>  <── ..
//! ```
//!
//! One question is on its way at a time, and one chunk of one upload in memory. After a broken session or a restart of either
//! side the coordinator asks again, and the replay begins anew: it keeps nothing on the disk, and its answer is the same.
//!
//! SECURITY: every byte is checked against what was signed or committed to before; what the coordinator chooses is only
//! whether to answer.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use consilium_audit::entry::{EventKind, Outcome};
use consilium_crypto::digest::Digest;
use consilium_protocol::{
    AttemptId, ChunkSource, ReplayJob, ReplayOutcome, ReplaySource, SiloEvent, SiloName,
    UnmaskFault,
};
use consilium_wire::v1::{self, replay_part::Answer};
use tracing::{info, warn};

use super::{Agent, AgentFault, Input};
use crate::coordinator_link::Session;
use crate::crash::{CrashPlace, CrashPoint};
use crate::explain;

/// The sum that is being computed again. Its thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct RunningReplay {
    id: AttemptId,
    session: Session,
    parts: SyncSender<v1::ReplayPart>,
}

impl RunningReplay {
    fn is(&self, id: AttemptId, session: &Session) -> bool {
        self.id == id && self.session.is(session)
    }

    /// An answer of the coordinator. There is room for the one that was asked for; what comes beside it is dropped.
    pub(super) fn answered(&self, part: v1::ReplayPart) {
        if part.id() == self.id {
            self.parts.try_send(part).ok();
        }
    }
}

impl Agent {
    /// Computes this silo's part of the sum again, on a thread of its own. Without a session nothing can be fetched: the
    /// coordinator asks again in the next one.
    pub(super) fn replay(&mut self, job: ReplayJob) {
        let id = job.plan().id;
        let Some(session) = self.session.clone() else {
            return;
        };
        let is_running = |running: &RunningReplay| running.is(id, &session);
        if self.replay.as_ref().is_some_and(is_running) {
            return;
        }
        let (parts, answers) = sync_channel(1);
        let chunks = job.parts().iter().map(|part| part.end - part.start).sum();
        let source = Fetched {
            id,
            session: session.clone(),
            answers,
            chunks,
            fetched: Cell::new(0),
            crash: self
                .crash_point
                .zip(self.attempt.as_ref().map(|attempt| attempt.round)),
        };
        self.replay = Some(RunningReplay {
            id,
            session: session.clone(),
            parts,
        });
        info!(%id, uploads = job.uploads().len(), chunks, "the sum is computed again, for want of tags");
        let inputs = self.inputs.clone();
        std::thread::spawn(move || {
            let outcome = job.run(&source);
            inputs.send(Input::Replayed {
                id,
                session,
                outcome,
            })
        });
    }

    /// The coordinator has asked for the replay, perhaps not for the first time: a broken session may have ended it.
    pub(super) fn resume_replay(&mut self, study: &str) -> Result<(), AgentFault> {
        if self.machine.phase_name() != "replaying" || self.replay.is_some() {
            return Ok(());
        }
        let mut effects = Vec::new();
        self.machine.resume(&self.surroundings(), &mut effects);
        for effect in effects {
            self.perform(study, effect)?;
        }
        Ok(())
    }

    /// This silo's part of the sum was computed again, or could not be.
    pub(super) fn replayed(
        &mut self,
        id: AttemptId,
        session: &Session,
        outcome: Result<ReplayOutcome, UnmaskFault>,
    ) -> Result<(), AgentFault> {
        let is_this = |running: &RunningReplay| running.is(id, session);
        if !self.replay.as_ref().is_some_and(is_this) {
            // Of another session or of an attempt that is over: nobody waits for it.
            return Ok(());
        }
        self.replay = None;
        let Some(study) = self.study_of(id) else {
            return Ok(());
        };
        match outcome {
            Ok(outcome) => {
                info!(%id, ?outcome, "the sum was computed again");
                self.step(&study, SiloEvent::Replayed { id, outcome })
            }
            Err(fault) => {
                let reason = explain(&fault);
                warn!(%id, "the sum could not be computed again: {reason}");
                match fault {
                    UnmaskFault::Spool { .. } | UnmaskFault::Sum(_) => Ok(()),
                    // Nobody else can see what was served over this session.
                    UnmaskFault::OtherUpload { .. } | UnmaskFault::OtherSum => {
                        let details = [("reason", reason.as_str())];
                        let kind = EventKind::RoundMisbehaviour;
                        let failed = Outcome::Failed;
                        Ok(self
                            .own_log
                            .record_attempt(kind, &study, id, failed, &details)?)
                    }
                }
            }
        }
    }
}

/// Uploads and sum at the coordinator.
struct Fetched {
    id: AttemptId,
    session: Session,
    answers: Receiver<v1::ReplayPart>,
    /// How many chunks of the sum are compared in all, and how many were fetched.
    chunks: u64,
    fetched: Cell<u64>,
    crash: Option<(CrashPoint, u32)>,
}

impl Fetched {
    /// Asks, and waits for the answer: until it comes, or until nobody wants the replay any more.
    fn part(&self, silo: Option<&SiloName>, index: Option<u64>) -> io::Result<Vec<u8>> {
        let question = v1::ReplayRequest::new(self.id, silo, index);
        self.session
            .ask(question.clone())
            .map_err(io::Error::other)?;
        let part = self
            .answers
            .recv()
            .map_err(|_| io::Error::other("the attempt or the session is over"))?;
        if !question.is_answered_by(&part) {
            return Err(io::Error::other("the coordinator answers another question"));
        }
        match part.answer {
            Some(Answer::Data(data)) => Ok(data),
            Some(Answer::Refused(reason)) => Err(io::Error::other(format!(
                "the coordinator refuses: {reason}"
            ))),
            None => Err(io::Error::other("the coordinator's answer is empty")),
        }
    }

    fn digests(&self, silo: Option<&SiloName>) -> io::Result<Vec<Digest>> {
        let bytes = self.part(silo, None)?;
        match bytes.as_chunks::<32>() {
            (digests, []) => Ok(digests.iter().copied().map(Digest::from_bytes).collect()),
            _ => Err(io::Error::other("a list of digests ends within one")),
        }
    }
}

impl ChunkSource for Fetched {
    fn chunk(&self, silo: &SiloName, index: u64) -> io::Result<Vec<u8>> {
        self.part(Some(silo), Some(index))
    }
}

impl ReplaySource for Fetched {
    fn chunk_digests(&self, silo: &SiloName) -> io::Result<Vec<Digest>> {
        self.digests(Some(silo))
    }

    fn sum_chunk(&self, index: u64) -> io::Result<Vec<u8>> {
        let chunk = self.part(None, Some(index))?;
        let fetched = self.fetched.get() + 1;
        self.fetched.set(fetched);
        if let Some((point, round)) = self.crash
            && fetched == self.chunks.div_ceil(2)
        {
            CrashPoint::reached(Some(point), CrashPlace::HalfReplayed, round);
        }
        Ok(chunk)
    }

    fn sum_digests(&self) -> io::Result<Vec<Digest>> {
        self.digests(None)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
