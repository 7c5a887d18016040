// SPDX-License-Identifier: Apache-2.0
//! What can happen: one closed list for the federation's shared log and for each hospital's own.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The type of an event. The dotted name is what a log line carries under `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A silo, researcher or officer presented a valid invitation and its keys were taken down.
    #[serde(rename = "identity.joined")]
    IdentityJoined,
    /// A silo process started; `detail.nonce` is its start nonce.
    #[serde(rename = "identity.silo_started")]
    SiloStarted,
    /// The coordinator put a draft roster before the members.
    #[serde(rename = "roster.proposed")]
    RosterProposed,
    /// A member signed a roster.
    #[serde(rename = "roster.signed")]
    RosterSigned,
    /// A roster with all its signatures took effect; `refs.roster` is its root.
    #[serde(rename = "roster.published")]
    RosterPublished,
    /// A researcher submitted a study; `refs.study` is the digest of the study file.
    #[serde(rename = "study.submitted")]
    StudySubmitted,
    /// A silo agreed to take part; the actor is the silo.
    #[serde(rename = "study.consented")]
    StudyConsented,
    /// A silo refused; `detail` lists the conditions, never a count of patients.
    #[serde(rename = "study.refused")]
    StudyRefused,
    /// A silo cannot take part now; the one word `not_ready` is all that is told.
    #[serde(rename = "study.not_ready")]
    StudyNotReady,
    /// A silo waits for a person to approve the study.
    #[serde(rename = "study.approval_requested")]
    StudyApprovalRequested,
    /// A person at the silo approved the study.
    #[serde(rename = "study.approved")]
    StudyApproved,
    /// The researcher or an operator withdrew the study.
    #[serde(rename = "study.cancelled")]
    StudyCancelled,
    /// The study ended without a result.
    #[serde(rename = "study.failed")]
    StudyFailed,
    /// The study ended; `refs.result` is the digest of the result.
    #[serde(rename = "study.completed")]
    StudyCompleted,
    /// An attempt at a round was opened; `aggregation.invited` lists the silos.
    #[serde(rename = "round.opened")]
    RoundOpened,
    /// All advertised keys were sent out; `detail.digest` is K.
    #[serde(rename = "round.key_book")]
    RoundKeyBook,
    /// All deal commitments were sent out; `detail.digest` is D.
    #[serde(rename = "round.deal_book")]
    RoundDealBook,
    /// A silo declared itself ready.
    #[serde(rename = "round.ready")]
    RoundReady,
    /// The cohort was fixed; `detail.digest` is X.
    #[serde(rename = "round.frozen")]
    RoundFrozen,
    /// A silo burned its masks on one upload; `detail.digest` is the upload's root.
    #[serde(rename = "round.burned")]
    RoundBurned,
    /// The survivors were proposed.
    #[serde(rename = "round.proposed")]
    RoundProposed,
    /// A silo voted for a survivor set.
    #[serde(rename = "round.voted")]
    RoundVoted,
    /// A quorum of votes certified the survivors.
    #[serde(rename = "round.certified")]
    RoundCertified,
    /// A silo revealed its shares.
    #[serde(rename = "round.revealed")]
    RoundRevealed,
    /// The coordinator committed to the sum; `detail.sum` is H(S).
    #[serde(rename = "round.sum_committed")]
    RoundSumCommitted,
    /// Tags were missing or did not add up: survivors were asked to compute the sum again; `detail.sum` is H(S).
    #[serde(rename = "round.replayed")]
    RoundReplayed,
    /// The sum was released to the silos; `detail.sum` is H(S) again. `detail.computed_again_by` names who computed it again.
    #[serde(rename = "round.released")]
    RoundReleased,
    /// Silos signed that they verified the released sum; `refs.acceptances` is the digest of their signatures.
    #[serde(rename = "round.accepted")]
    RoundAccepted,
    /// The attempt ended without a release; `detail.reason` says why.
    #[serde(rename = "round.abandoned")]
    RoundAbandoned,
    /// Somebody broke the protocol; `refs.evidence` is the digest of the signed messages that show it.
    #[serde(rename = "round.misbehaviour")]
    RoundMisbehaviour,
    /// A data set was registered at a hospital.
    #[serde(rename = "data_set.registered")]
    DataSetRegistered,
    /// A data set was read and something about it deserves a look. Hospital's own log only.
    #[serde(rename = "data_set.warned")]
    DataSetWarned,
    /// Privacy budget was set aside for a study.
    #[serde(rename = "privacy.reserved")]
    PrivacyReserved,
    /// Reserved privacy budget was spent.
    #[serde(rename = "privacy.committed")]
    PrivacyCommitted,
    /// Reserved privacy budget that was not spent was given back.
    #[serde(rename = "privacy.released")]
    PrivacyReleased,
    /// Two officers raised the privacy budget of a data set. Hospital's own log only.
    #[serde(rename = "privacy.topped_up")]
    PrivacyToppedUp,
    /// A policy took effect; `policy` names version and digest.
    #[serde(rename = "policy.changed")]
    PolicyChanged,
    /// The trainer's sandbox was entered; `detail.isolation` is the level reached.
    #[serde(rename = "sandbox.entered")]
    SandboxEntered,
    /// A service started.
    #[serde(rename = "system.started")]
    SystemStarted,
    /// A service stopped in good order.
    #[serde(rename = "system.stopped")]
    SystemStopped,
    /// A service found unfinished work after a crash and dealt with it.
    #[serde(rename = "system.recovered")]
    SystemRecovered,
    /// A witness cosigned the other log's checkpoint: `detail.size` and `detail.root`.
    #[serde(rename = "audit.cosigned")]
    AuditCosigned,
    /// A witness refused to cosign a checkpoint; `detail.reason` says why.
    #[serde(rename = "audit.cosignature_refused")]
    AuditCosignatureRefused,
}

