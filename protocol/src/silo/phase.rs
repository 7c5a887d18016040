// SPDX-License-Identifier: Apache-2.0
//! The enum outside the phases' structs: what is stored, resumed and driven.

use super::Step;
use super::advertised::Advertised;
use super::committed::Committed;
use super::dealt::Dealt;
use super::masking::Masking;
use super::ready::Ready;
use super::replaying::{Replayed, Replaying};
use super::revealed::{Certified, Revealed};
use super::tagging::{Tagged, Tagging};
use super::training::Training;
use super::uploaded::Uploaded;
use super::voted::Voted;
use crate::defence::{Defence, stands};
use crate::effect::SiloEffect;
use crate::envelope::{Delivery, Envelope};
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::message::CoordinatorMessage;
use crate::release::Trail;
use crate::replay::ReplayOutcome;
use crate::round_plan::RoundPlan;
use crate::secrets::AttemptSecrets;
use consilium_crypto::digest::Digest;
use consilium_crypto::mersenne::Element;
use consilium_crypto::secret::Secret;
use serde::{Deserialize, Serialize};

/// Where the silo stands in an attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Phase {
    Idle,
    Advertised(Advertised),
    Dealt(Dealt),
    Training(Training),
    Ready(Ready),
    Masking(Masking),
    Uploaded(Uploaded),
    Voted(Voted),
    Revealed(Revealed),
    Committed(Committed),
    Tagging(Tagging),
    Tagged(Tagged),
    Replaying(Replaying),
    Replayed(Replayed),
}

/// A question of the coordinator and the answer it got, so that a repeat gets the same bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) name: String,
    pub(crate) question: Envelope,
    pub(crate) reply: Reply,
}

/// A stored answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Nothing,
    Send(Delivery),
    SendOnGrid(Delivery),
    Upload {
        id: AttemptId,
        root: Digest,
        signed: Delivery,
    },
    Both(Box<Reply>, Box<Reply>),
}

impl Reply {
    /// This reply, then another.
    pub(crate) fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Nothing, next) => next,
            (this, Self::Nothing) => this,
            (this, next) => Self::Both(Box::new(this), Box::new(next)),
        }
    }

    /// The signed message of that name in this reply.
    pub(crate) fn envelope(&self, message: &str) -> Option<&Envelope> {
        match self {
            Self::Nothing => None,
            Self::Send(delivery)
            | Self::SendOnGrid(delivery)
            | Self::Upload {
                signed: delivery, ..
            } => {
                let envelope = &delivery.envelope;
                (envelope.peek_name() == Some(message)).then_some(envelope)
            }
            Self::Both(first, second) => {
                first.envelope(message).or_else(|| second.envelope(message))
            }
        }
    }

    pub(crate) fn emit(&self, effects: &mut Vec<SiloEffect>) {
        match self {
            Self::Nothing => {}
            Self::Send(delivery) => effects.push(SiloEffect::Send(delivery.clone())),
            Self::SendOnGrid(delivery) => effects.push(SiloEffect::SendOnGrid(delivery.clone())),
            Self::Upload { id, root, signed } => effects.push(SiloEffect::Upload {
                id: *id,
                root: *root,
                signed: signed.clone(),
            }),
            Self::Both(first, second) => {
                first.emit(effects);
                second.emit(effects);
            }
        }
    }
}

