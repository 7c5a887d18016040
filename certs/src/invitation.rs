// SPDX-License-Identifier: Apache-2.0
//! The one line with which a newcomer is invited.
//!
//! It goes by a channel that the officers trust, and holds everything needed to refuse a false
//! coordinator before anything is sent: address, fingerprints of the authority and of the coordinator,
//! and a token that is good once, for one role and name, until it expires. The coordinator keeps only
//! the token's hash.

use std::fmt;
use std::time::Duration;

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::random::RandomSource;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::signing::VerifyingKey;
use consilium_crypto::transcript;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::name::{Name, NameFault, Role};
use crate::unix_seconds::{UnixSeconds, spoken};

/// What every invitation of one coordinator says, and whom this one is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationTerms {
    /// Where to connect: `host:port`.
    pub address: String,
    /// The name or address that the server certificate is checked against.
    pub server_name: String,
    /// The coordinator's name.
    pub coordinator: Name,
    /// The key that signs the coordinator's messages; the roster has to name the same.
    pub coordinator_key: VerifyingKey,
    /// The certificate authority, by SHA-256 of its SubjectPublicKeyInfo.
    pub ca_spki: Digest,
    /// What the newcomer is to be.
    pub role: Role,
    /// The newcomer's name.
    pub name: Name,
}

/// An invitation, with its token.
pub struct Invitation {
    terms: InvitationTerms,
    expires: UnixSeconds,
    token: Secret32,
}

impl Invitation {
    /// Makes an invitation and the record that the coordinator keeps of it.
    pub fn issue(
        terms: InvitationTerms,
        now: UnixSeconds,
        valid_for: Duration,
        random: &mut dyn RandomSource,
    ) -> Result<(Self, InvitationRecord), InvitationFault> {
        if terms.role == Role::Coordinator {
            return Err(InvitationFault::CoordinatorInvited);
        }
        terms.role.accepts(&terms.name)?;
        let invitation = Self {
            expires: now.plus(valid_for),
            token: random.secret32(),
            terms,
        };
        let record = InvitationRecord {
            role: invitation.terms.role,
            name: invitation.terms.name.clone(),
            token_hash: invitation.token_hash(),
            expires: invitation.expires,
        };
        Ok((invitation, record))
    }

