// SPDX-License-Identifier: Apache-2.0
//! The roster: who takes part, agreed by those who take part.
//!
//! A roster is one canonical JSON text (RFC 8785); its root is the labelled hash of those bytes and its
//! signatures are over the root. Every round is bound to the root, so parties with different rosters
//! never complete a round together.
//!
//! A [`Roster`] here is well formed and nothing more. Whether it is agreed is what
//! [`VerifiedRoster`](signed::VerifiedRoster) says.

pub mod change;
pub mod signed;

use std::collections::BTreeSet;

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::signing::{Signature, SigningKey, VerifyingKey};
use consilium_crypto::transcript;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::certificate::PeerIdentity;
use crate::name::{Name, NameFault, Role};
use crate::short_code::ShortCode;

/// A well-formed roster: names and keys are unique, lists are sorted, and the numbers agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    text: String,
    root: Digest,
    content: Content,
}

/// Everything a roster says that its members choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterParts {
    /// The coordinator.
    pub coordinator: CoordinatorEntry,
    /// The silos; at least two.
    pub members: Vec<Member>,
    /// Who may submit studies.
    pub researchers: Vec<Person>,
    /// Data-protection officers.
    pub officers: Vec<Person>,
    /// Who looks after the coordinator.
    pub operators: Vec<Person>,
    /// The certificate authorities, each by SHA-256 of its SubjectPublicKeyInfo.
    pub ca_spki: Vec<Digest>,
    /// How many members may collude with the coordinator; a third of them, rounded down, if `None`.
    pub colluders: Option<u32>,
}

/// The coordinator as the roster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoordinatorEntry {
    /// Signs the coordinator's messages.
    pub key: VerifyingKey,
    /// Signs checkpoints of the shared audit log.
    pub log_key: VerifyingKey,
    /// The origin line of those checkpoints.
    pub log_origin: String,
    /// Its name.
    pub name: Name,
}

/// A member silo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Signs the silo's messages and its vote on rosters.
    pub identity: VerifyingKey,
    /// Its name.
    pub name: Name,
    /// Cosigns checkpoints of the shared audit log.
    pub witness: VerifyingKey,
}

/// A person with a key: a researcher, officer or operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Signs what the person submits.
    pub key: VerifyingKey,
    /// The person's name.
    pub name: Name,
}

impl Roster {
    /// Version 1, to be signed by every member.
    pub fn found(parts: RosterParts) -> Result<Self, RosterFault> {
        Self::assemble(1, None, parts)
    }

    /// The version after this one, to be signed by a quorum of the members of this one.
    pub fn succeed(&self, parts: RosterParts) -> Result<Self, RosterFault> {
        let version = self
            .content
            .version
            .checked_add(1)
            .ok_or(RosterFault::NotCanonical)?;
        Self::assemble(version, Some(self.root), parts)
    }

    /// Reads a roster's canonical text. Any other spelling of the same content is refused.
    pub fn parse(text: &str) -> Result<Self, RosterFault> {
        let content: Content =
            serde_json::from_str(text).map_err(|fault| RosterFault::Malformed { fault })?;
        content.check()?;
        if content.to_text()? != text {
            return Err(RosterFault::NotCanonical);
        }
        Ok(Self::with_root(content, text.to_owned()))
    }

    /// The canonical text, which is what is stored, sent and hashed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The labelled hash of the text.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// The code by which officers compare a whole roster over the telephone.
    pub fn short_code(&self) -> ShortCode {
        ShortCode::of(&self.root)
    }

    /// Agrees to this roster with a member's identity key.
    pub fn sign(&self, identity: &SigningKey) -> Signature {
        identity.sign(Label::RosterSignature, &[self.root.as_bytes()])
    }

    /// 1 for the founding roster.
    pub fn version(&self) -> u64 {
        self.content.version
    }

    /// The root of the version before; `None` for version 1.
    pub fn previous(&self) -> Option<Digest> {
        self.content.previous
    }

    /// The coordinator.
    pub fn coordinator(&self) -> &CoordinatorEntry {
        &self.content.coordinator
    }

