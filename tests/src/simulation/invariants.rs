// SPDX-License-Identifier: Apache-2.0
//! What must hold after every step, each with its name, and all that is remembered to see it.
//!
//! The watch sees everything: what every silo ever sent (arrived or not, from whichever process or restored journal), every
//! vector and its masked form, every release and every entry of the log.

mod answers;
mod releases;
mod secrets;

use super::faults::Mutation;
use super::operation::Noise;
use super::shared_log::SharedLog;
use super::silo::Silo;
use super::study::Study;
use answers::Answers;
use consilium_crypto::digest::Digest;
use consilium_protocol::{AttemptId, Delivery, Envelope, Fault, RoundPlan, SiloName, VerifiedSum};
use releases::Releases;
use secrets::Secrets;
use std::fmt;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// No peer ever has threshold shares of both kinds revealed, colluders' shares counted.
    OneKindOfShare,
    /// No silo reveals before a quorum has signed equal votes.
    QuorumBeforeReveal,
    /// Nothing is released with fewer than quorum - n_c honest inputs.
    EnoughHonestInputs,
    /// No silo gives two different answers to one question, across restarts and restored backups.
    OneAnswer,
    /// A silo that sat an attempt out answers nothing of it that it had not answered before.
    SatOutIsSilent,
    /// The released sum is the sum of the survivors' inputs, bit for bit, for everybody.
    TrueSum,
    /// Without noise, one (model, task) never has two sums with different survivors.
    OneSumWithoutNoise,
    /// With noise, no vector leaves twice.
    FreshNoise,
    /// Masks never cover two different vectors.
    OneVectorPerMask,
    /// After its reveal a silo's disk holds nothing that opens a mask, after its tag or replay no secrets at all.
    SecretsErased,
    /// No silo opens its nonce before the sum is committed and logged.
    CommittedBeforeChallenged,
    /// An abort that accuses somebody names signed evidence.
    EvidenceNamed,
    /// Where nobody lies, nobody is accused.
    NobodyAccused,
    /// What the log must hold stands there before the message is sent.
    RecordedBeforeSent,
    /// An attempt that counts as uncharged has had no upload.
    UploadsCharged,
    /// Half-written states are never taken for whole ones.
    TornStateRefused,
    /// A round is opened when a threshold of silos has verified the last sum and the log says so.
    AcceptedBeforeNext,
    /// A silo says that it verified a sum when its journal holds that.
    AcceptedIsDurable,
    /// All silos and the coordinator compute the same models.
    OneModel,
    /// Whatever the coordinator's stored state sends is on its disk.
    NothingMissing,
    /// Attempts end; and once the faults have ended, the next one releases.
    Liveness,
    /// The simulator itself did not work.
    Simulator,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {detail}")]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
}

/// Whether the coordinator or the network of a world may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Honesty {
    /// Everybody keeps the protocol; only the world is faulty.
    Everybody,
    /// Deliveries are tampered with.
    Tampered,
}

/// Everything that was ever seen.
#[derive(Debug)]
pub(crate) struct Watch {
    honesty: Honesty,
    answers: Answers,
    secrets: Secrets,
    releases: Releases,
}

impl Violation {
    pub(crate) fn new(invariant: Invariant, detail: impl Into<String>) -> Self {
        Self {
            invariant,
            detail: detail.into(),
        }
    }
}

impl Watch {
    pub(crate) fn new(honesty: Honesty) -> Self {
        Self {
            honesty,
            answers: Answers::default(),
            secrets: Secrets::default(),
            releases: Releases::default(),
        }
    }

    /// A silo sends a message.
    pub(crate) fn silo_sends(
        &mut self,
        study: &Study,
        log: &SharedLog,
        silo: &Silo,
        delivery: &Delivery,
    ) -> Result<(), Violation> {
        let (name, disk) = (&silo.name, &silo.disk);
        self.answers.sent(name, delivery)?;
        self.secrets.sent(study, name, log, disk, delivery)
    }

