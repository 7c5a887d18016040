// SPDX-License-Identifier: Apache-2.0
//! The one way out of the protocol: signed bytes, verified as received.
//!
//! A body is `(attempt, transcript so far, message)`; its signature covers a label for the role and the
//! body's exact bytes. So no recorded message fits another attempt, phase, history or role.

use crate::defence::{Defence, stands};
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::membership::Membership;
use crate::message::{CoordinatorMessage, SiloMessage};
use crate::round_plan::RoundPlan;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::signing::{Claim, Signature, SigningKey, VerifyingKey};
use consilium_crypto::transcript::hash;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sender {
    /// The coordinator.
    Coordinator,
    /// A silo.
    Silo(SiloName),
}

/// Signed bytes of somebody, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Envelope {
    /// Who claims to have signed.
    pub sender: Sender,
    /// The signed bytes.
    #[serde(with = "crate::byte_string")]
    pub body: Vec<u8>,
    /// Ed25519 under the sender's key of the roster.
    pub signature: Signature,
}

/// An envelope with what travels beside it unsigned: ciphertexts and log proofs, which prove themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The signed part.
    pub envelope: Envelope,
    /// The unsigned part.
    pub attachments: Vec<Vec<u8>>,
}

/// What a signature covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Body<M> {
    pub(crate) id: AttemptId,
    pub(crate) transcript: Digest,
    pub(crate) message: M,
}

/// A silo's message whose signature holds under the roster.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedSilo {
    pub(crate) silo: SiloName,
    pub(crate) message: SiloMessage,
}

impl Envelope {
    /// Signs a silo's message.
    pub(crate) fn from_silo(
        name: &SiloName,
        key: &SigningKey,
        id: AttemptId,
        transcript: Digest,
        message: SiloMessage,
    ) -> Self {
        let body = encode(&Body {
            id,
            transcript,
            message,
        });
        let signature = key.sign(Label::SiloMessage, &[name.as_str().as_bytes(), &body]);
        Self {
            sender: Sender::Silo(name.clone()),
            body,
            signature,
        }
    }

    /// Signs a message of the coordinator.
    pub(crate) fn from_coordinator(
        key: &SigningKey,
        id: AttemptId,
        transcript: Digest,
        message: CoordinatorMessage,
    ) -> Self {
        let body = encode(&Body {
            id,
            transcript,
            message,
        });
        let signature = key.sign(Label::CoordinatorMessage, &[&body]);
        Self {
            sender: Sender::Coordinator,
            body,
            signature,
        }
    }

    /// Verifies and reads a silo's message of attempt `id` under `transcript`.
    pub(crate) fn verify_silo(
        &self,
        membership: &Membership,
        id: AttemptId,
        transcript: &Digest,
    ) -> Result<VerifiedSilo, Fault> {
        let (silo, key) = self.signer(membership)?;
        let parts = [silo.as_str().as_bytes(), &self.body];
        let holds = key.is_none_or(|key| {
            key.verify(Label::SiloMessage, &parts, &self.signature)
                .is_ok()
        });
        if stands(Defence::SiloSignatures) && !holds {
            return Err(Fault::BadSignature {
                sender: silo.to_string(),
            });
        }
        self.read_silo(id, transcript)
    }

