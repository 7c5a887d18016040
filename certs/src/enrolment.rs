// SPDX-License-Identifier: Apache-2.0
//! The one exchange by which a newcomer answers an invitation.
//!
//! The newcomer makes its keys, checks the fingerprints of the invitation during the TLS handshake
//! ([`tls::enrolment_client_config`]), and only then sends an [`EnrolmentRequest`]. The coordinator checks it against the [`InvitationRecord`], has the authority
//! certify the TLS key, and answers with an [`EnrolmentResponse`]. Enrolment does not make a member:
//! the roster does, after officers have compared the [`ShortCode`]s by telephone.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::signing::{Signature, SigningKey, VerifyingKey};
use consilium_crypto::transcript;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ca::{AuthorityFault, CertificateAuthority};
use crate::certificate::{CertificateFacts, CertificateFault, CertificateTrust, PeerIdentity};
use crate::identity::{KeyFault, TlsKey};
use crate::invitation::{Invitation, InvitationFault, InvitationRecord, token_hash};
use crate::name::{Name, Role};
use crate::roster::{Member, Person};
use crate::short_code::ShortCode;
use crate::tls::{self, TlsFault};
use crate::unix_seconds::UnixSeconds;

/// A newcomer's answer to an invitation.
pub struct EnrolmentRequest {
    /// What it is to be.
    pub role: Role,
    /// Its name.
    pub name: Name,
    /// The token of the invitation.
    pub token: Secret32,
    /// The request for a TLS certificate (PKCS#10, PEM).
    pub certificate_request: String,
    /// The key that will sign its statements.
    pub identity: VerifyingKey,
    /// The key that will cosign checkpoints; silos have one, nobody else.
    pub witness: Option<VerifyingKey>,
    /// Signature by the identity key over all of the above.
    pub identity_signature: Signature,
    /// Signature by the witness key over the same.
    pub witness_signature: Option<Signature>,
}

impl EnrolmentRequest {
    /// Answers an invitation with freshly made keys.
    pub fn make(
        invitation: &Invitation,
        keys: &EnrolmentKeys<'_>,
        now: UnixSeconds,
    ) -> Result<Self, EnrolmentFault> {
        invitation.check_time(now)?;
        let terms = invitation.terms();
        let witness = keys.witness.map(SigningKey::verifying_key);
        check_witness(terms.role, witness.as_ref())?;
        let enrolled = Enrolled {
            role: terms.role,
            name: terms.name.clone(),
            identity: keys.identity.verifying_key(),
            witness,
            certificate_request: keys.tls.certificate_request(&terms.name)?,
        };
        let statement = enrolled.statement(&invitation.token_hash());
        let sign = |key: &SigningKey| key.sign(Label::CertificateRequest, &[statement.as_bytes()]);
        Ok(Self {
            role: enrolled.role,
            name: enrolled.name,
            token: invitation.token().duplicate(),
            certificate_request: enrolled.certificate_request,
            identity: enrolled.identity,
            witness: enrolled.witness,
            identity_signature: sign(keys.identity),
            witness_signature: keys.witness.map(sign),
        })
    }

    /// The hash by which the coordinator finds the record of the invitation that this answers.
    pub fn token_hash(&self) -> Digest {
        token_hash(&self.token, self.role, &self.name)
    }
}

/// The keys of a newcomer.
#[derive(Clone, Copy, Debug)]
pub struct EnrolmentKeys<'a> {
    /// Signs statements.
    pub identity: &'a SigningKey,
    /// Cosigns checkpoints; silos only.
    pub witness: Option<&'a SigningKey>,
    /// Ends TLS connections.
    pub tls: &'a TlsKey,
}

/// A newcomer whose request was found good: what the coordinator keeps of it for the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// What it is to be.
    pub role: Role,
    /// Its name.
    pub name: Name,
    /// Its identity key.
    pub identity: VerifyingKey,
    /// Its witness key, if it is a silo.
    pub witness: Option<VerifyingKey>,
    /// Its request for a TLS certificate, to be given to the authority.
    pub certificate_request: String,
}

