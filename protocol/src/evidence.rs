// SPDX-License-Identifier: Apache-2.0
//! What proves an accusation, and how far: judged by anybody who has the roster and nothing else.
//!
//! An accusation holds the signed words of the accused. Where they contradict each other, or what everybody else signed in
//! the same attempt, they prove it, whoever kept them. Where they only contradict what the accuser says it had sent or
//! received, the accuser may as well have lied, and the verdict says so.

mod judging;
mod releases;
mod trail;
mod within;

use crate::envelope::{Envelope, Sender};
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::message::RevealedShare;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

/// An accusation with everything that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who is accused.
    pub accused: Sender,
    /// Of what, and its own words.
    pub charge: Charge,
    /// What the coordinator had signed in this attempt, with the lists of what all silos signed; empty where the charge
    /// does not take it.
    pub trail: Vec<Envelope>,
}

/// Of what somebody is accused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// Two different answers to one question.
    SecondAnswer {
        /// What it said.
        first: Envelope,
        /// What it said then.
        second: Envelope,
    },
    /// A key of low order, or one that another silo has.
    WeakKey {
        /// The advertisement.
        advertisement: Envelope,
        /// That of a silo with an equal key, if it is that.
        equal: Option<Envelope>,
    },
    /// A share outside its dealer's root, or of the wrong kind.
    BadReveal {
        /// The reveal.
        reveal: Envelope,
    },
    /// Shares under the signed root that give another secret than the one committed to.
    BadDeal {
        /// As many as combine, each with the silo that it was dealt to.
        shares: Vec<(SiloName, RevealedShare)>,
    },
    /// An upload of another length than the plan's.
    BadLength {
        /// The message that signs root and length.
        signed: Envelope,
    },
    /// A chunk of the signed upload in which a bit is set where no word is.
    NotPacked {
        /// The message that signs the root.
        signed: Envelope,
        /// The digests under the root.
        digests: Vec<Digest>,
        /// Which chunk.
        index: u64,
        /// The chunk.
        #[serde(with = "crate::byte_string")]
        chunk: Vec<u8>,
    },
    /// What came for an upload is not what was signed.
    OtherUpload {
        /// The message that signs the root.
        signed: Envelope,
    },
    /// A vote for another set of survivors than the proposed one.
    OtherVote {
        /// The vote.
        vote: Envelope,
    },
    /// A nonce that the vote did not commit to, or one opened for another sum than the logged one.
    WrongNonce {
        /// The nonce.
        nonce: Envelope,
    },
    /// A tag that is no residue, for another sum, or for another challenge.
    WrongTag {
        /// The tag.
        tag: Envelope,
    },
    /// Something else that a silo holds against the coordinator: proven of a Release that refutes itself or the freeze
    /// beside it.
    Messages {
        /// Of the coordinator, or of silos in lists that it sent.
        messages: Vec<Envelope>,
    },
}

/// What a judge finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// In which attempt.
    pub id: AttemptId,
    /// How far it is shown.
    pub standing: Standing,
}

/// How far an accusation is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// By signatures of the accused, and of no more colluders than the roster assumes.
    Proven,
    /// By the accuser's word: why signatures cannot show it.
    Alleged(&'static str),
}

/// Why evidence shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceFault {
    /// A message or list in it does not hold.
    #[error("a message in it does not hold")]
    Fault(#[from] Fault),
    /// Something is missing.
    #[error("it lacks the {0}")]
    Lacks(&'static str),
    /// The words of somebody else.
    #[error("it holds a message of somebody else than the accused")]
    OtherSender,
    /// All messages hold and contradict nothing.
    #[error("its messages do not show what it says")]
    NotShown,
}

impl Evidence {
    /// Words of the accused.
    #[must_use]
    pub fn new(accused: Sender, charge: Charge) -> Self {
        Self {
            accused,
            charge,
            trail: Vec::new(),
        }
    }

    /// The same with what the coordinator had signed, if the charge takes it.
    #[must_use]
    pub fn within(mut self, trail: impl IntoIterator<Item = Envelope>) -> Self {
        if self.charge.takes_the_trail() {
            self.trail = trail.into_iter().filter(trail::belongs).collect();
        }
        self
    }
}

impl Judgement {
    fn proven(id: AttemptId) -> Self {
        let standing = Standing::Proven;
        Self { id, standing }
    }

    fn alleged(id: AttemptId, why: &'static str) -> Self {
        let standing = Standing::Alleged(why);
        Self { id, standing }
    }
}

impl Charge {
    /// The charge in a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SecondAnswer { .. } => "a second answer",
            Self::WeakKey { .. } => "a weak or copied key",
            Self::BadReveal { .. } => "a share that was not dealt",
            Self::BadDeal { .. } => "shares of another secret",
            Self::BadLength { .. } => "an upload of another length",
            Self::NotPacked { .. } => "an upload that is no vector",
            Self::OtherUpload { .. } => "an upload other than signed",
            Self::OtherVote { .. } => "a vote for another set",
            Self::WrongNonce { .. } => "a nonce other than committed",
            Self::WrongTag { .. } => "a tag of another challenge",
            Self::Messages { .. } => "messages that a silo refused",
        }
    }

    fn takes_the_trail(&self) -> bool {
        match self {
            Self::BadReveal { .. }
            | Self::BadDeal { .. }
            | Self::BadLength { .. }
            | Self::NotPacked { .. }
            | Self::OtherVote { .. }
            | Self::WrongNonce { .. } => true,
            Self::SecondAnswer { .. }
            | Self::WeakKey { .. }
            | Self::OtherUpload { .. }
            | Self::WrongTag { .. }
            | Self::Messages { .. } => false,
        }
    }
}