impl EventKind {
    /// Every kind, in the order of the families.
    pub const ALL: [Self; 43] = [
        Self::IdentityJoined,
        Self::SiloStarted,
        Self::RosterProposed,
        Self::RosterSigned,
        Self::RosterPublished,
        Self::StudySubmitted,
        Self::StudyConsented,
        Self::StudyRefused,
        Self::StudyNotReady,
        Self::StudyApprovalRequested,
        Self::StudyApproved,
        Self::StudyCancelled,
        Self::StudyFailed,
        Self::StudyCompleted,
        Self::RoundOpened,
        Self::RoundKeyBook,
        Self::RoundDealBook,
        Self::RoundReady,
        Self::RoundFrozen,
        Self::RoundBurned,
        Self::RoundProposed,
        Self::RoundVoted,
        Self::RoundCertified,
        Self::RoundRevealed,
        Self::RoundSumCommitted,
        Self::RoundReplayed,
        Self::RoundReleased,
        Self::RoundAccepted,
        Self::RoundAbandoned,
        Self::RoundMisbehaviour,
        Self::DataSetRegistered,
        Self::DataSetWarned,
        Self::PrivacyReserved,
        Self::PrivacyCommitted,
        Self::PrivacyReleased,
        Self::PrivacyToppedUp,
        Self::PolicyChanged,
        Self::SandboxEntered,
        Self::SystemStarted,
        Self::SystemStopped,
        Self::SystemRecovered,
        Self::AuditCosigned,
        Self::AuditCosignatureRefused,
    ];

    /// The dotted name, as it stands in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdentityJoined => "identity.joined",
            Self::SiloStarted => "identity.silo_started",
            Self::RosterProposed => "roster.proposed",
            Self::RosterSigned => "roster.signed",
            Self::RosterPublished => "roster.published",
            Self::StudySubmitted => "study.submitted",
            Self::StudyConsented => "study.consented",
            Self::StudyRefused => "study.refused",
            Self::StudyNotReady => "study.not_ready",
            Self::StudyApprovalRequested => "study.approval_requested",
            Self::StudyApproved => "study.approved",
            Self::StudyCancelled => "study.cancelled",
            Self::StudyFailed => "study.failed",
            Self::StudyCompleted => "study.completed",
            Self::RoundOpened => "round.opened",
            Self::RoundKeyBook => "round.key_book",
            Self::RoundDealBook => "round.deal_book",
            Self::RoundReady => "round.ready",
            Self::RoundFrozen => "round.frozen",
            Self::RoundBurned => "round.burned",
            Self::RoundProposed => "round.proposed",
            Self::RoundVoted => "round.voted",
            Self::RoundCertified => "round.certified",
            Self::RoundRevealed => "round.revealed",
            Self::RoundSumCommitted => "round.sum_committed",
            Self::RoundReplayed => "round.replayed",
            Self::RoundReleased => "round.released",
            Self::RoundAccepted => "round.accepted",
            Self::RoundAbandoned => "round.abandoned",
            Self::RoundMisbehaviour => "round.misbehaviour",
            Self::DataSetRegistered => "data_set.registered",
            Self::DataSetWarned => "data_set.warned",
            Self::PrivacyReserved => "privacy.reserved",
            Self::PrivacyCommitted => "privacy.committed",
            Self::PrivacyReleased => "privacy.released",
            Self::PrivacyToppedUp => "privacy.topped_up",
            Self::PolicyChanged => "policy.changed",
            Self::SandboxEntered => "sandbox.entered",
            Self::SystemStarted => "system.started",
            Self::SystemStopped => "system.stopped",
            Self::SystemRecovered => "system.recovered",
            Self::AuditCosigned => "audit.cosigned",
            Self::AuditCosignatureRefused => "audit.cosignature_refused",
        }
    }

    /// The part of the name before the dot.
    pub fn family(self) -> &'static str {
        let name = self.as_str();
        name.split_once('.').map_or(name, |(family, _)| family)
    }

    /// Whether an event of this kind belongs to one attempt at one round and must name it.
    pub fn belongs_to_an_attempt(self) -> bool {
        self.family() == "round"
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = UnknownEventKind;

    fn from_str(text: &str) -> Result<Self, UnknownEventKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownEventKind(text.to_owned()))
    }
}

/// A name that is not in the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown event type `{0}`")]
pub struct UnknownEventKind(pub String);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_the_log_is_the_name_in_the_code() {
        for kind in EventKind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
            assert_eq!(kind.as_str().parse::<EventKind>().unwrap(), kind);
        }
    }
}
