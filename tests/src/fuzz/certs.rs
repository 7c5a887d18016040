// SPDX-License-Identifier: Apache-2.0
//! Membership: rosters, invitations, certificates and requests for them.

use super::steer;
use anyhow::{Context, Result};
use consilium_certs::certificate::{CertificateFacts, CertificateTrust, peer_identity};
use consilium_certs::{
    CertificateAuthority, CoordinatorEntry, Invitation, InvitationTerms, Member, Name, Role,
    Roster, RosterParts, SignedRoster, TlsKey, UnixSeconds,
};
use consilium_crypto::random::InsecureSeededRandom;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::sha256;
use std::sync::LazyLock;
use std::time::Duration;

/// A roster has one spelling; a signed one is read again as it was.
pub(super) fn roster(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(roster) = Roster::parse(text)
    {
        assert_eq!(roster.text(), text);
    }
    if let Ok(signed) = serde_json::from_slice::<SignedRoster>(input) {
        let written = serde_json::to_vec(&signed).unwrap_or_default();
        assert_eq!(
            serde_json::from_slice::<SignedRoster>(&written).ok(),
            Some(signed.clone())
        );
        let _ = signed.verify_founding();
    }
}

pub(super) fn roster_seeds() -> Result<Vec<Vec<u8>>> {
    let roster = founding()?;
    let mut signed = SignedRoster::unsigned(&roster);
    for (seed, name) in (10..).zip(["east", "north", "west"]) {
        signed.add(None, &Name::parse(name)?, roster.sign(&key(seed)))?;
    }
    Ok(vec![
        roster.text().as_bytes().to_vec(),
        serde_json::to_vec(&signed)?,
        serde_json::to_vec(&SignedRoster::unsigned(&roster))?,
    ])
}

/// An invitation that is read is written as it was pasted, but for the spaces around it.
pub(super) fn invitation(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(invitation) = Invitation::parse(text) {
        let again = Invitation::parse(&invitation.to_line());
        assert!(again.is_ok_and(|again| again.terms() == invitation.terms()));
    }
    for role in ["silo", "researcher", text] {
        let _ = role.parse::<Role>();
    }
    if let Ok(name) = Name::parse(text) {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(roster) = founding() {
        let _ = roster.short_code().is_spelled(text);
    }
}

pub(super) fn invitation_seeds() -> Result<Vec<Vec<u8>>> {
    let terms = InvitationTerms {
        address: "coordinator.example:8443".to_owned(),
        server_name: "coordinator.example".to_owned(),
        coordinator: Name::parse("coordinator")?,
        coordinator_key: key(1).verifying_key(),
        ca_spki: sha256(b"authority"),
        role: Role::Silo,
        name: Name::parse("north")?,
    };
    let mut random = InsecureSeededRandom::from_seed(4);
    let (invitation, _) = Invitation::issue(
        terms,
        UnixSeconds(1_700_000_000),
        Duration::from_secs(3_600),
        &mut random,
    )?;
    Ok(vec![
        invitation.to_line().as_bytes().to_vec(),
        founding()?.short_code().to_string().into_bytes(),
        b"north".to_vec(),
    ])
}

/// Certificates as DER and PEM, and requests for them.
pub(super) fn certificate(input: &[u8]) {
    let (which, rest) = steer(input);
    if which % 2 == 0 {
        let der = rest.to_vec().into();
        let _ = CertificateFacts::read(&der);
        let _ = peer_identity(std::slice::from_ref(&der));
    } else if let Ok(text) = std::str::from_utf8(rest)
        && let Ok(trust) = CertificateTrust::from_pem(text)
    {
        let written = trust.to_pem();
        let again = CertificateTrust::from_pem(&written);
        assert!(again.is_ok_and(|again| again.to_pem() == written));
        let _ = trust.spki_digests();
    }
}

pub(super) fn certificate_seeds() -> Result<Vec<Vec<u8>>> {
    let decade = Duration::from_secs(3650 * 86_400);
    let authority = CertificateAuthority::create("Test", UnixSeconds(1_700_000_000), decade)?;
    let pem = authority.trust().to_pem();
    let der = authority
        .trust()
        .authorities()
        .first()
        .context("an authority")?;
    Ok(vec![
        [&[0], der.as_ref()].concat(),
        [&[1], pem.as_bytes()].concat(),
        [&[1], pem.as_bytes(), pem.as_bytes()].concat(),
    ])
}

/// A request for a certificate is refused, or certified under the name that was invited and no other.
pub(super) fn request(input: &[u8]) {
    let (Ok(authority), Ok(text)) = (&*AUTHORITY, std::str::from_utf8(input)) else {
        return;
    };
    let (now, Ok(name)) = (UnixSeconds(1_700_000_100), Name::parse("north")) else {
        return;
    };
    if let Ok(issued) = authority.issue_member(text, Role::Silo, &name, now) {
        let facts = CertificateFacts::read(issued.leaf());
        let holder = facts.ok().map(|facts| facts.holder);
        assert_eq!(holder.as_ref().map(|holder| &holder.name), Some(&name));
        assert_eq!(holder.map(|holder| holder.role), Some(Role::Silo));
    }
}

pub(super) fn request_seeds() -> Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for name in ["north", "south"] {
        let key = TlsKey::generate()?;
        seeds.push(key.certificate_request(&Name::parse(name)?)?.into_bytes());
    }
    Ok(seeds)
}

static AUTHORITY: LazyLock<Result<CertificateAuthority>> = LazyLock::new(|| {
    let decade = Duration::from_secs(3650 * 86_400);
    Ok(CertificateAuthority::create(
        "Test",
        UnixSeconds(1_700_000_000),
        decade,
    )?)
});

fn founding() -> Result<Roster> {
    let mut members = Vec::new();
    for (seed, name) in (10..).zip(["east", "north", "west"]) {
        members.push(Member {
            name: Name::parse(name)?,
            identity: key(seed).verifying_key(),
            witness: key(seed + 10).verifying_key(),
        });
    }
    Ok(Roster::found(RosterParts {
        coordinator: CoordinatorEntry {
            key: key(1).verifying_key(),
            log_key: key(2).verifying_key(),
            log_origin: "coordinator.example/log".to_owned(),
            name: Name::parse("coordinator")?,
        },
        members,
        researchers: vec![],
        officers: vec![],
        operators: vec![],
        ca_spki: vec![sha256(b"authority")],
        colluders: None,
    })?)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([seed; 32]))
}
