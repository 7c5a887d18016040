// SPDX-License-Identifier: Apache-2.0
//! The record of a study: what was asked, how far it is, how it ended.

use consilium_crypto::digest::Digest;
use consilium_protocol::{AttemptId, SiloName};
use consilium_wire::v1;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A submitted study and everything that has become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Hexadecimal, of the file and its signature.
    pub id: String,
    /// The name inside the file.
    pub name: String,
    /// The exact bytes that the researcher signed.
    #[serde(with = "text")]
    pub bytes: Vec<u8>,
    /// Who signed.
    pub researcher: String,
    /// The researcher's signature, hexadecimal.
    pub signature: String,
    /// Unix milliseconds.
    pub submitted_milliseconds: u64,
    /// When its silos were asked, in unix milliseconds; the deadline counts from here. Zero before.
    #[serde(default)]
    pub offered_milliseconds: u64,
    /// The roster under which its silos were asked.
    #[serde(default)]
    pub roster_root: Option<Digest>,
    /// Where it stands.
    pub state: StudyState,
    /// How it ends without a result, from the moment at which that is decided. Logged and told afterwards.
    #[serde(default)]
    pub ending: Option<Ending>,
    /// Unix milliseconds; zero before the end.
    pub ended_milliseconds: u64,
    /// Why it was refused, failed or was cancelled.
    pub reason: String,
    /// The silos it invites, sorted; empty until it is offered.
    pub invited: Vec<SiloName>,
    /// What each silo said.
    pub answers: BTreeMap<SiloName, Answer>,
    /// Every refusal with its conditions.
    pub refusals: Vec<Refusal>,
    /// Releases so far.
    pub rounds_done: u32,
    /// Attempts whose inputs were masked, so that they stay charged.
    pub attempts_charged: u32,
    /// Those of them that were at the evaluation.
    #[serde(default)]
    pub evaluations_charged: u32,
    /// The federation's round in progress or last in progress; zero before the first.
    pub round: u64,
    /// The attempt at that round, from 1.
    pub attempt: u32,
    /// Attempts at this round that were abandoned before any input was masked.
    pub uncharged_failures: u32,
    /// The attempts that gave a release, oldest first: the rounds of the study.
    pub released: Vec<AttemptId>,
    /// The silos that the last release does not hold.
    pub absent: Vec<SiloName>,
    /// The model after the last release, as the learning crate writes it; empty before the first.
    #[serde(with = "text")]
    pub model: Vec<u8>,
    /// Where the log holds the last release of this study.
    pub last_release: Option<u64>,
    /// The last of these that a threshold of silos is logged to have verified.
    pub accepted_release: Option<u64>,
    /// Who went missing, and when.
    pub dropouts: Vec<Dropout>,
    /// Silos that verified nothing more of this study and take no further part.
    pub declined: BTreeMap<SiloName, String>,
    /// Bytes of masked vectors received.
    pub bytes_received: u64,
    /// What came out, once nobody can take it back.
    pub result: Option<StoredResult>,
    /// What came out, before the log says so.
    pub outcome: Option<StoredOutcome>,
    /// What came out of the training, from which its model is tried.
    #[serde(default)]
    pub trained: Option<StoredOutcome>,
}

/// How a study ends without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The state it ends in.
    pub state: StudyState,
    /// Why, in words.
    pub reason: String,
    /// The silo that ended it, if one did.
    pub silo: Option<SiloName>,
    /// When, in unix milliseconds: the log's entry has this time, however often it is written.
    pub milliseconds: u64,
}

/// Where a study stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StudyState {
    /// Waits for the studies before it.
    Queued,
    /// The invited silos decide.
    Consenting,
    /// Rounds run.
    Running,
    /// The result is there.
    Completed,
    /// A silo refused.
    Refused,
    /// It could not be carried through.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

impl StudyState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Consenting => "consenting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Consenting | Self::Running => false,
            Self::Completed | Self::Refused | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl From<StudyState> for v1::StudyState {
    fn from(state: StudyState) -> Self {
        match state {
            StudyState::Queued => Self::Queued,
            StudyState::Consenting => Self::Consenting,
            StudyState::Running => Self::Running,
            StudyState::Completed => Self::Completed,
            StudyState::Refused => Self::Refused,
            StudyState::Failed => Self::Failed,
            StudyState::Cancelled => Self::Cancelled,
        }
    }
}

