// SPDX-License-Identifier: Apache-2.0
//! The protocol's defences by name. A test takes one away and shows that the attack which it stops is real.
//!
//! SECURITY: every defence stands unless the feature `insecure_for_test` is on, which no crate but tests may ask for;
//! `cargo xtask check-arrows` says so. Without the feature [`stands`] is the constant `true`.

/// One rule whose absence lets an attack through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "insecure_for_test"),
    expect(unreachable_pub, reason = "public with the feature only")
)]
pub enum Defence {
    /// A silo finds its own message in every list byte for byte.
    OwnEcho,
    /// No two keys of a KeyBook are equal.
    DistinctKeys,
    /// Every message of a silo holds under its key of the roster.
    SiloSignatures,
    /// Every signature covers the attempt and the history before it.
    Transcript,
    /// The silos of a plan, and everybody who speaks, stand in the pinned roster.
    RosterMembers,
    /// A silo computes at the model that it derived itself.
    ModelDigest,
    /// A silo derives thresholds, noise and sizes anew and takes no others.
    QuorumFloor,
    /// An Open proves that this start is in a log that a quorum cosigned.
    StartLogged,
    /// The numbers of attempts only grow.
    MonotoneAttempts,
    /// Every member of a cohort holds good shares of every member.
    Receipts,
    /// The masks of an attempt cover one vector.
    Burn,
    /// What left once for a model and a task counts as released.
    ReleasedPairs,
    /// A list of survivors is sorted, without repeats, and so are the votes for it.
    SortedUnique,
    /// Survivors are members of the cohort.
    SurvivorsWithinCohort,
    /// A silo that a list calls dead does not vote for it.
    SelfAmongSurvivors,
    /// One vote in an attempt.
    OneVotePerAttempt,
    /// A quorum votes before anything is revealed.
    CertificateQuorum,
    /// All votes of a certificate are for the set that this silo voted for.
    CertificateMatchesVote,
    /// One kind of share of one peer.
    OneKindPerPeer,
    /// A revealed share proves itself against its dealer's root.
    DealtShares,
    /// Secrets belong to one installation.
    InstanceBinding,
    /// H(S) is logged and cosigned before a nonce is revealed.
    SumLoggedFirst,
    /// Nonces are those that the votes committed to.
    NoncesCommitted,
    /// The mask of a tag depends on the challenge.
    TagMaskOfChallenge,
    /// A release is checked against tags or replays.
    SumVerified,
    /// The seeds of a replay are those that were committed to.
    SeedsCommitted,
    /// More silos than may collude computed each part of a replayed sum.
    EnoughReplays,
}

/// Whether a defence stands.
#[cfg(not(feature = "insecure_for_test"))]
pub(crate) const fn stands(_: Defence) -> bool {
    true
}

/// Whether a defence stands on this thread.
#[cfg(feature = "insecure_for_test")]
pub(crate) fn stands(defence: Defence) -> bool {
    !FALLEN.with_borrow(|fallen| fallen.contains(&defence))
}

/// Runs an attack on this thread with some defences taken away. They stand again afterwards, whatever happens.
#[cfg(feature = "insecure_for_test")]
pub fn without<R>(defences: &[Defence], attack: impl FnOnce() -> R) -> R {
    struct Restored(Vec<Defence>);
    impl Drop for Restored {
        fn drop(&mut self) {
            FALLEN.set(std::mem::take(&mut self.0));
        }
    }
    let _restored = Restored(FALLEN.replace(defences.to_vec()));
    attack()
}

#[cfg(feature = "insecure_for_test")]
thread_local! {
    static FALLEN: std::cell::RefCell<Vec<Defence>> = const { std::cell::RefCell::new(Vec::new()) };
}
