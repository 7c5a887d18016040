// SPDX-License-Identifier: Apache-2.0
//! Every label of the project. A label is the first thing hashed, signed or derived from, so a value
//! made for one purpose is never valid for another.

macro_rules! labels {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+) => {
        /// What a hash, signature or derived key is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Label {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Label {
            /// All labels.
            pub const ALL: &'static [Label] = &[$(Label::$variant,)+];

            /// The text that goes into the hash. It never changes for a given meaning: a new
            /// meaning is a new label.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Label::$variant => concat!("consilium/v1/", $text),)+
                }
            }
        }
    };
}

labels! {
    /// A protocol message by a silo.
    SiloMessage = "silo-message",
    /// A protocol message by the coordinator.
    CoordinatorMessage = "coordinator-message",
    /// h0: everything that an Open fixes.
    RoundOpen = "round-open",
    /// H(P): the parameters of a round.
    Parameters = "parameters",
    /// The names of silos.
    SiloList = "silo-list",
    /// The parameters that a round starts from.
    Model = "model",
    /// The absence of parameters, in a study that has none.
    NoModel = "no-model",
    /// What is computed on which data.
    Task = "task",
    /// K: the book of all advertised keys.
    KeyBook = "key-book",
    /// D: the book of all deal commitments.
    DealBook = "deal-book",
    /// X: the frozen cohort and everything before it.
    Cohort = "cohort",
    /// A dealer's commitment to its self-mask seed.
    SelfMaskCommitment = "self-mask-commitment",
    /// One leaf of a dealer's tree of shares.
    DealLeaf = "deal-leaf",
    /// The X25519 mask key derived from its seed.
    MaskKey = "mask-key",
    /// The key that seals one deal to one recipient, from an agreed and an encapsulated secret.
    DealKey = "hybrid-deal-key",
    /// The stream between two silos.
    PairMask = "pair-mask",
    /// The stream of one silo.
    SelfMask = "self-mask",
    /// A voter's commitment to its nonce.
    VoteNonce = "vote-nonce",
    /// The proposed survivors and the roots of their uploads.
    Survivors = "survivors",
    /// One chunk of a masked upload.
    UploadChunk = "upload-chunk",
    /// The sum of a round.
    Sum = "sum",
    /// The votes that unlock a reveal.
    Certificate = "certificate",
    /// H(c): the challenge that a committed sum is verified by.
    Challenge = "challenge",
    /// The coefficients of rows and columns that a challenge stands for.
    ChallengeStream = "challenge-tensor",
    /// What two silos keep of an attempt to mask their tags with.
    TagRoot = "tag-root",
    /// The mask of one tag between two silos.
    TagMask = "tag-mask",
    /// The vector that a silo puts into a round.
    VectorInput = "vector-input",
    /// A silo's signature under a released sum that it verified.
    ReleaseAccepted = "release-accepted",
    /// A researcher's signature on a study.
    StudySignature = "study-signature",
    /// The name of a submitted study.
    StudyId = "study-id",
    /// A mark by which a hospital recognises a patient or a row in another of its own files.
    DataMark = "data-mark",
    /// The content of a roster.
    RosterRoot = "roster-root",
    /// A member's signature on a roster.
    RosterSignature = "roster-signature",
    /// A request to be enrolled.
    CertificateRequest = "certificate-request",
    /// A silo's signature on the channel that it speaks through.
    ChannelBinding = "channel-binding",
    /// The nonce that one start of a silo draws.
    StartNonce = "start-nonce",
    /// One line of a privacy ledger.
    LedgerEntry = "ledger-entry",
    /// One event of an audit log.
    AuditEvent = "audit-event",
    /// The content of a policy.
    PolicyDigest = "policy-digest",
    /// On which side of a study's split a patient stands.
    PatientSplit = "patient-split",
    /// The content of a registered data set.
    DataSetDigest = "data-set-digest",
    /// A single-use invitation.
    Invitation = "invitation",
    /// The weights under which a list of signatures is verified at once.
    SignatureWeights = "signature-weights",
    /// Messages kept as evidence of misbehaviour.
    EvidenceDigest = "evidence-digest",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_labels_share_a_text() {
        let texts: BTreeSet<_> = Label::ALL.iter().map(|label| label.as_str()).collect();
        assert_eq!(texts.len(), Label::ALL.len());
    }

    #[test]
    fn every_text_names_the_project_and_the_version() {
        for label in Label::ALL {
            let purpose = label.as_str().strip_prefix("consilium/v1/");
            assert!(purpose.is_some_and(|purpose| {
                !purpose.is_empty()
                    && purpose
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            }));
        }
    }
}