    /// The line to hand over. Whoever has it can enrol in the newcomer's place.
    pub fn to_line(&self) -> Zeroizing<String> {
        let content = Content {
            address: self.terms.address.clone(),
            ca_spki: self.terms.ca_spki,
            coordinator: self.terms.coordinator.clone(),
            coordinator_key: self.terms.coordinator_key,
            expires: self.expires,
            name: self.terms.name.clone(),
            role: self.terms.role,
            server_name: self.terms.server_name.clone(),
            token: HEXLOWER.encode(self.token.expose()),
        };
        #[expect(
            clippy::expect_used,
            reason = "strings and numbers always serialise into memory"
        )]
        let json = serde_json::to_vec(&content).expect("an invitation is strings and numbers");
        let mut bytes = Zeroizing::new(json);
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        let mut line = Zeroizing::new(PREFIX.to_owned());
        BASE64URL_NOPAD.encode_append(&bytes, &mut line);
        line
    }

    /// Reads a line, as it was pasted.
    pub fn parse(line: &str) -> Result<Self, InvitationFault> {
        let body = line
            .trim()
            .strip_prefix(PREFIX)
            .ok_or(InvitationFault::NotAnInvitation)?;
        let decoded = BASE64URL_NOPAD.decode(body.as_bytes());
        let bytes = Zeroizing::new(decoded.map_err(|_| InvitationFault::Damaged)?);
        let (json, sum) = bytes
            .split_last_chunk::<CHECKSUM>()
            .ok_or(InvitationFault::Damaged)?;
        if checksum(json) != *sum {
            return Err(InvitationFault::Damaged);
        }
        let content: Content =
            serde_json::from_slice(json).map_err(|fault| InvitationFault::Malformed { fault })?;
        let token = Zeroizing::new(
            HEXLOWER
                .decode(content.token.as_bytes())
                .unwrap_or_default(),
        );
        let token = Secret::from_slice(&token).ok_or(InvitationFault::Damaged)?;
        if content.role == Role::Coordinator {
            return Err(InvitationFault::CoordinatorInvited);
        }
        content.role.accepts(&content.name)?;
        let terms = InvitationTerms {
            address: content.address.clone(),
            server_name: content.server_name.clone(),
            coordinator: content.coordinator.clone(),
            coordinator_key: content.coordinator_key,
            ca_spki: content.ca_spki,
            role: content.role,
            name: content.name.clone(),
        };
        Ok(Self {
            terms,
            expires: content.expires,
            token,
        })
    }

    /// What it says.
    pub fn terms(&self) -> &InvitationTerms {
        &self.terms
    }

    /// When it ends.
    pub fn expires(&self) -> UnixSeconds {
        self.expires
    }

    /// Checks that it has not ended.
    pub fn check_time(&self, now: UnixSeconds) -> Result<(), InvitationFault> {
        check_time(self.expires, now)
    }

    pub(crate) fn token(&self) -> &Secret32 {
        &self.token
    }

    pub(crate) fn token_hash(&self) -> Digest {
        token_hash(&self.token, self.terms.role, &self.terms.name)
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Invitation")
            .field("terms", &self.terms)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What the coordinator keeps of an invitation until it is used. It is consumed by
/// [`accept`](Self::accept); delete the stored one in the transaction that stores what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitationRecord {
    /// What the newcomer is to be.
    pub role: Role,
    /// The newcomer's name.
    pub name: Name,
    /// The hash of the token, bound to role and name: the key to look a record up by.
    pub token_hash: Digest,
    /// When it ends.
    pub expires: UnixSeconds,
}

impl InvitationRecord {
    /// Checks that the invitation has not ended.
    pub fn check_time(&self, now: UnixSeconds) -> Result<(), InvitationFault> {
        check_time(self.expires, now)
    }
}

/// Why an invitation is of no use.
#[derive(Debug, Error)]
pub enum InvitationFault {
    /// Another text altogether.
    #[error("this is not an invitation; it is one line that begins with `{PREFIX}`")]
    NotAnInvitation,
    /// A line that lost or gained something on its way.
    #[error("the invitation is damaged; copy the whole line again")]
    Damaged,
    /// An undamaged line of another make.
    #[error("the invitation cannot be read; it was made by another version of this software")]
    Malformed {
        /// What is wrong.
        #[source]
        fault: serde_json::Error,
    },
    /// Too late.
    #[error("the invitation ended {} ago; ask the operator for a new one", spoken(*ago))]
    Expired {
        /// How long ago.
        ago: Duration,
    },
    /// A name that the role may not bear.
    #[error(transparent)]
    Name(#[from] NameFault),
    /// There is one coordinator, and it invites.
    #[error("a coordinator cannot be invited; invite a silo, researcher, officer or operator")]
    CoordinatorInvited,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    address: String,
    ca_spki: Digest,
    coordinator: Name,
    coordinator_key: VerifyingKey,
    expires: UnixSeconds,
    name: Name,
    role: Role,
    server_name: String,
    token: String,
}

impl Drop for Content {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

pub(crate) fn token_hash(token: &Secret32, role: Role, name: &Name) -> Digest {
    let parts: [&[u8]; 3] = [
        token.expose(),
        role.as_str().as_bytes(),
        name.as_str().as_bytes(),
    ];
    transcript::hash(Label::Invitation, &parts)
}

fn check_time(expires: UnixSeconds, now: UnixSeconds) -> Result<(), InvitationFault> {
    if now >= expires {
        return Err(InvitationFault::Expired {
            ago: now.since(expires),
        });
    }
    Ok(())
}

/// Tells a line that was cut or mistyped from one that is wrong; it protects from nobody.
fn checksum(json: &[u8]) -> [u8; CHECKSUM] {
    let [first, second, third, fourth, ..] = *transcript::sha256(json).as_bytes();
    [first, second, third, fourth]
}

const PREFIX: &str = "consilium-invitation-1.";
const CHECKSUM: usize = 4;

/// How long an invitation is good unless the operator says otherwise.
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(24 * 3_600);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use consilium_crypto::random::InsecureSeededRandom;
    use consilium_crypto::signing::SigningKey;

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    fn terms(role: Role, name: &str) -> InvitationTerms {
        InvitationTerms {
            address: "fed.example:8443".to_owned(),
            server_name: "fed.example".to_owned(),
            coordinator: Name::parse("federation").unwrap(),
            coordinator_key: SigningKey::from_seed(&Secret::new([3; 32])).verifying_key(),
            ca_spki: Digest::from_bytes([4; 32]),
            role,
            name: Name::parse(name).unwrap(),
        }
    }

