// SPDX-License-Identifier: Apache-2.0
//! Masked vectors: the root that a silo signs first, what is told it then, and the end of its chunks.
//!
//! A silo signs the root before its first chunk and again in every session. So nothing is taken that does not stand under
//! a signed root, and a broken upload goes on where the disk has it.

use super::RoundDriver;
use crate::crash::CrashPlace;
use crate::silo_service::chunk_length;
use crate::spool::{Announcement, Progress, SpoolFault};
use crate::study_run::RunFault;
use consilium_crypto::digest::Digest;
use consilium_protocol::{
    CoordinatorEvent, Delivery, Envelope, SiloMessage, SiloName, upload_root,
};
use consilium_wire::v1;
use consilium_wire::v1::coordinator_frame::Frame;
use std::sync::Arc;

impl RoundDriver<'_, '_> {
    /// Takes a silo's message.
    pub(super) async fn delivered(
        &mut self,
        from: SiloName,
        mut delivery: Delivery,
    ) -> Result<(), RunFault> {
        let signed = delivery.envelope.clone();
        let message = signed.peek_silo_message();
        let Some(SiloMessage::MaskedInput { root, .. }) = message else {
            self.step(CoordinatorEvent::Delivered { from, delivery })
                .await?;
            if matches!(message, Some(SiloMessage::Replayed { .. })) {
                self.reach(CrashPlace::Replayed);
            }
            return Ok(());
        };
        // The digests of the chunks travel beside the message and are nothing to the machine.
        let digests = std::mem::take(&mut delivery.attachments);
        let event = CoordinatorEvent::Delivered {
            from: from.clone(),
            delivery,
        };
        let accepted = self.step_and_tell(event).await?;
        let known = self.progress(&from).await?;
        let progress = match known.filter(|known| known.root == root) {
            Some(known) => Some(known),
            None if accepted => self.announce(&from, root, signed, &digests).await?,
            None => None,
        };
        let Some(progress) = progress else {
            return Ok(());
        };
        let held = v1::UploadProgress::new(self.plan.id, progress.root, progress.held);
        let sessions = &self.run.federation.sessions;
        sessions.send(&from, Frame::UploadProgress(held));
        self.count_upload(from).await
    }

    /// Makes room for the chunks under a root that the machine has accepted.
    async fn announce(
        &mut self,
        from: &SiloName,
        root: Digest,
        signed: Envelope,
        digests: &[Vec<u8>],
    ) -> Result<Option<Progress>, RunFault> {
        let Some(digests) = chunk_digests(digests, self.plan.chunk_count(), &root) else {
            self.digests_refused(from.clone(), signed).await?;
            return Ok(None);
        };
        let announcement = Announcement {
            root,
            chunk_bytes: u64::try_from(chunk_length(&self.plan, 0)).unwrap_or(u64::MAX),
            length: self.plan.packed_length(),
            signed,
        };
        let (spool, id, silo) = (
            Arc::clone(&self.run.federation.spool),
            self.plan.id,
            from.clone(),
        );
        let announced =
            tokio::task::spawn_blocking(move || spool.announce(id, &silo, &announcement, &digests));
        match announced.await.map_err(|_| RunFault::BrokeOff)? {
            Ok(progress) => Ok(Some(progress)),
            // The machine keeps the first root of a silo; only a spool from before a backup of the database has another.
            Err(fault @ SpoolFault::OtherRoot) => {
                tracing::error!(silo = %from, %fault, "an upload cannot be received");
                Ok(None)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// After a restart: uploads whose last chunk was spooled and not yet counted.
    pub(super) async fn count_spooled_uploads(&mut self) -> Result<(), RunFault> {
        for silo in self.plan.silos.clone() {
            self.count_upload(silo).await?;
        }
        Ok(())
    }

    /// Tells the machine about an upload that is there whole.
    pub(super) async fn count_upload(&mut self, from: SiloName) -> Result<(), RunFault> {
        match self.progress(&from).await? {
            Some(progress) if progress.is_complete() => {
                let (root, length) = (progress.root, progress.bytes);
                self.step(CoordinatorEvent::Uploaded { from, root, length })
                    .await
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn progress(&self, from: &SiloName) -> Result<Option<Progress>, RunFault> {
        let (spool, id, silo) = (
            Arc::clone(&self.run.federation.spool),
            self.plan.id,
            from.clone(),
        );
        let progress = tokio::task::spawn_blocking(move || spool.sync(id, &silo));
        Ok(progress.await.map_err(|_| RunFault::BrokeOff)??)
    }
}

/// The digests of all chunks, if they are what was signed.
fn chunk_digests(attachments: &[Vec<u8>], count: u64, root: &Digest) -> Option<Vec<Digest>> {
    let (digests, rest) = attachments.first()?.as_chunks::<32>();
    if !rest.is_empty() || u64::try_from(digests.len()) != Ok(count) {
        return None;
    }
    let digests: Vec<Digest> = digests.iter().copied().map(Digest::from_bytes).collect();
    (upload_root(&digests) == *root).then_some(digests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_crypto::transcript::sha256;

    #[test]
    fn digests_that_do_not_give_the_signed_root_are_none() {
        let digests = [sha256(b"one"), sha256(b"two")];
        let root = upload_root(&digests);
        let bytes = |digests: &[Digest]| -> Vec<u8> {
            digests
                .iter()
                .flat_map(|digest| *digest.as_bytes())
                .collect()
        };
        let right = bytes(&digests);
        assert_eq!(
            chunk_digests(std::slice::from_ref(&right), 2, &root),
            Some(digests.to_vec())
        );
        assert_eq!(chunk_digests(std::slice::from_ref(&right), 3, &root), None);
        assert_eq!(
            chunk_digests(&[bytes(&[digests[1], digests[0]])], 2, &root),
            None
        );
        assert_eq!(
            chunk_digests(&[[&right[..], b"x"].concat()], 2, &root),
            None
        );
        assert_eq!(chunk_digests(&[], 2, &root), None);
    }
}
