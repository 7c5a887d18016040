// SPDX-License-Identifier: Apache-2.0
//! Between the generated messages and the protocol's own types.

use crate::v1;
use consilium_crypto::digest::Digest;
use consilium_protocol::{AttemptId, Delivery, Envelope, Sender, SiloName};

/// Bytes from a peer that are not what their field should hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertFault {
    /// A field that must be there.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A field of another length.
    #[error("the field `{field}` has {actual} bytes, not {expected}")]
    Length {
        /// Which field.
        field: &'static str,
        /// How many bytes it should have.
        expected: usize,
        /// How many it has.
        actual: usize,
    },
    /// A name that is none.
    #[error("the field `{0}` is no silo name")]
    Name(&'static str),
}

impl From<ConvertFault> for tonic::Status {
    fn from(fault: ConvertFault) -> Self {
        Self::invalid_argument(fault.to_string())
    }
}

impl v1::ProtocolMessage {
    /// A signed message of the protocol, with the study it belongs to.
    #[must_use]
    pub fn new(study_id: &str, delivery: Delivery) -> Self {
        let sender = match delivery.envelope.sender {
            Sender::Coordinator => String::new(),
            Sender::Silo(name) => name.into(),
        };
        Self {
            study_id: study_id.to_owned(),
            envelope: Some(v1::Envelope {
                sender,
                body: delivery.envelope.body,
                signature: delivery.envelope.signature.to_bytes().to_vec(),
            }),
            attachments: delivery.attachments,
        }
    }

    /// The protocol's form, still unverified.
    ///
    /// # Errors
    /// [`ConvertFault`] names the field.
    pub fn into_delivery(self) -> Result<Delivery, ConvertFault> {
        let envelope = self.envelope.ok_or(ConvertFault::Missing("envelope"))?;
        let sender = if envelope.sender.is_empty() {
            Sender::Coordinator
        } else {
            Sender::Silo(
                SiloName::parse(&envelope.sender).map_err(|_| ConvertFault::Name("sender"))?,
            )
        };
        let signature =
            envelope
                .signature
                .as_slice()
                .try_into()
                .map_err(|_| ConvertFault::Length {
                    field: "signature",
                    expected: 64,
                    actual: envelope.signature.len(),
                })?;
        Ok(Delivery {
            envelope: Envelope {
                sender,
                body: envelope.body,
                signature,
            },
            attachments: self.attachments,
        })
    }
}

impl v1::Hello {
    /// What the channel binding signature covers beside the connection's exporter value: every other field of
    /// this message, in order.
    #[must_use]
    pub fn statement(&self) -> [Vec<u8>; 5] {
        [
            self.name.clone().into_bytes(),
            self.roster_root.clone(),
            self.instance.clone(),
            self.start_nonce.clone(),
            self.log_size.to_le_bytes().to_vec(),
        ]
    }
}

impl v1::UploadChunk {
    /// A chunk of a masked vector.
    #[must_use]
    pub fn new(id: AttemptId, index: u64, data: Vec<u8>) -> Self {
        Self {
            epoch: id.epoch,
            round: id.round,
            attempt: id.attempt,
            index,
            data,
        }
    }

    /// The attempt it belongs to.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        AttemptId {
            epoch: self.epoch,
            round: self.round,
            attempt: self.attempt,
        }
    }
}

impl v1::UploadProgress {
    /// The first `held` chunks of the upload under `root` are there.
    #[must_use]
    pub fn new(id: AttemptId, root: Digest, held: u64) -> Self {
        Self {
            epoch: id.epoch,
            round: id.round,
            attempt: id.attempt,
            root: root.as_bytes().to_vec(),
            held,
        }
    }

    /// The attempt it belongs to.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        AttemptId {
            epoch: self.epoch,
            round: self.round,
            attempt: self.attempt,
        }
    }
}

impl v1::ReleaseChunk {
    /// Part `index` of `count` of a packed sum.
    #[must_use]
    pub fn new(id: AttemptId, index: u64, count: u64, data: Vec<u8>) -> Self {
        Self {
            epoch: id.epoch,
            round: id.round,
            attempt: id.attempt,
            index,
            count,
            data,
        }
    }

    /// The attempt it belongs to.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        AttemptId {
            epoch: self.epoch,
            round: self.round,
            attempt: self.attempt,
        }
    }
}

impl v1::ReplayRequest {
    /// Asks for a part of `silo`'s upload, or of the sum: chunk `index`, or the digests of all chunks.
    #[must_use]
    pub fn new(id: AttemptId, silo: Option<&SiloName>, index: Option<u64>) -> Self {
        Self {
            epoch: id.epoch,
            round: id.round,
            attempt: id.attempt,
            silo: silo.map(SiloName::to_string).unwrap_or_default(),
            index,
        }
    }

    /// The attempt it is about.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        AttemptId {
            epoch: self.epoch,
            round: self.round,
            attempt: self.attempt,
        }
    }

    /// The answer to this question.
    #[must_use]
    pub fn answered(self, answer: v1::replay_part::Answer) -> v1::ReplayPart {
        v1::ReplayPart {
            epoch: self.epoch,
            round: self.round,
            attempt: self.attempt,
            silo: self.silo,
            index: self.index,
            answer: Some(answer),
        }
    }

    /// Whether a part is the answer to this question.
    #[must_use]
    pub fn is_answered_by(&self, part: &v1::ReplayPart) -> bool {
        self.id() == part.id() && self.silo == part.silo && self.index == part.index
    }
}

impl v1::ReplayPart {
    /// The attempt it belongs to.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        AttemptId {
            epoch: self.epoch,
            round: self.round,
            attempt: self.attempt,
        }
    }
}

impl v1::ReleaseAccepted {
    /// The attempt it belongs to.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        AttemptId {
            epoch: self.epoch,
            round: self.round,
            attempt: self.attempt,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn message(sender: &str, signature: usize) -> v1::ProtocolMessage {
        v1::ProtocolMessage {
            study_id: "00".to_owned(),
            envelope: Some(v1::Envelope {
                sender: sender.to_owned(),
                body: vec![1, 2, 3],
                signature: vec![7; signature],
            }),
            attachments: vec![vec![4], vec![]],
        }
    }

    #[test]
    fn a_message_survives_the_way_in_and_out() {
        for sender in ["", "3_UK"] {
            let there = message(sender, 64);
            let back = v1::ProtocolMessage::new("00", there.clone().into_delivery().unwrap());
            assert_eq!(back, there);
        }
    }

    #[test]
    fn a_message_with_a_short_signature_or_a_bad_name_is_refused() {
        assert!(message("", 63).into_delivery().is_err());
        assert!(message("a b", 64).into_delivery().is_err());
        assert!(
            v1::ProtocolMessage {
                envelope: None,
                ..message("", 64)
            }
            .into_delivery()
            .is_err()
        );
    }
}
