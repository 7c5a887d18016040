// SPDX-License-Identifier: Apache-2.0
//! The certificate authority of one federation.
//!
//! It lets a participant be recognised by TLS, and nothing more: it cannot add a member, because
//! membership is the roster, and it cannot speak for one, because statements are signed with identity
//! keys. Its key sits with the operator.

use std::net::IpAddr;
use std::time::Duration;

use consilium_crypto::digest::Digest;
use consilium_crypto::secret::Secret;
use consilium_crypto::transcript;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use thiserror::Error;

use crate::certificate::{CertificateFault, CertificateTrust, PeerIdentity, chain_to_pem};
use crate::identity::{KeyFault, TlsKey};
use crate::name::{Name, NameFault, Role};
use crate::unix_seconds::UnixSeconds;

/// A certificate authority with its private key.
pub struct CertificateAuthority {
    key: TlsKey,
    trust: CertificateTrust,
}

impl CertificateAuthority {
    /// Makes an authority. `name` is for people who look at certificates.
    pub fn create(
        name: &str,
        now: UnixSeconds,
        validity: Duration,
    ) -> Result<Self, AuthorityFault> {
        let key = TlsKey::generate()?;
        let pair = key.pair()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now, validity);
        params.serial_number = Some(serial_number(&[
            &pair.0.subject_public_key_info(),
            name.as_bytes(),
            &now.0.to_le_bytes(),
        ]));
        let certificate = params.self_signed(&pair.0)?;
        let trust = CertificateTrust::from_pem(&chain_to_pem(&[certificate.der().clone()]))?;
        Ok(Self { key, trust })
    }

    /// Reads an authority from its certificate and key, which must belong together.
    pub fn from_pem(certificate: &str, key: &Secret<Vec<u8>>) -> Result<Self, AuthorityFault> {
        let trust = CertificateTrust::from_pem(certificate)?;
        let key = TlsKey::from_pem(key)?;
        match trust.spki_digests()?.as_slice() {
            [digest] if *digest == key.spki_digest() => Ok(Self { key, trust }),
            _ => Err(AuthorityFault::KeyMismatch),
        }
    }

    /// The authority's certificate, for those who are to trust it.
    pub fn trust(&self) -> &CertificateTrust {
        &self.trust
    }

    /// The PEM text of the private key, to be kept in a secret file.
    pub fn key_to_pem(&self) -> Secret<Vec<u8>> {
        self.key.to_pem()
    }

    /// SHA-256 of the authority's SubjectPublicKeyInfo: its name in the roster and in invitations.
    pub fn spki_digest(&self) -> Digest {
        self.key.spki_digest()
    }

    /// Issues the certificate with which the coordinator serves, valid for the given host names and
    /// addresses.
    pub fn issue_server(
        &self,
        certificate_request: &str,
        name: &Name,
        hosts: &[String],
        now: UnixSeconds,
    ) -> Result<IssuedCertificate, AuthorityFault> {
        if hosts.is_empty() {
            return Err(AuthorityFault::NoHost);
        }
        let mut names = Vec::with_capacity(hosts.len());
        for host in hosts {
            names.push(host_name(host)?);
        }
        let holder = PeerIdentity {
            role: Role::Coordinator,
            name: name.clone(),
        };
        self.issue(certificate_request, &holder, names, now)
    }

    /// Issues the certificate with which a silo or a person connects.
    pub fn issue_member(
        &self,
        certificate_request: &str,
        role: Role,
        name: &Name,
        now: UnixSeconds,
    ) -> Result<IssuedCertificate, AuthorityFault> {
        if role == Role::Coordinator {
            return Err(AuthorityFault::CoordinatorAsMember);
        }
        let holder = PeerIdentity {
            role,
            name: name.clone(),
        };
        self.issue(certificate_request, &holder, Vec::new(), now)
    }

    fn issue(
        &self,
        certificate_request: &str,
        holder: &PeerIdentity,
        hosts: Vec<SanType>,
        now: UnixSeconds,
    ) -> Result<IssuedCertificate, AuthorityFault> {
        holder.role.accepts(&holder.name)?;
        // SECURITY: of the request only the public key is used, and that its holder signed it.
        let mut request = CertificateSigningRequestParams::from_pem(certificate_request)
            .map_err(|_| AuthorityFault::Request)?;
        let key = &request.public_key;
        if PublicKeyData::algorithm(key) != &PKCS_ECDSA_P256_SHA256
            || key.der_bytes().len() != UNCOMPRESSED_P256_POINT
        {
            return Err(AuthorityFault::KeyKind);
        }
        let uri = holder.to_uri();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, holder.name.as_str());
        params.subject_alt_names = hosts;
        params
            .subject_alt_names
            .push(SanType::URI(uri.as_str().try_into()?));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match holder.role {
            Role::Coordinator => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Silo | Role::Researcher | Role::Officer | Role::Operator => {
                ExtendedKeyUsagePurpose::ClientAuth
            }
        }];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, LEAF_VALIDITY);
        params.serial_number = Some(serial_number(&[
            &key.subject_public_key_info(),
            uri.as_bytes(),
            &now.0.to_le_bytes(),
        ]));
        request.params = params;

        let pair = self.key.pair()?;
        let authority = self
            .trust
            .authorities()
            .first()
            .ok_or(AuthorityFault::KeyMismatch)?;
        let issuer = Issuer::from_ca_cert_der(authority, &pair.0)?;
        let leaf = request.signed_by(&issuer)?.der().clone();
        Ok(IssuedCertificate {
            leaf,
            authority: authority.clone(),
        })
    }
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "CertificateAuthority({})", self.spki_digest())
    }
}

