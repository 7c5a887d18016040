// SPDX-License-Identifier: Apache-2.0
//! Who can fail and where, and how a driver can be wrong on purpose.

use std::fmt;
use std::str::FromStr;

/// A process of the federation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The coordinator.
    Coordinator,
    /// A silo, by its place in the alphabet.
    Silo(usize),
}

/// Where in a step a process dies: before, within and after what it makes durable, and between what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashPlace {
    /// The machine has moved on and nothing is durable.
    BeforePersist,
    /// The disk refuses the write, and the process ends for it.
    WriteFails,
    /// The secrets file is half written. A coordinator has none: as [`Self::WriteFails`].
    TornSecrets,
    /// The secrets are durable and the journal is not. A coordinator has none: as [`Self::WriteFails`].
    SecretsOnly,
    /// The journal's or store's new state is half written; the earlier one is still there.
    TornJournal,
    /// The journal is durable, how far it has gone is not noted yet. A coordinator has none: as [`Self::Persisted`].
    JournalOnly,
    /// That is noted, earlier secrets are not erased yet. A coordinator has none: as [`Self::Persisted`].
    ReachedOnly,
    /// What a coordinator's machine asks to keep is half written. A silo has none: as [`Self::WriteFails`].
    TornKept,
    /// What a coordinator's machine asks to keep is durable, and nothing else. A silo has none: as [`Self::WriteFails`].
    KeptOnly,
    /// Everything is durable, nothing is logged or sent.
    Persisted,
    /// The coordinator's records are logged, nothing is sent. A silo has none: as [`Self::Persisted`].
    Recorded,
    /// After that many messages of the step are sent.
    Sent(u8),
}

/// Every message of a round, by name; the coordinator's own work with the sum; and what a silo says of a verified sum.
///
/// A silo dies in the step that sends it. So does a coordinator with its own; with a silo's, in the step that takes it in.
pub const MESSAGES: [&str; 25] = [
    "Open",
    "AdvertiseKeys",
    "KeyBook",
    "ShareKeys",
    "DealBook",
    "DealReceipt",
    "Ready",
    "CohortFreeze",
    "MaskedInput",
    "SurvivorProposal",
    "Vote",
    "Certificate",
    "Reveal",
    "SumCommitment",
    "Nonce",
    "Challenge",
    "Tag",
    "Replay",
    "Replayed",
    "Release",
    "Abandon",
    "Unmask",
    "CommitSum",
    "CheckSum",
    "Accepted",
];

/// A way in which a driver breaks its contract, to show that the simulation notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutation {
    /// The drivers are right.
    #[default]
    None,
    /// A silo sends before it persists.
    SendBeforePersist,
    /// The coordinator sends before it writes to the log.
    SendBeforeRecord,
    /// The step that burns the masks is not journalled, and the vector is noised again when it is masked.
    ForgetBurn,
    /// Backups hold the folder of running attempts: secrets, and how far the journal had gone.
    BackUpSecrets,
    /// A restarted silo does not look how far its journal had gone.
    TrustRestoredJournal,
    /// A silo notes how far its journal has gone before the journal has.
    ReachedFirst,
    /// A silo notes how far its journal has gone after it has told others.
    ReachedLate,
    /// Secrets stay on the disk when the machine has erased them.
    KeepSecrets,
    /// The coordinator adds one to one word of the sum that it commits to.
    OneUnitMore,
    /// A silo masks and tags another vector than the one that its journal names.
    MaskAnother,
    /// The coordinator keeps giving a silo the proof of its first start.
    StaleStartProof,
    /// The coordinator keeps sealed deals after the snapshot that counts them, and not before it.
    KeepDealsLate,
    /// The coordinator keeps what silos reveal after the snapshot that counts it, and not before it.
    KeepRevealsLate,
    /// The coordinator opens a round although too few silos have verified the last sum.
    OpenUnaccepted,
    /// A silo says that it verified a sum before its journal holds that.
    AcceptEarly,
    /// The coordinator tells a release again to those who have not verified it, and not to those whose word was lost.
    TellVerified,
    /// The drivers of all expect thresholds that two silos satisfy.
    WeakerPlan,
    /// The coordinator names two of the silos whose vectors a sum holds.
    NameFewer,
    /// The coordinator forgets that it released and asks again, and silos come to another vector the second time.
    AskAgain,
    /// A silo sends the vector of its last attempt again.
    SendAgain,
    /// The coordinator logs another sum than the one that it commits to.
    LogAnother,
    /// A silo that accuses somebody keeps the evidence to itself.
    DropEvidence,
    /// The coordinator counts every abandoned attempt as uncharged.
    Uncharged,
    /// What counts as torn is there to its last byte.
    TearLate,
    /// A silo computes the next model from something else than the coordinator does.
    OtherModel,
    /// A silo that says that it sits an attempt out begins it anew.
    AnswerSatOut,
}

impl fmt::Display for Party {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => write!(formatter, "coordinator"),
            Self::Silo(silo) => write!(formatter, "silo-{silo}"),
        }
    }
}

impl FromStr for Party {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        if word == "coordinator" {
            return Ok(Self::Coordinator);
        }
        let silo = word.strip_prefix("silo-").ok_or(())?;
        silo.parse().map(Self::Silo).map_err(|_| ())
    }
}

impl fmt::Display for CrashPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforePersist => write!(formatter, "before-persist"),
            Self::WriteFails => write!(formatter, "write-fails"),
            Self::TornSecrets => write!(formatter, "torn-secrets"),
            Self::SecretsOnly => write!(formatter, "secrets-only"),
            Self::TornJournal => write!(formatter, "torn-journal"),
            Self::JournalOnly => write!(formatter, "journal-only"),
            Self::ReachedOnly => write!(formatter, "reached-only"),
            Self::TornKept => write!(formatter, "torn-kept"),
            Self::KeptOnly => write!(formatter, "kept-only"),
            Self::Persisted => write!(formatter, "persisted"),
            Self::Recorded => write!(formatter, "recorded"),
            Self::Sent(count) => write!(formatter, "sent-{count}"),
        }
    }
}

impl FromStr for CrashPlace {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "before-persist" => Self::BeforePersist,
            "write-fails" => Self::WriteFails,
            "torn-secrets" => Self::TornSecrets,
            "secrets-only" => Self::SecretsOnly,
            "torn-journal" => Self::TornJournal,
            "journal-only" => Self::JournalOnly,
            "reached-only" => Self::ReachedOnly,
            "torn-kept" => Self::TornKept,
            "kept-only" => Self::KeptOnly,
            "persisted" => Self::Persisted,
            "recorded" => Self::Recorded,
            sent => {
                let count = sent.strip_prefix("sent-").ok_or(())?;
                Self::Sent(count.parse().map_err(|_| ())?)
            }
        })
    }
}