impl Phase {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Advertised(_) => "advertised",
            Self::Dealt(_) => "dealt",
            Self::Training(_) => "training",
            Self::Ready(_) => "ready",
            Self::Masking(_) => "masking",
            Self::Uploaded(_) => "uploaded",
            Self::Voted(_) => "voted",
            Self::Revealed(_) => "revealed",
            Self::Committed(_) => "committed",
            Self::Tagging(_) => "tagging",
            Self::Tagged(_) => "tagged",
            Self::Replaying(_) => "replaying",
            Self::Replayed(_) => "replayed",
        }
    }

    pub(crate) fn plan(&self) -> Option<&RoundPlan> {
        match self {
            Self::Idle => None,
            Self::Advertised(phase) => Some(&phase.plan),
            Self::Dealt(phase) => Some(&phase.plan),
            Self::Training(phase) => Some(&phase.exchange.plan),
            Self::Ready(phase) => Some(&phase.exchange.plan),
            Self::Masking(phase) => Some(&phase.exchange.plan),
            Self::Uploaded(phase) => Some(&phase.exchange.plan),
            Self::Voted(phase) => Some(&phase.exchange.plan),
            Self::Revealed(_)
            | Self::Committed(_)
            | Self::Tagging(_)
            | Self::Tagged(_)
            | Self::Replaying(_)
            | Self::Replayed(_) => self.certified().map(|certified| &certified.plan),
        }
    }

    /// What the certificate settled, once there is one.
    fn certified(&self) -> Option<&Certified> {
        match self {
            Self::Revealed(phase) => Some(&phase.certified),
            Self::Committed(phase) => Some(&phase.certified),
            Self::Tagging(phase) => Some(&phase.certified),
            Self::Tagged(phase) => Some(&phase.certified),
            Self::Replaying(phase) => Some(&phase.certified),
            Self::Replayed(phase) => Some(&phase.certified),
            Self::Idle
            | Self::Advertised(_)
            | Self::Dealt(_)
            | Self::Training(_)
            | Self::Ready(_)
            | Self::Masking(_)
            | Self::Uploaded(_)
            | Self::Voted(_) => None,
        }
    }

    /// H(S), once it is committed.
    fn committed_sum(&self) -> Option<Digest> {
        match self {
            Self::Committed(phase) => Some(phase.sum),
            Self::Tagging(phase) => Some(phase.sum),
            Self::Tagged(phase) => Some(phase.sum),
            Self::Replaying(phase) => Some(phase.sum),
            Self::Replayed(phase) => Some(phase.sum),
            Self::Idle
            | Self::Advertised(_)
            | Self::Dealt(_)
            | Self::Training(_)
            | Self::Ready(_)
            | Self::Masking(_)
            | Self::Uploaded(_)
            | Self::Voted(_)
            | Self::Revealed(_) => None,
        }
    }

    /// The transcript that the next message of the coordinator must carry.
    pub(crate) fn transcript(&self) -> Option<Digest> {
        match self {
            Self::Idle => None,
            Self::Advertised(phase) => Some(phase.plan.opening_transcript()),
            Self::Dealt(phase) => Some(phase.keys.digest),
            Self::Training(phase) => Some(phase.exchange.deals.digest),
            Self::Ready(phase) => Some(phase.exchange.deals.digest),
            Self::Masking(phase) => Some(phase.cohort.digest),
            Self::Uploaded(phase) => Some(phase.cohort.digest),
            Self::Voted(phase) => Some(phase.cohort.digest),
            Self::Revealed(_)
            | Self::Committed(_)
            | Self::Tagging(_)
            | Self::Tagged(_)
            | Self::Replaying(_)
            | Self::Replayed(_) => self.certified().map(|certified| certified.cohort.digest),
        }
    }

    /// Whether this phase waits for such a message.
    pub(crate) fn expects(&self, message: &CoordinatorMessage) -> bool {
        use CoordinatorMessage as Message;
        matches!(
            (self, message),
            (Self::Advertised(_), Message::KeyBook { .. })
                | (Self::Dealt(_), Message::DealBook { .. })
                | (Self::Ready(_), Message::CohortFreeze { .. })
                | (Self::Uploaded(_), Message::SurvivorProposal { .. })
                | (Self::Voted(_), Message::Certificate { .. })
                | (Self::Revealed(_), Message::SumCommitment { .. })
                | (Self::Committed(_), Message::Challenge { .. })
                | (
                    Self::Committed(_) | Self::Tagging(_) | Self::Tagged(_),
                    Message::Replay(_)
                )
        ) || (!stands(Defence::OneVotePerAttempt)
            && matches!(
                (self, message),
                (Self::Voted(_), Message::SurvivorProposal { .. })
            ))
    }

    /// Handles the message that [`Self::expects`] allowed.
    pub(crate) fn message(
        self,
        step: &mut Step<'_>,
        message: CoordinatorMessage,
        attachments: Vec<Vec<u8>>,
    ) -> Result<Self, Fault> {
        use CoordinatorMessage as Message;
        match (self, message) {
            (Self::Advertised(phase), Message::KeyBook { advertisements }) => {
                phase.key_book(step, &advertisements)
            }
            (Self::Dealt(phase), Message::DealBook { deals }) => {
                phase.deal_book(step, &deals, &attachments)
            }
            (Self::Ready(phase), Message::CohortFreeze { receipts, ready }) => {
                phase.cohort_freeze(step, &receipts, &ready)
            }
            (Self::Uploaded(phase), Message::SurvivorProposal { uploads }) => {
                phase.survivor_proposal(step, &uploads)
            }
            (Self::Voted(phase), Message::Certificate { votes }) => phase.certificate(step, &votes),
            #[cfg(feature = "insecure_for_test")]
            (Self::Voted(phase), Message::SurvivorProposal { uploads }) => phase
                .before_the_vote(step.surroundings.name)?
                .survivor_proposal(step, &uploads),
            (Self::Revealed(phase), Message::SumCommitment { sum }) => {
                phase.sum_commitment(step, sum, &attachments)
            }
            (Self::Committed(phase), Message::Challenge { nonces }) => {
                phase.challenge(step, &nonces)
            }
            (Self::Committed(Committed { certified, sum }), Message::Replay(release)) => {
                Replaying::begin(certified, sum, step, *release, &attachments)
            }
            (Self::Tagging(Tagging { certified, sum, .. }), Message::Replay(release)) => {
                Replaying::begin(certified, sum, step, *release, &attachments)
            }
            (Self::Tagged(Tagged { certified, sum }), Message::Replay(release)) => {
                Replaying::begin(certified, sum, step, *release, &attachments)
            }
            (phase, message) => Err(Fault::Unexpected {
                message: message.name(),
                phase: phase.name(),
            }),
        }
    }

    /// Local computation has ended; a second end of the same work changes nothing.
    pub(crate) fn prepared(self, step: &mut Step<'_>, input: Digest) -> Result<Self, Fault> {
        match self {
            Self::Training(phase) => Ok(phase.prepared(step, input)),
            phase => Ok(phase),
        }
    }

    /// Masking has ended; a second end of the same work changes nothing.
    pub(crate) fn masked(
        self,
        step: &mut Step<'_>,
        root: Digest,
        length: u64,
    ) -> Result<Self, Fault> {
        match self {
            Self::Masking(phase) => phase.masked(step, root, length),
            #[cfg(feature = "insecure_for_test")]
            Self::Uploaded(phase) if !stands(Defence::Burn) => {
                phase.before_the_upload().masked(step, root, length)
            }
            phase => Ok(phase),
        }
    }

    /// The inner product is known; a second end of the same work changes nothing.
    pub(crate) fn tagged(
        self,
        step: &mut Step<'_>,
        product: &Secret<Element>,
    ) -> Result<Self, Fault> {
        match self {
            Self::Tagging(phase) => phase.tagged(step, product),
            phase => Ok(phase),
        }
    }

    /// The sum was computed again; a second end of the same work changes nothing.
    pub(crate) fn replayed(
        self,
        step: &mut Step<'_>,
        outcome: ReplayOutcome,
    ) -> Result<Self, Fault> {
        match self {
            Self::Replaying(phase) => phase.replayed(step, outcome),
            phase => Ok(phase),
        }
    }

    /// Asks again for the local work that this phase waits for.
    pub(crate) fn resume(
        &self,
        own: &SiloName,
        secrets: Option<&AttemptSecrets>,
        effects: &mut Vec<SiloEffect>,
    ) {
        match self {
            Self::Training(phase) => {
                effects.push(SiloEffect::Train(phase.exchange.plan.clone()));
            }
            Self::Masking(phase) => {
                let seeds = secrets.and_then(AttemptSecrets::seeds);
                if let Some((job, _)) = seeds.and_then(|seeds| phase.derive(own, seeds).ok()) {
                    effects.push(SiloEffect::Mask(job));
                }
            }
            Self::Tagging(phase) => effects.extend(phase.job().ok().map(SiloEffect::Tag)),
            Self::Replaying(phase) => {
                effects.extend(phase.job(own).ok().map(SiloEffect::Replay));
            }
            Self::Idle
            | Self::Advertised(_)
            | Self::Dealt(_)
            | Self::Ready(_)
            | Self::Uploaded(_)
            | Self::Voted(_)
            | Self::Revealed(_)
            | Self::Committed(_)
            | Self::Tagged(_)
            | Self::Replayed(_) => {}
        }
    }

    /// Whether the phase still needs the attempt's secrets.
    pub(crate) fn needs_secrets(&self) -> bool {
        match self {
            Self::Idle | Self::Tagged(_) | Self::Replaying(_) | Self::Replayed(_) => false,
            Self::Advertised(_)
            | Self::Dealt(_)
            | Self::Training(_)
            | Self::Ready(_)
            | Self::Masking(_)
            | Self::Uploaded(_)
            | Self::Voted(_)
            | Self::Revealed(_)
            | Self::Committed(_)
            | Self::Tagging(_) => true,
        }
    }

    /// Whether a release is the one that this phase leads to.
    pub(crate) fn agrees(&self, release: &Trail) -> Result<(), Fault> {
        let (cohort, survivors) = match self {
            Self::Masking(phase) => (Some(phase.cohort.digest), None),
            Self::Uploaded(phase) => (Some(phase.cohort.digest), None),
            Self::Voted(phase) => (Some(phase.cohort.digest), Some(phase.survivors.digest)),
            Self::Revealed(_)
            | Self::Committed(_)
            | Self::Tagging(_)
            | Self::Tagged(_)
            | Self::Replaying(_)
            | Self::Replayed(_) => {
                let certified = self.certified();
                (
                    certified.map(|certified| certified.cohort.digest),
                    certified.map(|certified| certified.survivors.digest),
                )
            }
            Self::Idle
            | Self::Advertised(_)
            | Self::Dealt(_)
            | Self::Training(_)
            | Self::Ready(_) => (None, None),
        };
        if cohort.is_some_and(|cohort| cohort != release.cohort.digest) {
            return Err(Fault::Equivocation {
                message: "CohortFreeze",
            });
        }
        if survivors.is_some_and(|survivors| survivors != release.survivors.digest) {
            return Err(Fault::OtherCertificate);
        }
        match self.committed_sum() {
            Some(sum) if sum != release.sum => Err(Fault::OtherSum),
            Some(_) | None => Ok(()),
        }
    }
}
