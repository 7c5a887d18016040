// SPDX-License-Identifier: Apache-2.0
//! Why a roster is refused.

use thiserror::Error;

use crate::name::{Name, NameFault};

/// Why a roster is not well formed, or not agreed.
#[derive(Debug, Error)]
pub enum RosterFault {
    /// Not the JSON of a roster.
    #[error("the roster cannot be read")]
    Malformed {
        /// What is wrong with it.
        #[source]
        fault: serde_json::Error,
    },
    /// The right content spelled or ordered another way.
    #[error("the roster is not in canonical form; take the text exactly as it was published")]
    NotCanonical,
    /// A version number that does not go with the previous root.
    #[error(
        "roster version {version} is impossible: version 1 has no predecessor, every later one has"
    )]
    Version {
        /// The version stated.
        version: u64,
    },
    /// A federation of one.
    #[error("a roster needs at least two silos and has {members}; invite more")]
    TooFewMembers {
        /// How many there are.
        members: u32,
    },
    /// More colluders than the rules can bear.
    #[error(
        "{members} silos cannot bear {colluders} colluders: a quorum must hold at least two others; \
         assume fewer or invite more silos"
    )]
    Colluders {
        /// How many were assumed.
        colluders: u32,
        /// How many members there are.
        members: u32,
    },
    /// A quorum that was not computed by the rule.
    #[error("the roster states a witness quorum of {stated} where the rule gives {quorum}")]
    WitnessQuorum {
        /// The roster's number.
        stated: u32,
        /// floor((members + colluders) / 2) + 1.
        quorum: u32,
    },
    /// A name that its role may not bear.
    #[error(transparent)]
    Name(#[from] NameFault),
    /// One name for two participants.
    #[error("`{name}` is in the roster twice; give each participant a name of its own")]
    NameTwice {
        /// The name.
        name: Name,
    },
    /// One key for two participants or purposes.
    #[error(
        "a key of `{name}` is in the roster twice; each participant and purpose has its own key"
    )]
    KeyTwice {
        /// The second holder.
        name: Name,
    },
    /// An origin that no checkpoint can carry.
    #[error("the log origin must be 1 to 255 visible ASCII characters without `+`")]
    LogOrigin,
    /// No authority to accept certificates from.
    #[error("the roster names no certificate authority")]
    NoAuthority,
    /// A signature by somebody the roster does not know.
    #[error("the roster is signed by `{name}`, who is not a member")]
    UnknownSigner {
        /// The signer.
        name: Name,
    },
    /// A signature that does not verify.
    #[error("the signature of `{name}` does not belong to this roster; have `{name}` sign again")]
    BadSignature {
        /// The signer.
        name: Name,
    },
    /// A founding roster that somebody has not signed.
    #[error("the founding roster lacks the signature of {}", quoted(missing))]
    FounderMissing {
        /// Everybody who has not signed.
        missing: Vec<Name>,
    },
    /// A later roster that too few have signed.
    #[error(
        "roster version {version} is signed by {signed} of the members before it and needs {quorum}"
    )]
    NoQuorum {
        /// The version proposed.
        version: u64,
        /// How many members of the version before signed.
        signed: u32,
        /// How many have to.
        quorum: u32,
    },
    /// A roster that does not follow the pinned one.
    #[error(
        "roster version {version} does not follow the pinned version {pinned}; fetch those between"
    )]
    NotSuccessor {
        /// The version offered.
        version: u64,
        /// The version pinned.
        pinned: u64,
    },
    /// The chain of versions begins elsewhere.
    #[error("roster version {version} is not a founding roster; begin with version 1")]
    NotFounding {
        /// The version offered.
        version: u64,
    },
}

fn quoted(names: &[Name]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