/// What a silo answered to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A person at the hospital must approve.
    Pending,
    /// It takes part.
    Granted,
    /// Its policy forbids it.
    Refused,
    /// Its data set cannot be used.
    NotReady,
}

impl From<Answer> for v1::SiloAnswer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Pending => Self::Pending,
            Answer::Granted => Self::Granted,
            Answer::Refused => Self::Refused,
            Answer::NotReady => Self::NotReady,
        }
    }
}

/// One silo's refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which silo.
    pub silo: SiloName,
    /// Every failed condition: rule and words.
    pub conditions: Vec<(String, String)>,
    /// The version of the policy that decided.
    pub policy_version: String,
    /// The digest of the policy that decided.
    #[serde(default)]
    pub policy_digest: Option<Digest>,
}

/// A silo that went missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropout {
    /// Which silo.
    pub silo: SiloName,
    /// The round within the study, from 1.
    pub round: u32,
    /// The phase.
    pub phase: String,
}

/// What a study gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredResult {
    /// The JSON among the blobs.
    pub json: Digest,
    /// The parameters among the blobs, when there are any.
    pub safetensors: Option<Digest>,
    /// Where the log says that the study is complete.
    pub log_index: u64,
}

/// What the last sum led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredOutcome {
    /// The JSON among the blobs.
    pub json: Digest,
    /// The parameters among the blobs, when there are any.
    pub safetensors: Option<Digest>,
    /// When, in unix milliseconds: the log's entry has this time, however often it is written.
    pub milliseconds: u64,
}

/// The attempt in flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The study.
    pub study_id: String,
    /// Which attempt.
    pub id: AttemptId,
    /// The machine's snapshot.
    pub snapshot: Vec<u8>,
    /// What the snapshot asks for and what may not have been done before a restart.
    pub pending: Vec<u8>,
}

impl Study {
    /// A study as it was handed in; id, signature, time and silos follow.
    #[must_use]
    pub fn submitted(name: String, bytes: Vec<u8>, researcher: String) -> Self {
        Self {
            id: String::new(),
            name,
            bytes,
            researcher,
            signature: String::new(),
            submitted_milliseconds: 0,
            offered_milliseconds: 0,
            roster_root: None,
            state: StudyState::Queued,
            ending: None,
            ended_milliseconds: 0,
            reason: String::new(),
            invited: Vec::new(),
            answers: BTreeMap::new(),
            refusals: Vec::new(),
            rounds_done: 0,
            attempts_charged: 0,
            evaluations_charged: 0,
            round: 0,
            attempt: 0,
            uncharged_failures: 0,
            released: Vec::new(),
            absent: Vec::new(),
            model: Vec::new(),
            last_release: None,
            accepted_release: None,
            dropouts: Vec::new(),
            declined: BTreeMap::new(),
            bytes_received: 0,
            result: None,
            outcome: None,
            trained: None,
        }
    }

    /// Decides how the study ends. The first decision stands.
    pub fn end(
        &mut self,
        state: StudyState,
        reason: String,
        silo: Option<SiloName>,
        milliseconds: u64,
    ) {
        self.ending.get_or_insert(Ending {
            state,
            reason,
            silo,
            milliseconds,
        });
    }

    /// Whether a silo is invited.
    #[must_use]
    pub fn invites(&self, silo: &SiloName) -> bool {
        self.invited.binary_search(silo).is_ok()
    }

    /// The id's beginning that people see.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// The one line of `study list`.
    #[must_use]
    pub fn summary(&self) -> v1::StudySummary {
        v1::StudySummary {
            study_id: self.id.clone(),
            name: self.name.clone(),
            researcher: self.researcher.clone(),
            state: v1::StudyState::from(self.state).into(),
            submitted_milliseconds: self.submitted_milliseconds,
            ended_milliseconds: self.ended_milliseconds,
            reason: self.reason.clone(),
        }
    }
}

/// Bytes as base64 text inside JSON.
mod text {
    use data_encoding::BASE64;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}