impl Enrolled {
    /// Who it is.
    pub fn participant(&self) -> PeerIdentity {
        PeerIdentity {
            role: self.role,
            name: self.name.clone(),
        }
    }

    /// The code that its officer reads out.
    pub fn short_code(&self) -> ShortCode {
        short_code(self.role, &self.name, &self.identity, self.witness.as_ref())
    }

    /// Its line in the roster, if it is a silo.
    pub fn to_member(&self) -> Option<Member> {
        match (self.role, self.witness) {
            (Role::Silo, Some(witness)) => Some(Member {
                name: self.name.clone(),
                identity: self.identity,
                witness,
            }),
            _ => None,
        }
    }

    /// Its line in the roster, if it is a person.
    pub fn to_person(&self) -> Option<Person> {
        match self.role {
            Role::Researcher | Role::Officer | Role::Operator => Some(Person {
                name: self.name.clone(),
                key: self.identity,
            }),
            Role::Silo | Role::Coordinator => None,
        }
    }

    fn statement(&self, token_hash: &Digest) -> Digest {
        let (identity, witness) = (&self.identity, self.witness.as_ref());
        let request = self.certificate_request.as_bytes();
        statement(
            self.role,
            &self.name,
            identity,
            witness,
            request,
            token_hash.as_bytes(),
        )
    }
}

impl InvitationRecord {
    /// Checks a request against this invitation and uses the invitation up.
    ///
    /// The token is compared by its hash, so how long the comparison takes tells nothing about it.
    pub fn accept(
        self,
        request: &EnrolmentRequest,
        now: UnixSeconds,
    ) -> Result<Enrolled, EnrolmentFault> {
        if request.role != self.role || request.name != self.name {
            return Err(EnrolmentFault::AnotherInvited {
                role: self.role,
                name: self.name,
            });
        }
        let token_hash = request.token_hash();
        if token_hash != self.token_hash {
            return Err(EnrolmentFault::Token);
        }
        self.check_time(now)?;
        check_witness(request.role, request.witness.as_ref())?;
        let enrolled = Enrolled {
            role: request.role,
            name: request.name.clone(),
            identity: request.identity,
            witness: request.witness,
            certificate_request: request.certificate_request.clone(),
        };
        let statement = enrolled.statement(&token_hash);
        let verify = |key: &VerifyingKey, signature: &Signature| {
            key.verify(
                Label::CertificateRequest,
                &[statement.as_bytes()],
                signature,
            )
            .map_err(|_| EnrolmentFault::Signature)
        };
        verify(&enrolled.identity, &request.identity_signature)?;
        match (&enrolled.witness, &request.witness_signature) {
            (Some(key), Some(signature)) => verify(key, signature)?,
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => return Err(EnrolmentFault::Signature),
        }
        if enrolled.witness == Some(enrolled.identity) {
            return Err(EnrolmentFault::OneKeyForTwo);
        }
        Ok(enrolled)
    }
}

/// The coordinator's answer to a good request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentResponse {
    /// The chain to present from now on (PEM): the newcomer's leaf first.
    pub certificate_chain: String,
    /// The certificates of the authorities in use (PEM).
    pub authorities: String,
}

impl EnrolmentResponse {
    /// Certifies the TLS key of a newcomer whose request was found good.
    pub fn make(
        enrolled: &Enrolled,
        authority: &CertificateAuthority,
        now: UnixSeconds,
    ) -> Result<Self, AuthorityFault> {
        let request = &enrolled.certificate_request;
        let issued = authority.issue_member(request, enrolled.role, &enrolled.name, now)?;
        Ok(Self {
            certificate_chain: issued.chain_pem(),
            authorities: authority.trust().to_pem(),
        })
    }