    /// A silo's masked vector leaves.
    pub(crate) fn silo_uploads(
        &mut self,
        study: &Study,
        silo: &SiloName,
        id: AttemptId,
        input: &[i64],
        chunks: &[Vec<u8>],
    ) -> Result<(), Violation> {
        self.secrets.uploaded(study, silo, input, chunks)?;
        let fresh = self.releases.uploaded(silo, id, input);
        if study.noise == Noise::Present && !fresh {
            let detail = format!("{silo} sends a vector of an earlier attempt again in {id}");
            return Err(Violation::new(Invariant::FreshNoise, detail));
        }
        Ok(())
    }

    pub(crate) fn sat_out(&mut self, silo: &SiloName, id: AttemptId) {
        self.answers.sat_out(silo, id);
    }

    pub(crate) fn silo_aborts(
        &self,
        study: &Study,
        silo: &SiloName,
        fault: &Fault,
        evidence: &[Envelope],
    ) -> Result<(), Violation> {
        if !answers::accuses(fault) {
            return Ok(());
        }
        answers::evidence_holds(study, silo, fault, evidence)?;
        self.nobody_lies(&format!("{silo} aborts: {fault}"))
    }

    /// The coordinator records that silos misbehaved.
    pub(crate) fn coordinator_accuses(&self, silos: &[SiloName]) -> Result<(), Violation> {
        self.nobody_lies(&format!("the coordinator accuses {silos:?}"))
    }

    fn nobody_lies(&self, detail: &str) -> Result<(), Violation> {
        match self.honesty {
            Honesty::Everybody => Err(Violation::new(Invariant::NobodyAccused, detail)),
            Honesty::Tampered => Ok(()),
        }
    }

    /// The coordinator sends a message when the log had `logged` entries.
    pub(crate) fn coordinator_sends(
        &self,
        log: &SharedLog,
        logged: usize,
        to: &SiloName,
        delivery: &Delivery,
    ) -> Result<(), Violation> {
        answers::recorded(log, logged, to, delivery)
    }

    pub(crate) fn coordinator_releases(
        &mut self,
        study: &Study,
        plan: &RoundPlan,
        survivors: &[SiloName],
        sum: &[u64],
    ) -> Result<(), Violation> {
        self.releases.ended(plan.id, None);
        self.releases.released(study, plan, survivors, sum)
    }

    /// The coordinator opens an attempt.
    pub(crate) fn coordinator_opens(
        &self,
        study: &Study,
        log: &SharedLog,
        id: AttemptId,
    ) -> Result<(), Violation> {
        self.releases.opened(study, log, id)
    }

    /// A silo says that it verified a sum.
    pub(crate) fn silo_accepts(
        &self,
        silo: &Silo,
        id: AttemptId,
        sum: Digest,
    ) -> Result<(), Violation> {
        let newest = silo.disk.journal.progress.newest;
        let holds = newest.is_some_and(|(newest, digest)| {
            newest.order() > id.order() || (newest, digest) == (id, sum)
        });
        if holds {
            return Ok(());
        }
        let detail = format!(
            "{} accepts {id}, which its journal does not hold",
            silo.name
        );
        Err(Violation::new(Invariant::AcceptedIsDurable, detail))
    }

    pub(crate) fn coordinator_abandons(
        &self,
        id: AttemptId,
        charged: bool,
    ) -> Result<(), Violation> {
        self.releases.abandoned(id, charged)
    }

    pub(crate) fn silo_verifies(
        &mut self,
        study: &Study,
        silo: &SiloName,
        sum: &VerifiedSum,
    ) -> Result<(), Violation> {
        let words = sum.words().unwrap_or_default();
        self.releases.ended(sum.plan.id, Some(silo));
        self.releases
            .released(study, &sum.plan, &sum.survivors, &words)
            .map_err(|violation| Violation {
                detail: format!("{silo}: {}", violation.detail),
                ..violation
            })
    }

    /// Somebody has come to a model after a round.
    pub(crate) fn computes(&mut self, round: u64, model: Digest) -> Result<(), Violation> {
        self.releases.computed(round, model)
    }
}