/// A certificate just issued.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    leaf: CertificateDer<'static>,
    authority: CertificateDer<'static>,
}

impl IssuedCertificate {
    /// The leaf alone.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.leaf
    }

    /// The PEM chain to present: the leaf, then the authority.
    ///
    /// The authority's certificate travels along because a newcomer knows it by fingerprint only.
    pub fn chain_pem(&self) -> String {
        chain_to_pem(&[self.leaf.clone(), self.authority.clone()])
    }

    /// The authority's certificate.
    pub fn authority_pem(&self) -> String {
        chain_to_pem(std::slice::from_ref(&self.authority))
    }
}

/// Why an authority could not be made, read or used.
#[derive(Debug, Error)]
pub enum AuthorityFault {
    /// The request cannot be read, or is not signed with the key it asks for.
    #[error("the certificate request is malformed or not signed by its own key; make a new one")]
    Request,
    /// A key of another kind.
    #[error(
        "the certificate request is not for an ECDSA P-256 key; make the key with this software"
    )]
    KeyKind,
    /// The key of another authority.
    #[error(
        "the authority's key and certificate do not belong together; restore both from one backup"
    )]
    KeyMismatch,
    /// Serving under no name.
    #[error("a server certificate needs at least one host name or address; name one with `--host`")]
    NoHost,
    /// Not a DNS name or an IP address.
    #[error("`{host}` is neither a host name nor an address; leave out the scheme and the port")]
    Host {
        /// What was given.
        host: String,
    },
    /// A member may not hold the coordinator's name.
    #[error("the coordinator's certificate is a server certificate and is not issued to a member")]
    CoordinatorAsMember,
    /// The name cannot be borne in that role.
    #[error(transparent)]
    Name(#[from] NameFault),
    /// A key fault.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// A certificate fault.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// The certificate library refused.
    #[error("the certificate could not be made")]
    Library(#[from] rcgen::Error),
}

fn host_name(host: &str) -> Result<SanType, AuthorityFault> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let fault = || AuthorityFault::Host {
        host: host.to_owned(),
    };
    rustls::pki_types::DnsName::try_from(host).map_err(|_| fault())?;
    Ok(SanType::DnsName(host.try_into().map_err(|_| fault())?))
}

fn set_validity(params: &mut CertificateParams, now: UnixSeconds, validity: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |moment: UnixSeconds| epoch + Duration::from_secs(moment.0.min(LATEST_MOMENT));
    params.not_before = at(now.minus(CLOCK_SKEW));
    params.not_after = at(now.plus(validity));
}

/// A serial number that no two certificates share, although one key may be certified twice.
fn serial_number(parts: &[&[u8]]) -> SerialNumber {
    let digest = transcript::sha256(&parts.concat());
    let mut serial: Vec<u8> = digest.as_bytes().iter().copied().take(16).collect();
    if let Some(first) = serial.first_mut() {
        // Positive and of full length, as RFC 5280, section 4.1.2.2, wants it.
        *first = (*first & 0x7f) | 0x40;
    }
    SerialNumber::from_slice(&serial)
}

/// How long a leaf is valid.
pub const LEAF_VALIDITY: Duration = Duration::from_secs(90 * 86_400);

/// Clocks of hospitals that run this much behind still accept a new certificate.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// 9999-12-31, the last day that a certificate can express.
const LATEST_MOMENT: u64 = 253_402_214_400;

