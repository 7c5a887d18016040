// SPDX-License-Identifier: Apache-2.0
//! The upload of a masked vector: its signed root first, then every chunk that the coordinator does not have.
//!
//! ```text
//! signed root, digests of the chunks ──>  <── so many chunks are here ──  the next chunk ──> .. ──>  <── all are here
//! ```
//!
//! In every session the coordinator says how far the upload has come, and it goes on from there. Chunks are read from the
//! spool one at a time: a coordinator that takes them slowly makes the thread wait, and nothing gathers in memory.
//!
//! SECURITY: only bytes that hash to the burned root leave. Nothing that the coordinator says changes them: it chooses no
//! more than where to begin.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use consilium_crypto::digest::Digest;
use consilium_crypto::packing::packed_length;
use consilium_protocol::{AttemptId, Delivery, RoundPlan, chunk_digest, upload_root};
use consilium_wire::v1::{self, silo_frame};
use tracing::info;

use super::{Agent, Input};
use crate::attempt_files::AttemptFiles;
use crate::coordinator_link::{Session, SessionEnded};
use crate::crash::{CrashPlace, CrashPoint};
use crate::durable_file::FileFault;
use crate::explain;

/// The upload that is on its way. Its thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct RunningUpload {
    id: AttemptId,
    root: Digest,
    session: Session,
    told: Told,
}

/// What the coordinator has said of an upload, for the thread that waits for it.
#[derive(Clone, Debug, Default)]
struct Told(Arc<(Mutex<Said>, Condvar)>);

#[derive(Debug, Default)]
struct Said {
    held: Option<u64>,
    over: bool,
}

/// Why an upload ended early.
#[derive(Debug, thiserror::Error)]
enum UploadFault {
    #[error(transparent)]
    Session(#[from] SessionEnded),
    #[error("the attempt or the session is over")]
    Over,
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("the spooled vector is not the one that the masks were spent on")]
    OtherVector,
    #[error("{0}")]
    Plan(String),
}

impl RunningUpload {
    /// Whether this is the upload of that attempt over that session.
    pub(super) fn is(&self, id: AttemptId, session: &Session) -> bool {
        self.id == id && self.session.is(session)
    }

    /// The coordinator says how far the upload has come.
    pub(super) fn progress(&self, progress: &v1::UploadProgress) {
        if progress.id() == self.id && progress.root == self.root.as_bytes() {
            self.told.say(progress.held);
        }
    }
}

impl Drop for RunningUpload {
    fn drop(&mut self) {
        self.told.end();
    }
}

impl Told {
    fn say(&self, held: u64) {
        let (said, changed) = &*self.0;
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.held = said.held.max(Some(held));
        changed.notify_all();
    }

    fn end(&self) {
        let (said, changed) = &*self.0;
        said.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        changed.notify_all();
    }

    fn is_over(&self) -> bool {
        let (said, _) = &*self.0;
        said.lock().unwrap_or_else(PoisonError::into_inner).over
    }

    /// Waits until the coordinator has at least so many chunks, and has said so; gives how many.
    fn wait_for(&self, least: u64) -> Result<u64, UploadFault> {
        let (said, changed) = &*self.0;
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match said.held {
                _ if said.over => return Err(UploadFault::Over),
                Some(held) if held >= least => return Ok(held),
                Some(_) | None => {
                    said = changed.wait(said).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Agent {
    /// Sends the signed root and then the chunks under it, on a thread of its own. One at a time: however often it is asked
    /// for again, the upload over one session runs once.
    pub(super) fn upload(&mut self, study: &str, id: AttemptId, root: Digest, signed: Delivery) {
        let Some(session) = self.session.clone() else {
            return;
        };
        let is_running = |running: &RunningUpload| running.is(id, &session);
        if self.upload.as_ref().is_some_and(is_running) {
            return;
        }
        let Some(attempt) = self
            .attempt
            .as_ref()
            .filter(|attempt| attempt.plan.id == id)
        else {
            return;
        };
        let told = Told::default();
        let upload = Upload {
            files: self.files.clone(),
            session: session.clone(),
            plan: attempt.plan.clone(),
            root,
            study: study.to_owned(),
            told: told.clone(),
            crash: self.crash_point.map(|point| (point, attempt.round)),
        };
        self.upload = Some(RunningUpload {
            id,
            root,
            session: session.clone(),
            told,
        });
        let inputs = self.inputs.clone();
        std::thread::spawn(move || {
            let outcome = upload.run(signed).map_err(|fault| explain(&fault));
            inputs.send(Input::Uploaded {
                id,
                session,
                outcome,
            })
        });
    }
}

/// One upload over one session.
struct Upload {
    files: AttemptFiles,
    session: Session,
    plan: RoundPlan,
    root: Digest,
    study: String,
    told: Told,
    crash: Option<(CrashPoint, u32)>,
}

impl Upload {
    fn run(&self, mut signed: Delivery) -> Result<(), UploadFault> {
        let digests = self.digests()?;
        let bytes = digests.iter().flat_map(|digest| *digest.as_bytes());
        signed.attachments = vec![bytes.collect()];
        let message = v1::ProtocolMessage::new(&self.study, signed);
        self.session.upload(silo_frame::Frame::Protocol(message))?;
        let (id, count) = (self.plan.id, self.plan.chunk_count());
        let held = self.told.wait_for(0)?;
        info!(%id, held, count, "upload begins behind the chunks that the coordinator has");
        for (index, digest) in (0..count).zip(digests) {
            if index == count / 2 {
                self.reach(CrashPlace::HalfUploaded);
            }
            if index < held {
                continue;
            }
            if self.told.is_over() {
                return Err(UploadFault::Over);
            }
            let chunk = self.chunk(index)?;
            if chunk_digest(&chunk) != digest {
                return Err(UploadFault::OtherVector);
            }
            self.session
                .upload(silo_frame::Frame::Chunk(v1::UploadChunk::new(
                    id, index, chunk,
                )))?;
        }
        self.told.wait_for(count)?;
        Ok(())
    }

    /// The digests of all chunks, which must give the burned root.
    fn digests(&self) -> Result<Vec<Digest>, UploadFault> {
        let digests = (0..self.plan.chunk_count())
            .map(|index| Ok(chunk_digest(&self.chunk(index)?)))
            .collect::<Result<Vec<_>, UploadFault>>()?;
        if upload_root(&digests) == self.root {
            Ok(digests)
        } else {
            Err(UploadFault::OtherVector)
        }
    }

    fn chunk(&self, index: u64) -> Result<Vec<u8>, UploadFault> {
        let word_bits = self.plan.word_bits();
        let word_bits = word_bits.map_err(|fault| UploadFault::Plan(explain(&fault)))?;
        let length = |index| packed_length(word_bits, self.plan.fields_in_chunk(index));
        let whole = u64::try_from(length(0)).unwrap_or(u64::MAX);
        let offset = index.saturating_mul(whole);
        Ok(self
            .files
            .read_masked(self.plan.id, offset, length(index))?)
    }

    fn reach(&self, place: CrashPlace) {
        if let Some((point, round)) = self.crash {
            CrashPoint::reached(Some(point), place, round);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
