// SPDX-License-Identifier: Apache-2.0
//! What a certificate says, and the authorities whose word is taken.
//!
//! A leaf names its holder in a URI: `urn:consilium:<role>:<name>`. The common name repeats the name for
//! people who look at the certificate with other tools; nothing here reads it.

use std::sync::Arc;

use consilium_crypto::digest::Digest;
use consilium_crypto::transcript;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::name::{Name, Role};
use crate::pem;
use crate::unix_seconds::UnixSeconds;

/// Who is at the other end of a TLS connection, by its certificate.
///
/// SECURITY: a certificate is not membership; ask `Roster::admits` as well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIdentity {
    /// What it is.
    pub role: Role,
    /// Its name.
    pub name: Name,
}

impl PeerIdentity {
    /// The URI that names this participant in a certificate.
    pub fn to_uri(&self) -> String {
        format!("{URN}{}:{}", self.role, self.name)
    }

    fn from_uri(uri: &str) -> Option<Self> {
        let (role, name) = uri.strip_prefix(URN)?.split_once(':')?;
        let role: Role = role.parse().ok()?;
        let name = Name::parse(name).ok()?;
        role.accepts(&name).ok()?;
        Some(Self { role, name })
    }
}

impl std::fmt::Display for PeerIdentity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} `{}`", self.role, self.name)
    }
}

/// Who presented a verified chain: the holder of its first certificate.
///
/// The chain must be one that rustls has verified; this only reads it.
pub fn peer_identity(chain: &[CertificateDer<'_>]) -> Result<PeerIdentity, CertificateFault> {
    let leaf = chain.first().ok_or(CertificateFault::NotPresented)?;
    Ok(CertificateFacts::read(leaf)?.holder)
}

/// What a leaf certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whose it is.
    pub holder: PeerIdentity,
    /// Not valid before.
    pub not_before: UnixSeconds,
    /// Not valid after.
    pub not_after: UnixSeconds,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_digest: Digest,
}

impl CertificateFacts {
    /// Reads a leaf certificate.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, CertificateFault> {
        let parsed = parse(certificate)?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|_| CertificateFault::Malformed)?
            .ok_or(CertificateFault::Anonymous)?;
        let mut holders = names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::URI(uri) => PeerIdentity::from_uri(uri),
                _ => None,
            });
        let holder = holders.next().ok_or(CertificateFault::Anonymous)?;
        if holders.next().is_some() {
            return Err(CertificateFault::SeveralHolders);
        }
        let seconds = |time: i64| UnixSeconds(u64::try_from(time).unwrap_or(0));
        Ok(Self {
            holder,
            not_before: seconds(parsed.validity().not_before.timestamp()),
            not_after: seconds(parsed.validity().not_after.timestamp()),
            spki_digest: transcript::sha256(parsed.public_key().raw),
        })
    }

    /// Whole days until the certificate ends; zero when it has ended.
    pub fn days_left(&self, now: UnixSeconds) -> u64 {
        self.not_after.since(now).as_secs() / 86_400
    }
}

/// The certificates of the authorities whose leaves are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateTrust {
    authorities: Vec<CertificateDer<'static>>,
}

impl CertificateTrust {
    /// Reads one or more PEM certificates of authorities.
    pub fn from_pem(text: &str) -> Result<Self, CertificateFault> {
        let authorities = read_chain(text)?;
        for authority in &authorities {
            let is_authority = parse(authority)?.is_ca();
            if !is_authority {
                return Err(CertificateFault::NotAnAuthority);
            }
        }
        Ok(Self { authorities })
    }

    /// The PEM text of the certificates.
    pub fn to_pem(&self) -> String {
        chain_to_pem(&self.authorities)
    }

    /// The certificates.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// SHA-256 of each authority's SubjectPublicKeyInfo, in ascending order: the form in which the
    /// roster and an invitation name an authority.
    pub fn spki_digests(&self) -> Result<Vec<Digest>, CertificateFault> {
        let mut digests: Vec<Digest> = self
            .authorities
            .iter()
            .map(spki_digest)
            .collect::<Result<_, _>>()?;
        digests.sort();
        digests.dedup();
        Ok(digests)
    }

    /// Only those authorities that a roster or an invitation names.
    pub fn restricted_to(&self, pinned: &[Digest]) -> Result<Self, CertificateFault> {
        let mut authorities = Vec::new();
        for authority in &self.authorities {
            if pinned.contains(&spki_digest(authority)?) {
                authorities.push(authority.clone());
            }
        }
        if authorities.is_empty() {
            return Err(CertificateFault::UnknownAuthority);
        }
        Ok(Self { authorities })
    }

    pub(crate) fn root_store(&self) -> Result<Arc<RootCertStore>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            roots.add(authority.clone())?;
        }
        Ok(Arc::new(roots))
    }
}

/// Why a certificate is of no use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateFault {
    /// The peer showed none.
    #[error(
        "no certificate was presented; enrol first and connect with the certificate issued then"
    )]
    NotPresented,
    /// Not an X.509 certificate in PEM or DER.
    #[error("the certificate cannot be read; install it again from the reply to the enrolment")]
    Malformed,
    /// No `urn:consilium:` name.
    #[error("the certificate names no participant; use one issued by this federation's authority")]
    Anonymous,
    /// More than one `urn:consilium:` name.
    #[error("the certificate names several participants; ask for one certificate for each")]
    SeveralHolders,
    /// A leaf where an authority's certificate belongs.
    #[error("the certificate is not one of an authority; install the authority's own certificate")]
    NotAnAuthority,
    /// An authority that nobody pinned.
    #[error("the certificate authority is not the pinned one; ask the operator which is in use")]
    UnknownAuthority,
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
pub fn spki_digest(certificate: &CertificateDer<'_>) -> Result<Digest, CertificateFault> {
    Ok(transcript::sha256(parse(certificate)?.public_key().raw))
}

/// Reads the certificates of a PEM text; there is at least one.
pub(crate) fn read_chain(text: &str) -> Result<Vec<CertificateDer<'static>>, CertificateFault> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| CertificateFault::Malformed)?;
    if chain.is_empty() {
        return Err(CertificateFault::Malformed);
    }
    Ok(chain)
}

pub(crate) fn chain_to_pem(chain: &[CertificateDer<'_>]) -> String {
    chain
        .iter()
        .map(|certificate| pem::encode(pem::CERTIFICATE, certificate))
        .collect()
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateFault> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) | Err(_) => Err(CertificateFault::Malformed),
    }
}

const URN: &str = "urn:consilium:";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_participant_reads_back_from_its_uri() {
        let holder = PeerIdentity {
            role: Role::Silo,
            name: Name::parse("3_UK").unwrap(),
        };
        assert_eq!(holder.to_uri(), "urn:consilium:silo:3_UK");
        assert_eq!(
            PeerIdentity::from_uri("urn:consilium:silo:3_UK"),
            Some(holder)
        );
    }

    #[test]
    fn uris_that_name_nobody_are_passed_over() {
        for uri in [
            "urn:consilium:silo",
            "urn:consilium:king:a",
            "urn:consilium:silo:a:b",
            "urn:consilium:silo:a@b",
            "https://silo:a",
        ] {
            assert_eq!(PeerIdentity::from_uri(uri), None, "{uri}");
        }
    }

    #[test]
    fn an_empty_chain_is_a_missing_certificate() {
        assert_eq!(peer_identity(&[]), Err(CertificateFault::NotPresented));
        let garbage = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(peer_identity(&[garbage]), Err(CertificateFault::Malformed));
    }
}