impl Invariant {
    /// Every one that speaks of a federation.
    pub const ALL: [Self; 21] = [
        Self::OneKindOfShare,
        Self::QuorumBeforeReveal,
        Self::EnoughHonestInputs,
        Self::OneAnswer,
        Self::SatOutIsSilent,
        Self::TrueSum,
        Self::OneSumWithoutNoise,
        Self::FreshNoise,
        Self::OneVectorPerMask,
        Self::SecretsErased,
        Self::CommittedBeforeChallenged,
        Self::EvidenceNamed,
        Self::NobodyAccused,
        Self::RecordedBeforeSent,
        Self::UploadsCharged,
        Self::TornStateRefused,
        Self::AcceptedBeforeNext,
        Self::AcceptedIsDurable,
        Self::OneModel,
        Self::NothingMissing,
        Self::Liveness,
    ];

    /// The invariant that a driver's error breaks; several errors show in more than one way.
    #[must_use]
    pub fn broken_by(mutation: Mutation) -> &'static [Self] {
        match mutation {
            Mutation::None => &[],
            Mutation::SendBeforePersist => {
                &[Self::OneAnswer, Self::NobodyAccused, Self::SecretsErased]
            }
            Mutation::SendBeforeRecord => &[Self::RecordedBeforeSent],
            Mutation::ForgetBurn => &[Self::OneAnswer, Self::OneVectorPerMask],
            Mutation::BackUpSecrets | Mutation::TrustRestoredJournal | Mutation::ReachedLate => {
                &[Self::OneAnswer, Self::NobodyAccused, Self::SatOutIsSilent]
            }
            Mutation::KeepSecrets => &[Self::SecretsErased],
            // The silos notice it themselves, and say so.
            Mutation::OneUnitMore => &[Self::NobodyAccused],
            Mutation::MaskAnother => &[Self::TrueSum],
            Mutation::StaleStartProof | Mutation::ReachedFirst | Mutation::TellVerified => {
                &[Self::Liveness]
            }
            Mutation::KeepDealsLate | Mutation::KeepRevealsLate => &[Self::NothingMissing],
            Mutation::OpenUnaccepted => &[Self::AcceptedBeforeNext],
            Mutation::AcceptEarly => &[Self::AcceptedIsDurable],
            Mutation::WeakerPlan => &[Self::QuorumBeforeReveal],
            Mutation::NameFewer => &[Self::EnoughHonestInputs],
            Mutation::AskAgain => &[Self::OneSumWithoutNoise],
            Mutation::SendAgain => &[Self::FreshNoise],
            Mutation::LogAnother => &[Self::CommittedBeforeChallenged],
            Mutation::DropEvidence => &[Self::EvidenceNamed],
            Mutation::Uncharged => &[Self::UploadsCharged],
            Mutation::TearLate => &[Self::TornStateRefused],
            Mutation::OtherModel => &[Self::OneModel],
            Mutation::AnswerSatOut => &[Self::SatOutIsSilent],
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OneKindOfShare => "one kind of share of each peer",
            Self::QuorumBeforeReveal => "a quorum before each reveal",
            Self::EnoughHonestInputs => "enough honest inputs in each sum",
            Self::OneAnswer => "one answer to one question",
            Self::SatOutIsSilent => "silence about what is sat out",
            Self::TrueSum => "true sums",
            Self::OneSumWithoutNoise => "one sum of one question without noise",
            Self::FreshNoise => "fresh noise for each upload",
            Self::OneVectorPerMask => "one vector under one mask",
            Self::SecretsErased => "no secrets after their use",
            Self::CommittedBeforeChallenged => "committed before challenged",
            Self::EvidenceNamed => "evidence with each accusation",
            Self::NobodyAccused => "no accusation where nobody lies",
            Self::RecordedBeforeSent => "recorded before sent",
            Self::UploadsCharged => "uploads stay charged",
            Self::TornStateRefused => "torn states are refused",
            Self::AcceptedBeforeNext => "the last sum accepted before the next round",
            Self::AcceptedIsDurable => "accepted after it is durable",
            Self::OneModel => "one model for all",
            Self::NothingMissing => "nothing missing behind a stored state",
            Self::Liveness => "liveness",
            Self::Simulator => "the simulator itself",
        })
    }
}
