// SPDX-License-Identifier: Apache-2.0
//! A masked vector on its way in: every chunk is checked against the root that its silo signed, written, and
//! acknowledged once it is on the disk.
//!
//! The disk is waited for once for all chunks that have arrived: when the line is empty, or when enough of them wait.
//! COST: of each session at most one chunk is in memory, beside what HTTP/2 has let through.

use crate::federation::Federation;
use crate::input::Input;
use crate::spool::SpoolFault;
use consilium_crypto::packing;
use consilium_protocol::{AttemptId, RoundPlan, SiloName};
use consilium_wire::v1::coordinator_frame::Frame as Sent;
use consilium_wire::{limits, v1};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Status, Streaming};

/// The chunks that one session brings.
pub(super) struct Receiving<'s> {
    federation: &'s Arc<Federation>,
    silo: &'s SiloName,
    /// The attempt whose chunks wait for the disk, and how many bytes they have.
    waiting: Option<(AttemptId, usize)>,
}

impl<'s> Receiving<'s> {
    pub(super) fn new(federation: &'s Arc<Federation>, silo: &'s SiloName) -> Self {
        Self {
            federation,
            silo,
            waiting: None,
        }
    }

    /// The session's next frame. Chunks that wait are made durable as soon as none follows at once.
    pub(super) async fn next_frame(
        &mut self,
        incoming: &mut Streaming<v1::SiloFrame>,
    ) -> Result<Option<v1::SiloFrame>, Status> {
        if let Some((id, bytes)) = self.waiting {
            let next = if bytes < GROUP_BYTES {
                tokio::time::timeout(Duration::ZERO, incoming.message())
                    .await
                    .ok()
            } else {
                None
            };
            if let Some(Ok(Some(frame))) = next {
                return Ok(Some(frame));
            }
            self.waiting = None;
            self.acknowledge(id, bytes).await?;
            if let Some(end) = next {
                return end;
            }
        }
        incoming.message().await
    }

    /// Writes a chunk. One of another attempt than the one in flight is ignored: its silo is told about the attempt's end
    /// by other means.
    pub(super) async fn take(&mut self, chunk: v1::UploadChunk) -> Result<(), Status> {
        let id = chunk.id();
        let Some(plan) = self.federation.current_plan().filter(|plan| plan.id == id) else {
            return Ok(());
        };
        let (index, bytes) = (chunk.index, chunk.data.len());
        if plan.silos.binary_search(self.silo).is_err() {
            return Err(Status::permission_denied(
                "a chunk for an attempt without this silo",
            ));
        }
        if index >= plan.chunk_count() || bytes != chunk_length(&plan, index) {
            return Err(Status::invalid_argument(
                "a chunk of another length or place than planned",
            ));
        }
        let (spool, from) = (Arc::clone(&self.federation.spool), self.silo.clone());
        let appended = tokio::task::spawn_blocking(move || {
            let is_packed = |data: &[u8]| is_packed(&plan, index, data);
            let appended = spool.append(id, &from, index, &chunk.data, is_packed);
            (appended, chunk.data)
        });
        let (appended, data) = appended
            .await
            .map_err(|_| Status::unavailable("stopping"))?;
        match appended {
            Ok(()) => {
                let waiting = self.waiting.filter(|(waiting, _)| *waiting == id);
                self.waiting = Some((id, waiting.map_or(0, |(_, bytes)| bytes) + bytes));
                Ok(())
            }
            Err(fault @ SpoolFault::OtherChunk { .. }) => self.refuse(id, &fault, None).await,
            Err(fault @ SpoolFault::NotPacked { .. }) => {
                self.refuse(id, &fault, Some((index, data))).await
            }
            Err(fault) => Err(Status::failed_precondition(crate::explain(&fault))),
        }
    }

    /// Has the refused chunk recorded against the root that the silo signed, and ends the session.
    async fn refuse(
        &self,
        id: AttemptId,
        fault: &SpoolFault,
        unpacked: Option<(u64, Vec<u8>)>,
    ) -> Result<(), Status> {
        let reason = fault.to_string();
        let status = Status::invalid_argument(format!("the upload is refused: {reason}"));
        let input = Input::BadChunk {
            from: self.silo.clone(),
            id,
            reason,
            unpacked,
        };
        self.federation.inputs.send(input).await.ok();
        Err(status)
    }

    /// Waits for the disk and tells the silo how far its upload has come.
    async fn acknowledge(&self, id: AttemptId, bytes: usize) -> Result<(), Status> {
        let (spool, from) = (Arc::clone(&self.federation.spool), self.silo.clone());
        let progress = tokio::task::spawn_blocking(move || spool.sync(id, &from))
            .await
            .map_err(|_| Status::unavailable("stopping"))?
            .map_err(|fault| Status::failed_precondition(crate::explain(&fault)))?;
        let Some(progress) = progress else {
            return Ok(());
        };
        let held = v1::UploadProgress::new(id, progress.root, progress.held);
        self.federation
            .sessions
            .send(self.silo, Sent::UploadProgress(held));
        let input = Input::Spooled {
            from: self.silo.clone(),
            id,
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            complete: progress.is_complete(),
        };
        self.federation
            .inputs
            .send(input)
            .await
            .map_err(|_| Status::unavailable("stopping"))
    }
}

/// Whether a chunk unpacks. The silo signs what it uploads, but what does not unpack can never be summed.
pub(crate) fn is_packed(plan: &RoundPlan, index: u64, data: &[u8]) -> bool {
    plan.word_bits()
        .is_ok_and(|word_bits| packing::check(word_bits, data, plan.fields_in_chunk(index)).is_ok())
}

/// The packed length of one chunk.
pub(crate) fn chunk_length(plan: &RoundPlan, index: u64) -> usize {
    (plan.fields_in_chunk(index) * usize::from(plan.vector.word_bits)).div_ceil(8)
}

/// So much waits for the disk at most.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

const _: () = assert!(limits::CHUNK_BYTES < limits::MESSAGE_BYTES);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::silo_service::tests::plan;
    use consilium_crypto::ring::WordBits;

    #[test]
    fn a_chunk_with_a_bit_set_where_no_word_is_is_not_taken() {
        let plan = plan();
        let word_bits = WordBits::new(20).unwrap();
        let mut chunk = packing::pack(word_bits, &[1, 2, 3]);
        assert_eq!(chunk.len(), chunk_length(&plan, 0));
        assert!(is_packed(&plan, 0, &chunk));
        *chunk.last_mut().unwrap() |= 0x80;
        assert!(!is_packed(&plan, 0, &chunk));
    }
}