    fn issue(role: Role, name: &str) -> Result<(Invitation, InvitationRecord), InvitationFault> {
        let mut random = InsecureSeededRandom::from_seed(1);
        Invitation::issue(terms(role, name), NOW, DEFAULT_VALIDITY, &mut random)
    }

    #[test]
    fn a_line_says_everything_again_at_the_other_end() {
        let (invitation, record) = issue(Role::Silo, "3_UK").unwrap();
        let line = invitation.to_line();
        assert!(line.bytes().all(|byte| byte.is_ascii_graphic()));
        let read = Invitation::parse(&format!("  {}\n", *line)).unwrap();
        assert_eq!(read.terms(), invitation.terms());
        assert_eq!(read.expires(), NOW.plus(Duration::from_secs(86_400)));
        assert_eq!(read.token_hash(), record.token_hash);
    }

    #[test]
    fn every_shortened_or_altered_line_is_called_damaged() {
        let (invitation, _) = issue(Role::Silo, "3_UK").unwrap();
        let line = invitation.to_line();
        for end in PREFIX.len()..line.len() {
            let fault = Invitation::parse(&line[..end]).unwrap_err();
            assert!(
                matches!(fault, InvitationFault::Damaged),
                "cut at {end}: {fault}"
            );
        }
        for at in PREFIX.len()..line.len() {
            let mut altered = line.as_bytes().to_vec();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert!(Invitation::parse(std::str::from_utf8(&altered).unwrap()).is_err());
        }
        let fault = Invitation::parse("hello").unwrap_err();
        assert!(matches!(fault, InvitationFault::NotAnInvitation));
    }

    #[test]
    fn an_invitation_ends_on_time_and_says_how_long_ago() {
        let (invitation, record) = issue(Role::Silo, "3_UK").unwrap();
        let last = UnixSeconds(record.expires.0 - 1);
        assert!(invitation.check_time(last).is_ok());
        let late = record.expires.plus(Duration::from_secs(7_200));
        let fault = record.check_time(late).unwrap_err();
        assert!(fault.to_string().contains("ended 2 hours ago"), "{fault}");
    }

    #[test]
    fn nobody_is_invited_as_coordinator_nor_a_silo_under_a_persons_name() {
        assert!(matches!(
            issue(Role::Coordinator, "c"),
            Err(InvitationFault::CoordinatorInvited)
        ));
        assert!(matches!(
            issue(Role::Silo, "a@b.example"),
            Err(InvitationFault::Name(_))
        ));
        assert!(issue(Role::Researcher, "a@b.example").is_ok());
    }

    #[test]
    fn debugging_an_invitation_does_not_show_the_token() {
        let (invitation, _) = issue(Role::Silo, "3_UK").unwrap();
        let token = HEXLOWER.encode(invitation.token().expose());
        assert!(!format!("{invitation:?}").contains(&token));
    }
}