    /// The members by name.
    pub fn members(&self) -> &[Member] {
        &self.content.members
    }

    /// The researchers by name.
    pub fn researchers(&self) -> &[Person] {
        &self.content.researchers
    }

    /// The officers by name.
    pub fn officers(&self) -> &[Person] {
        &self.content.officers
    }

    /// The operators by name.
    pub fn operators(&self) -> &[Person] {
        &self.content.operators
    }

    /// The accepted certificate authorities.
    pub fn ca_spki(&self) -> &[Digest] {
        &self.content.ca_spki
    }

    /// How many cosignatures a checkpoint needs, and how many members must sign the next version.
    pub fn witness_quorum(&self) -> u32 {
        self.content.witness_quorum
    }

    /// How many members may collude with the coordinator.
    pub fn colluders(&self) -> u32 {
        self.content.colluders
    }

    /// The member of that name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.content
            .members
            .iter()
            .find(|member| member.name.as_str() == name)
    }

    /// The researcher of that name.
    pub fn researcher(&self, name: &str) -> Option<&Person> {
        self.content
            .researchers
            .iter()
            .find(|person| person.name.as_str() == name)
    }

    /// The key with which a participant signs, if the roster has it in that role.
    pub fn key_of(&self, participant: &PeerIdentity) -> Option<VerifyingKey> {
        let name = participant.name.as_str();
        let among = |people: &[Person]| {
            people
                .iter()
                .find(|person| person.name.as_str() == name)
                .map(|person| person.key)
        };
        match participant.role {
            Role::Coordinator => {
                let coordinator = self.coordinator();
                (coordinator.name.as_str() == name).then_some(coordinator.key)
            }
            Role::Silo => self.member(name).map(|member| member.identity),
            Role::Researcher => among(self.researchers()),
            Role::Officer => among(self.officers()),
            Role::Operator => among(self.operators()),
        }
    }

    /// Whether a participant with a valid certificate takes part now. Asked for every request:
    /// a roster without the member is how a certificate is revoked.
    pub fn admits(&self, participant: &PeerIdentity) -> bool {
        self.key_of(participant).is_some()
    }

    /// The parts again, as the starting point of the next version. The number of colluders is left to
    /// follow the number of members.
    pub fn to_parts(&self) -> RosterParts {
        let content = self.content.clone();
        RosterParts {
            coordinator: content.coordinator,
            members: content.members,
            researchers: content.researchers,
            officers: content.officers,
            operators: content.operators,
            ca_spki: content.ca_spki,
            colluders: None,
        }
    }

    fn assemble(
        version: u64,
        previous: Option<Digest>,
        mut parts: RosterParts,
    ) -> Result<Self, RosterFault> {
        parts
            .members
            .sort_by(|left, right| left.name.cmp(&right.name));
        for people in [
            &mut parts.researchers,
            &mut parts.officers,
            &mut parts.operators,
        ] {
            people.sort_by(|left, right| left.name.cmp(&right.name));
        }
        parts.ca_spki.sort();
        parts.ca_spki.dedup();
        let members = count(&parts.members);
        let colluders = parts.colluders.unwrap_or(members / 3);
        let content = Content {
            ca_spki: parts.ca_spki,
            colluders,
            coordinator: parts.coordinator,
            members: parts.members,
            officers: parts.officers,
            operators: parts.operators,
            previous,
            researchers: parts.researchers,
            version,
            witness_quorum: quorum(members, colluders),
        };
        content.check()?;
        let text = content.to_text()?;
        Ok(Self::with_root(content, text))
    }

    fn with_root(content: Content, text: String) -> Self {
        let root = transcript::hash(Label::RosterRoot, &[text.as_bytes()]);
        Self {
            text,
            root,
            content,
        }
    }
}

/// The fields in the order of RFC 8785, which sorts keys: serialising them in declaration order is
/// serialising them canonically.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    ca_spki: Vec<Digest>,
    colluders: u32,
    coordinator: CoordinatorEntry,
    members: Vec<Member>,
    officers: Vec<Person>,
    operators: Vec<Person>,
    previous: Option<Digest>,
    researchers: Vec<Person>,
    version: u64,
    witness_quorum: u32,
}

