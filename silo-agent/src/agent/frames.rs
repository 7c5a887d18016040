// SPDX-License-Identifier: Apache-2.0
//! Frames of the coordinator: each is checked for what any frame must be, and goes to the file that answers it.

use consilium_protocol::MOST_SILOS;
use consilium_wire::StudyId;
use consilium_wire::limits::STUDY_BYTES;
use consilium_wire::v1::{self, coordinator_frame};
use tracing::warn;

use super::{Agent, AgentFault};

impl Agent {
    pub(super) fn frame(&mut self, frame: coordinator_frame::Frame) -> Result<(), AgentFault> {
        use coordinator_frame::Frame;
        let study = match &frame {
            Frame::Offer(offer) => Some(offer.study_id.as_str()),
            Frame::Ended(ended) => Some(ended.study_id.as_str()),
            Frame::Protocol(message) => Some(message.study_id.as_str()),
            Frame::Cosign(_)
            | Frame::ReleaseChunk(_)
            | Frame::UploadProgress(_)
            | Frame::ReplayPart(_)
            | Frame::Welcome(_)
            | Frame::Heartbeat(_) => None,
        };
        // SECURITY: from here on a study's name is 64 digits, whatever it enters: log, journal or answer.
        if let Some(Err(fault)) = study.map(StudyId::parse) {
            warn!("a frame of the coordinator was discarded: {fault}");
            return Ok(());
        }
        match frame {
            Frame::Offer(offer) => self.offer_arrived(offer),
            Frame::Ended(ended) => self.ended(&ended),
            Frame::Protocol(message) => self.protocol_message(message),
            Frame::Cosign(request) => self.cosign(&request),
            Frame::ReleaseChunk(chunk) => self.release_chunk(chunk),
            Frame::UploadProgress(progress) => {
                if let Some(upload) = &self.upload {
                    upload.progress(&progress);
                }
                Ok(())
            }
            Frame::ReplayPart(part) => {
                if let Some(replay) = &self.replay {
                    replay.answered(part);
                }
                Ok(())
            }
            // The welcome and heartbeats are the link's.
            Frame::Welcome(_) | Frame::Heartbeat(_) => Ok(()),
        }
    }

    /// SECURITY: offers are kept, so they are bounded in size and in number before anything else looks at them.
    fn offer_arrived(&mut self, offer: v1::StudyOffer) -> Result<(), AgentFault> {
        let fits = offer.study.len() <= STUDY_BYTES
            && u32::try_from(offer.invited.len()).is_ok_and(|invited| invited <= MOST_SILOS)
            && offer.invited.iter().all(|name| name.len() <= LONGEST_NAME)
            && offer.researcher.len() <= LONGEST_NAME
            && offer.signature.len() <= LONGEST_NAME;
        if !fits {
            warn!("a study was offered that is larger than any study here; it was discarded");
            return Ok(());
        }
        if self.journal.study(&offer.study_id)?.is_none()
            && self.journal.open_studies()? >= MOST_OPEN_STUDIES
        {
            let reason = "as many studies are open here as an agent takes at one time";
            return self.decline(&offer.study_id, "busy", reason);
        }
        self.offered(offer)
    }
}

/// Studies that may be offered, undecided or running at one time.
pub(super) const MOST_OPEN_STUDIES: u64 = 64;
/// Names and signatures are shorter.
const LONGEST_NAME: usize = 256;