    /// The silo that is said to have signed, and its key of the roster.
    pub(crate) fn signer<'a>(
        &'a self,
        membership: &'a Membership,
    ) -> Result<(&'a SiloName, Option<&'a VerifyingKey>), Fault> {
        let Sender::Silo(silo) = &self.sender else {
            return Err(Fault::Malformed(
                "a silo's envelope names the coordinator as its sender",
            ));
        };
        let key = membership.silos.get(silo);
        if stands(Defence::RosterMembers) && key.is_none() {
            return Err(Fault::UnknownSilo { silo: silo.clone() });
        }
        Ok((silo, key))
    }

    /// That `silo` signed this under `key`.
    pub(crate) fn claim<'a>(&'a self, silo: &SiloName, key: &'a VerifyingKey) -> Claim<'a> {
        let parts = [silo.as_str().as_bytes(), &self.body];
        Claim::new(key, Label::SiloMessage, &parts, &self.signature)
    }

    /// Reads a silo's message of attempt `id` under `transcript`, whose signature has been verified.
    pub(crate) fn read_silo(
        &self,
        id: AttemptId,
        transcript: &Digest,
    ) -> Result<VerifiedSilo, Fault> {
        let Sender::Silo(silo) = &self.sender else {
            return Err(Fault::Malformed(
                "a silo's envelope names the coordinator as its sender",
            ));
        };
        let body: Body<SiloMessage> = decode(&self.body)?;
        let fits = body.id == id && body.transcript == *transcript;
        if stands(Defence::Transcript) && !fits {
            return Err(Fault::OtherTranscript {
                message: body.message.name(),
            });
        }
        Ok(VerifiedSilo {
            silo: silo.clone(),
            message: body.message,
        })
    }

    /// Verifies and reads a message of the coordinator.
    pub(crate) fn verify_coordinator(
        &self,
        membership: &Membership,
    ) -> Result<Body<CoordinatorMessage>, Fault> {
        if self.sender != Sender::Coordinator {
            return Err(Fault::Malformed(
                "a coordinator's envelope names a silo as its sender",
            ));
        }
        membership
            .coordinator
            .verify(Label::CoordinatorMessage, &[&self.body], &self.signature)
            .map_err(|_| Fault::BadSignature {
                sender: "the coordinator".to_owned(),
            })?;
        decode(&self.body)
    }

    /// The attempt that the body names, unverified: for routing only.
    #[must_use]
    pub fn peek_attempt(&self) -> Option<AttemptId> {
        postcard::take_from_bytes::<AttemptId>(&self.body)
            .ok()
            .map(|(id, _)| id)
    }

    /// A silo's message, unverified: for the operator's eyes and tests.
    #[must_use]
    pub fn peek_silo_message(&self) -> Option<SiloMessage> {
        decode::<Body<SiloMessage>>(&self.body)
            .ok()
            .map(|body| body.message)
    }

    /// A message of the coordinator, unverified: for its own driver, which has just signed it.
    #[must_use]
    pub fn peek_coordinator_message(&self) -> Option<CoordinatorMessage> {
        decode::<Body<CoordinatorMessage>>(&self.body)
            .ok()
            .map(|body| body.message)
    }

    /// The name of the message inside, unverified: for progress and logs only.
    #[must_use]
    pub fn peek_name(&self) -> Option<&'static str> {
        match self.sender {
            Sender::Coordinator => decode::<Body<CoordinatorMessage>>(&self.body)
                .ok()
                .map(|body| body.message.name()),
            Sender::Silo(_) => decode::<Body<SiloMessage>>(&self.body)
                .ok()
                .map(|body| body.message.name()),
        }
    }

    /// The votes or nonces that a Certificate or a Challenge lists, unverified.
    pub(crate) fn listed_for_the_release(&self) -> Vec<Envelope> {
        match decode::<Body<CoordinatorMessage>>(&self.body).map(|body| body.message) {
            Ok(CoordinatorMessage::Certificate { votes: listed })
            | Ok(CoordinatorMessage::Challenge { nonces: listed }) => listed,
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    /// Identifies these exact bytes in logs and answers.
    #[must_use]
    pub fn digest(&self) -> Digest {
        hash(Label::EvidenceDigest, &[&encode(self)])
    }
}

impl Delivery {
    /// A delivery without attachments.
    #[must_use]
    pub fn bare(envelope: Envelope) -> Self {
        Self {
            envelope,
            attachments: Vec::new(),
        }
    }
}

/// The unverified plan inside an Open, so that the driver can find the study it belongs to.
#[must_use]
pub fn peek_plan(delivery: &Delivery) -> Option<RoundPlan> {
    match decode::<Body<CoordinatorMessage>>(&delivery.envelope.body)
        .ok()?
        .message
    {
        CoordinatorMessage::Open { plan } => Some(*plan),
        CoordinatorMessage::Release(release) | CoordinatorMessage::Replay(release) => {
            Some(release.plan)
        }
        CoordinatorMessage::KeyBook { .. }
        | CoordinatorMessage::DealBook { .. }
        | CoordinatorMessage::CohortFreeze { .. }
        | CoordinatorMessage::SurvivorProposal { .. }
        | CoordinatorMessage::Certificate { .. }
        | CoordinatorMessage::SumCommitment { .. }
        | CoordinatorMessage::Challenge { .. }
        | CoordinatorMessage::Abandon { .. } => None,
    }
}

/// The canonical bytes of a value of ours.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "our own types hold no maps, floats of unknown length or unsized sequences"
    )]
    postcard::to_allocvec(value).expect("protocol types always encode")
}

/// Reads a value from bytes of somebody else; trailing bytes are refused.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(Fault::Malformed("bytes after the end of a message")),
        Err(_) => Err(Fault::Malformed("a message that cannot be read")),
    }
}