    /// Checks that this is the certificate that was asked for, from the authority that the invitation
    /// names. Gives back that authority alone, whatever else came along.
    pub fn check(
        &self,
        invitation: &Invitation,
        key: &TlsKey,
        now: UnixSeconds,
    ) -> Result<CertificateTrust, EnrolmentFault> {
        let terms = invitation.terms();
        let trust =
            CertificateTrust::from_pem(&self.authorities)?.restricted_to(&[terms.ca_spki])?;
        let chain = crate::certificate::read_chain(&self.certificate_chain)?;
        let leaf = chain.first().ok_or(CertificateFault::NotPresented)?;
        tls::verify_member_leaf(&trust, leaf, now)?;
        let facts = CertificateFacts::read(leaf)?;
        let asked_for = PeerIdentity {
            role: terms.role,
            name: terms.name.clone(),
        };
        if facts.holder != asked_for || facts.spki_digest != key.spki_digest() {
            return Err(EnrolmentFault::AnotherCertified {
                holder: facts.holder,
            });
        }
        Ok(trust)
    }
}

/// The code of one participant's keys, for the telephone.
pub fn short_code(
    role: Role,
    name: &Name,
    identity: &VerifyingKey,
    witness: Option<&VerifyingKey>,
) -> ShortCode {
    ShortCode::of(&statement(role, name, identity, witness, &[], &[]))
}

/// A token as it came over the wire.
pub fn token_from_bytes(bytes: &[u8]) -> Result<Secret32, EnrolmentFault> {
    Secret::from_slice(bytes).ok_or(EnrolmentFault::Token)
}

/// Why an enrolment came to nothing.
#[derive(Debug, Error)]
pub enum EnrolmentFault {
    /// The invitation is for somebody else.
    #[error("the invitation is for the {role} `{name}`; ask for one of your own")]
    AnotherInvited {
        /// The role it is for.
        role: Role,
        /// The name it is for.
        name: Name,
    },
    /// No such token, or one used already.
    #[error("the invitation is unknown or was used already; ask the operator for a new one")]
    Token,
    /// The keys did not sign the request.
    #[error("the request is not signed by the keys it presents; enrol again")]
    Signature,
    /// One key in two places.
    #[error("identity and witness key are the same; make two keys")]
    OneKeyForTwo,
    /// A silo must have a witness key.
    #[error("a silo enrols with a witness key and this request has none")]
    WitnessMissing,
    /// Only a silo has a witness key.
    #[error("only a silo has a witness key, and this is a {role}")]
    WitnessUnexpected {
        /// What it is.
        role: Role,
    },
    /// A certificate for somebody or something else.
    #[error("the certificate received is for {holder} or for another key; ask the operator why")]
    AnotherCertified {
        /// Whom it names.
        holder: PeerIdentity,
    },
    /// The invitation is of no use.
    #[error(transparent)]
    Invitation(#[from] InvitationFault),
    /// The certificate is of no use.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// The certificate is not acceptable to TLS.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The TLS key is of no use.
    #[error(transparent)]
    Key(#[from] KeyFault),
}

fn check_witness(role: Role, witness: Option<&VerifyingKey>) -> Result<(), EnrolmentFault> {
    match (role, witness) {
        (Role::Silo, None) => Err(EnrolmentFault::WitnessMissing),
        (Role::Silo, Some(_)) | (_, None) => Ok(()),
        (role, Some(_)) => Err(EnrolmentFault::WitnessUnexpected { role }),
    }
}

/// What the keys of a newcomer sign. Without request and token, which no signed statement lacks, it is
/// what the short code shows.
fn statement(
    role: Role,
    name: &Name,
    identity: &VerifyingKey,
    witness: Option<&VerifyingKey>,
    certificate_request: &[u8],
    token_hash: &[u8],
) -> Digest {
    let witness = witness.map(VerifyingKey::to_bytes);
    let parts: [&[u8]; 6] = [
        role.as_str().as_bytes(),
        name.as_str().as_bytes(),
        &identity.to_bytes(),
        witness.as_ref().map_or(&[], <[u8; 32]>::as_slice),
        certificate_request,
        token_hash,
    ];
    transcript::hash(Label::CertificateRequest, &parts)
}