impl Content {
    fn to_text(&self) -> Result<String, RosterFault> {
        serde_json::to_string(self).map_err(|fault| RosterFault::Malformed { fault })
    }

    fn check(&self) -> Result<(), RosterFault> {
        self.check_version()?;
        self.check_numbers()?;
        self.check_names()?;
        self.check_keys()?;
        let origin = &self.coordinator.log_origin;
        let printable = |character: char| character.is_ascii_graphic() && character != '+';
        if origin.is_empty() || origin.len() > 255 || !origin.chars().all(printable) {
            return Err(RosterFault::LogOrigin);
        }
        if self.ca_spki.is_empty() {
            return Err(RosterFault::NoAuthority);
        }
        if !ascending(&self.ca_spki) {
            return Err(RosterFault::NotCanonical);
        }
        Ok(())
    }

    fn check_version(&self) -> Result<(), RosterFault> {
        // A canonical JSON number is exact only this far.
        const LARGEST: u64 = (1 << 53) - 1;
        match (self.version, self.previous) {
            (1, None) => Ok(()),
            (2..=LARGEST, Some(_)) => Ok(()),
            _ => Err(RosterFault::Version {
                version: self.version,
            }),
        }
    }

    fn check_numbers(&self) -> Result<(), RosterFault> {
        let members = count(&self.members);
        if members < FEWEST_MEMBERS {
            return Err(RosterFault::TooFewMembers { members });
        }
        let quorum = quorum(members, self.colluders);
        if self.colluders >= members || quorum > members || quorum - self.colluders < 2 {
            return Err(RosterFault::Colluders {
                colluders: self.colluders,
                members,
            });
        }
        if self.witness_quorum != quorum {
            return Err(RosterFault::WitnessQuorum {
                stated: self.witness_quorum,
                quorum,
            });
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), RosterFault> {
        Role::Coordinator.accepts(&self.coordinator.name)?;
        let mut seen = BTreeSet::from([&self.coordinator.name]);
        let members: Vec<&Name> = self.members.iter().map(|member| &member.name).collect();
        let lists = [
            (Role::Silo, members),
            (Role::Researcher, names(&self.researchers)),
            (Role::Officer, names(&self.officers)),
            (Role::Operator, names(&self.operators)),
        ];
        for (role, names) in lists {
            if !names.is_sorted() {
                return Err(RosterFault::NotCanonical);
            }
            for name in names {
                role.accepts(name)?;
                if !seen.insert(name) {
                    return Err(RosterFault::NameTwice { name: name.clone() });
                }
            }
        }
        Ok(())
    }

    /// No key serves two participants or two purposes: a member could otherwise answer for another.
    fn check_keys(&self) -> Result<(), RosterFault> {
        let coordinator = &self.coordinator;
        let own = [
            (&coordinator.name, coordinator.key),
            (&coordinator.name, coordinator.log_key),
        ];
        let members = self.members.iter().flat_map(|member| {
            [
                (&member.name, member.identity),
                (&member.name, member.witness),
            ]
        });
        let people = [&self.researchers, &self.officers, &self.operators]
            .into_iter()
            .flatten()
            .map(|person| (&person.name, person.key));
        let mut seen = BTreeSet::new();
        for (name, key) in own.into_iter().chain(members).chain(people) {
            if !seen.insert(key.to_bytes()) {
                return Err(RosterFault::KeyTwice { name: name.clone() });
            }
        }
        Ok(())
    }
}

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

/// floor((members + colluders) / 2) + 1: two such sets share an honest member.
pub fn quorum(members: u32, colluders: u32) -> u32 {
    (members.saturating_add(colluders) / 2).saturating_add(1)
}

fn count(members: &[Member]) -> u32 {
    u32::try_from(members.len()).unwrap_or(u32::MAX)
}

fn names(people: &[Person]) -> Vec<&Name> {
    people.iter().map(|person| &person.name).collect()
}

fn ascending(digests: &[Digest]) -> bool {
    digests.is_sorted_by(|left, right| left < right)
}

fn quoted(names: &[Name]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

const FEWEST_MEMBERS: u32 = 2;
