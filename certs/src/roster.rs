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
mod content;
mod fault;
pub mod signed;

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::signing::{Signature, SigningKey, VerifyingKey};
use consilium_crypto::transcript;
use serde::{Deserialize, Serialize};

use crate::certificate::PeerIdentity;
use crate::name::{Name, Role};
use crate::short_code::ShortCode;
use content::Content;
pub use fault::RosterFault;

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

/// floor((members + colluders) / 2) + 1: two such sets share an honest member.
pub fn quorum(members: u32, colluders: u32) -> u32 {
    (members.saturating_add(colluders) / 2).saturating_add(1)
}

fn count(members: &[Member]) -> u32 {
    u32::try_from(members.len()).unwrap_or(u32::MAX)
}
