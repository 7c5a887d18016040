// SPDX-License-Identifier: Apache-2.0
//! What can be wrong with what somebody sent, sorted by blame.

use crate::id::{AttemptId, SiloName};
use crate::round_plan::PlanFault;

/// A fault of a peer. It ends an attempt or discards a message; it is never an `Err` to our own caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    // Malformed: the bytes themselves.
    /// Bytes that are no message.
    #[error("{0}")]
    Malformed(&'static str),
    /// A signature that does not hold.
    #[error("a signature of {sender} does not hold under the roster")]
    BadSignature {
        /// Who claims to have signed.
        sender: String,
    },
    /// A sender outside the roster or the round.
    #[error("`{silo}` has no part in this round")]
    UnknownSilo {
        /// The stranger.
        silo: SiloName,
    },
    /// A message of another attempt, phase or history.
    #[error("{message} belongs to another attempt or history")]
    OtherTranscript {
        /// The message's name.
        message: &'static str,
    },

    // Untimely: harmless alone.
    /// A message that this phase does not expect.
    #[error("{message} is not expected while {phase}")]
    Unexpected {
        /// The message's name.
        message: &'static str,
        /// The phase's name.
        phase: &'static str,
    },

    // Misbehaved: the coordinator.
    /// A second, different message where only one may be.
    #[error("the coordinator sent two different {message} messages")]
    Equivocation {
        /// The message's name.
        message: &'static str,
    },
    /// An attempt number that does not grow.
    #[error("attempt {offered} does not follow {journalled}")]
    StaleAttempt {
        /// The number offered.
        offered: AttemptId,
        /// The highest in the journal.
        journalled: AttemptId,
    },
    /// Parameters that are not those the silo derived.
    #[error("the round's parameters differ from those of the consented study: {field}")]
    OtherPlan {
        /// The first field that differs.
        field: &'static str,
    },
    /// Unsafe parameters.
    #[error("the round's parameters are unsafe")]
    UnsafePlan(#[source] PlanFault),
    /// This start is not in a quorum-cosigned log.
    #[error("no quorum of silos has cosigned a log that holds this start's nonce")]
    StartNotLogged,
    /// The last release is not in a quorum-cosigned log.
    #[error("no quorum of silos has cosigned a log that holds the last release")]
    ReleaseNotLogged,
    /// The commitment to the sum is not in a quorum-cosigned log.
    #[error("no quorum of silos has cosigned a log that holds the commitment to the sum")]
    SumNotLogged,
    /// One's own message is missing or changed.
    #[error("the coordinator changed this silo's own {message}")]
    OwnMessageChanged {
        /// The message's name.
        message: &'static str,
    },
    /// This silo is not among those that go on.
    #[error("this silo is not in the {list}")]
    LeftOut {
        /// Which list.
        list: &'static str,
    },
    /// Two keys of a KeyBook are equal, or one is no key.
    #[error("the KeyBook holds a repeated or low-order key of `{silo}`")]
    WeakKey {
        /// Whose key.
        silo: SiloName,
    },
    /// A list that is not sorted, not unique, or not within the one before it.
    #[error("the {list} is not a sorted subset of the list before it")]
    BadList {
        /// Which list.
        list: &'static str,
    },
    /// Fewer silos than are safe.
    #[error("{present} silos are fewer than the {fewest} that are safe")]
    TooFewSilos {
        /// Silos present.
        present: usize,
        /// The fewest that are safe.
        fewest: usize,
    },
    /// A cohort with a member that lacks good shares of another.
    #[error("`{holder}` holds no good shares of `{dealer}`")]
    MissingReceipt {
        /// Who should hold shares.
        holder: SiloName,
        /// Who dealt them.
        dealer: SiloName,
    },
    /// Another upload under masks that were already used.
    #[error("the masks of attempt {0} already covered another vector")]
    MasksUsed(AttemptId),
    /// A model and task whose sum may be out already.
    #[error("a sum of this model and task may be released already, with other silos or values")]
    AlreadyReleased,
    /// A certificate for something else than this silo voted for.
    #[error("the certificate holds votes for another set of survivors")]
    OtherCertificate,
    /// Too few or unequal votes.
    #[error("the certificate lacks a quorum of equal votes")]
    NoQuorum,
    /// A sum that is not the committed one.
    #[error("the released sum is not the committed one")]
    OtherSum,
    /// A sum that neither tags nor replays vouch for.
    #[error("neither the tags of all survivors nor enough replays vouch for the released sum")]
    Unverified,
    /// A committed sum that the signed uploads and the seeds do not give.
    #[error("the committed sum is not the sum of the signed uploads")]
    FalseSum,
    /// A seed that its owner did not commit to.
    #[error("the published seed of `{silo}` is not the one that it committed to")]
    OtherSeed {
        /// Whose seed.
        silo: SiloName,
    },

    // Misbehaved: a silo.
    /// A second, different answer to one question.
    #[error("`{silo}` sent two different {message} messages")]
    SecondAnswer {
        /// Who answered twice.
        silo: SiloName,
        /// The message's name.
        message: &'static str,
    },
    /// A revealed share outside its dealer's root, or of the wrong kind.
    #[error("`{silo}` revealed a share that its dealer did not deal")]
    BadReveal {
        /// Who revealed.
        silo: SiloName,
    },
    /// Shares that prove themselves and give a wrong secret.
    #[error("`{silo}` dealt shares of another secret than it committed to")]
    BadDeal {
        /// Who dealt.
        silo: SiloName,
    },
    /// An upload that is not what was signed.
    #[error("the upload of `{silo}` is not the one that it signed")]
    BadUpload {
        /// Whose upload.
        silo: SiloName,
    },

    /// A nonce that the vote did not commit to, or revealed for another sum.
    #[error("`{silo}` opened another nonce or sum than its vote and the log hold")]
    WrongNonce {
        /// Who answered.
        silo: SiloName,
    },
    /// A tag for another sum or challenge, or one that is no residue.
    #[error("`{silo}` answered another challenge than the one that was asked")]
    WrongTag {
        /// Who answered.
        silo: SiloName,
    },

    // Ours or the world's.
    /// The secrets of the attempt are gone: a restart from a backup or on another machine.
    #[error("the secrets of attempt {0} are not on this machine: the attempt is sat out")]
    SecretsGone(AttemptId),
    /// The driver gave up.
    #[error("abandoned: {0}")]
    Abandoned(String),
}