const UNCOMPRESSED_P256_POINT: usize = 65;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::certificate::CertificateFacts;

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    fn authority() -> CertificateAuthority {
        CertificateAuthority::create("Test federation", NOW, Duration::from_secs(86_400 * 3650))
            .unwrap()
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_leaf_names_its_holder_and_lives_ninety_days() {
        let key = TlsKey::generate().unwrap();
        let request = key.certificate_request(&name("3_UK")).unwrap();
        let issued = authority()
            .issue_member(&request, Role::Silo, &name("3_UK"), NOW)
            .unwrap();
        let facts = CertificateFacts::read(issued.leaf()).unwrap();
        assert_eq!(facts.holder.to_uri(), "urn:consilium:silo:3_UK");
        assert_eq!(facts.spki_digest, key.spki_digest());
        assert_eq!(facts.days_left(NOW), 90);
        assert_eq!(
            facts.days_left(NOW.plus(Duration::from_secs(86_400 * 91))),
            0
        );
        assert_eq!(facts.not_before, NOW.minus(CLOCK_SKEW));
    }

    #[test]
    fn the_name_in_the_request_does_not_count() {
        let key = TlsKey::generate().unwrap();
        let request = key.certificate_request(&name("somebody-else")).unwrap();
        let issued = authority()
            .issue_member(&request, Role::Silo, &name("3_UK"), NOW)
            .unwrap();
        assert_eq!(
            CertificateFacts::read(issued.leaf()).unwrap().holder.name,
            name("3_UK")
        );
    }

    #[test]
    fn an_authority_survives_its_files_and_refuses_another_key() {
        let first = authority();
        let again =
            CertificateAuthority::from_pem(&first.trust().to_pem(), &first.key_to_pem()).unwrap();
        assert_eq!(first.spki_digest(), again.spki_digest());
        let fault =
            CertificateAuthority::from_pem(&first.trust().to_pem(), &authority().key_to_pem());
        assert!(matches!(fault, Err(AuthorityFault::KeyMismatch)));
    }

    #[test]
    fn a_request_that_was_altered_is_refused() {
        let key = TlsKey::generate().unwrap();
        let request = key.certificate_request(&name("3_UK")).unwrap();
        let altered = request.replacen('M', "N", 3);
        let fault = authority().issue_member(&altered, Role::Silo, &name("3_UK"), NOW);
        assert!(matches!(fault, Err(AuthorityFault::Request)));
    }

    #[test]
    fn a_request_for_an_ed25519_key_is_refused() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let request = CertificateParams::default()
            .serialize_request(&pair)
            .unwrap()
            .pem()
            .unwrap();
        let fault = authority().issue_member(&request, Role::Silo, &name("3_UK"), NOW);
        assert!(matches!(fault, Err(AuthorityFault::KeyKind)));
    }

    #[test]
    fn a_member_cannot_be_given_the_coordinators_role() {
        let request = TlsKey::generate()
            .unwrap()
            .certificate_request(&name("x"))
            .unwrap();
        let fault = authority().issue_member(&request, Role::Coordinator, &name("x"), NOW);
        assert!(matches!(fault, Err(AuthorityFault::CoordinatorAsMember)));
    }

    #[test]
    fn hosts_are_names_or_addresses_without_scheme_or_port() {
        let request = TlsKey::generate()
            .unwrap()
            .certificate_request(&name("c"))
            .unwrap();
        let issue = |hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            authority().issue_server(&request, &name("c"), &hosts, NOW)
        };
        assert!(issue(&["localhost", "127.0.0.1", "::1", "fed.example"]).is_ok());
        assert!(matches!(issue(&[]), Err(AuthorityFault::NoHost)));
        assert!(matches!(
            issue(&["https://fed.example"]),
            Err(AuthorityFault::Host { .. })
        ));
        assert!(matches!(
            issue(&["fed.example:8443"]),
            Err(AuthorityFault::Host { .. })
        ));
    }

    #[test]
    fn one_key_certified_twice_has_two_serial_numbers() {
        let authority = authority();
        let request = TlsKey::generate()
            .unwrap()
            .certificate_request(&name("a"))
            .unwrap();
        let issue = |now| {
            authority
                .issue_member(&request, Role::Silo, &name("a"), now)
                .unwrap()
        };
        let serial = |issued: IssuedCertificate| {
            let (_, parsed) = x509_parser::parse_x509_certificate(issued.leaf()).unwrap();
            parsed.tbs_certificate.raw_serial().to_vec()
        };
        assert_ne!(serial(issue(NOW)), serial(issue(UnixSeconds(NOW.0 + 1))));
    }
}
