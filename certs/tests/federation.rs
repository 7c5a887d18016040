// SPDX-License-Identifier: Apache-2.0
//! A federation to test with.

use std::time::{Duration, SystemTime};

use consilium_certs::invitation::DEFAULT_VALIDITY;
use consilium_certs::{
    CertificateAuthority, CertificateTrust, CoordinatorEntry, EnrolmentRequest, EnrolmentResponse,
    Invitation, InvitationRecord, InvitationTerms, Member, Name, Person, Role, Roster, RosterParts,
    SignedRoster, TlsIdentity, TlsKey, UnixSeconds, VerifiedRoster, enrolment::EnrolmentKeys,
};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::signing::SigningKey;

/// rustls asks the real clock, so certificates are made for today.
pub(crate) fn now() -> UnixSeconds {
    UnixSeconds::from_system_time(SystemTime::now())
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn key(random: &mut dyn RandomSource) -> SigningKey {
    SigningKey::from_seed(&random.secret32())
}

/// The keys of one silo, researcher or officer.
pub(crate) struct Participant {
    pub(crate) name: Name,
    pub(crate) identity: SigningKey,
    pub(crate) witness: Option<SigningKey>,
}

impl Participant {
    pub(crate) fn new(role: Role, text: &str, random: &mut dyn RandomSource) -> Self {
        let witness = (role == Role::Silo).then(|| key(random));
        Self {
            name: name(text),
            identity: key(random),
            witness,
        }
    }

    pub(crate) fn member(&self) -> Member {
        Member {
            name: self.name.clone(),
            identity: self.identity.verifying_key(),
            witness: self.witness.as_ref().unwrap().verifying_key(),
        }
    }

    pub(crate) fn person(&self) -> Person {
        Person {
            name: self.name.clone(),
            key: self.identity.verifying_key(),
        }
    }

    pub(crate) fn keys<'a>(&'a self, tls: &'a TlsKey) -> EnrolmentKeys<'a> {
        EnrolmentKeys {
            identity: &self.identity,
            witness: self.witness.as_ref(),
            tls,
        }
    }
}

/// A coordinator with its authority, four silos and a researcher.
pub(crate) struct Federation {
    pub(crate) random: InsecureSeededRandom,
    pub(crate) authority: CertificateAuthority,
    pub(crate) coordinator: SigningKey,
    pub(crate) log: SigningKey,
    pub(crate) silos: Vec<Participant>,
    pub(crate) researcher: Participant,
}

impl Federation {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = InsecureSeededRandom::from_seed(seed);
        let decade = Duration::from_secs(3650 * 86_400);
        Self {
            authority: CertificateAuthority::create("Test", now(), decade).unwrap(),
            coordinator: key(&mut random),
            log: key(&mut random),
            silos: ["1_UM", "2_IU", "3_UK", "4_Case"]
                .map(|text| Participant::new(Role::Silo, text, &mut random))
                .into(),
            researcher: Participant::new(Role::Researcher, "a.ruiz@uni.example", &mut random),
            random,
        }
    }

    pub(crate) fn parts(&self) -> RosterParts {
        RosterParts {
            coordinator: CoordinatorEntry {
                key: self.coordinator.verifying_key(),
                log_key: self.log.verifying_key(),
                log_origin: "fed.example/consilium".to_owned(),
                name: name("federation"),
            },
            members: self.silos.iter().map(Participant::member).collect(),
            researchers: vec![self.researcher.person()],
            officers: vec![],
            operators: vec![],
            ca_spki: vec![self.authority.spki_digest()],
            colluders: None,
        }
    }

    /// Version 1 as the coordinator drafts it.
    pub(crate) fn founding(&self) -> Roster {
        Roster::found(self.parts()).unwrap()
    }

    /// Version 1, agreed.
    pub(crate) fn founded(&self) -> (SignedRoster, VerifiedRoster) {
        let roster = self.founding();
        let signed = self.signed_by(&roster, &[0, 1, 2, 3]);
        let verified = signed.verify_founding().unwrap();
        (signed, verified)
    }

    /// A roster with the signatures of some silos, put in without any check.
    pub(crate) fn signed_by(&self, roster: &Roster, silos: &[usize]) -> SignedRoster {
        let mut signed = SignedRoster::unsigned(roster);
        for index in silos {
            let silo = &self.silos[*index];
            signed
                .signatures
                .insert(silo.name.clone(), roster.sign(&silo.identity));
        }
        signed
    }

    pub(crate) fn invite(&mut self, role: Role, text: &str) -> (Invitation, InvitationRecord) {
        let terms = InvitationTerms {
            address: "localhost:8443".to_owned(),
            server_name: "localhost".to_owned(),
            coordinator: name("federation"),
            coordinator_key: self.coordinator.verifying_key(),
            ca_spki: self.authority.spki_digest(),
            role,
            name: name(text),
        };
        Invitation::issue(terms, now(), DEFAULT_VALIDITY, &mut self.random).unwrap()
    }

    /// The coordinator's certificate for `localhost`.
    pub(crate) fn server(&self) -> TlsIdentity {
        server_of(&self.authority, "federation", now())
    }

    /// The certificate of a participant, through the whole of enrolment.
    pub(crate) fn enrol(&mut self, role: Role, text: &str) -> TlsIdentity {
        let participant = Participant::new(role, text, &mut self.random);
        let (invitation, record) = self.invite(role, text);
        let tls = TlsKey::generate().unwrap();
        let request = EnrolmentRequest::make(&invitation, &participant.keys(&tls), now()).unwrap();
        let enrolled = record.accept(&request, now()).unwrap();
        let response = EnrolmentResponse::make(&enrolled, &self.authority, now()).unwrap();
        let trust = response.check(&invitation, &tls, now()).unwrap();
        TlsIdentity::new(&response.certificate_chain, tls, trust).unwrap()
    }
}

/// A server certificate for `localhost` from an authority, issued at some time.
pub(crate) fn server_of(
    authority: &CertificateAuthority,
    text: &str,
    at: UnixSeconds,
) -> TlsIdentity {
    let tls = TlsKey::generate().unwrap();
    let request = tls.certificate_request(&name(text)).unwrap();
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let issued = authority
        .issue_server(&request, &name(text), &hosts, at)
        .unwrap();
    TlsIdentity::new(&issued.chain_pem(), tls, authority.trust().clone()).unwrap()
}

/// A client certificate from an authority, by a client that believes `trust`.
pub(crate) fn client_of(
    authority: &CertificateAuthority,
    trust: &CertificateTrust,
    role: Role,
    text: &str,
    at: UnixSeconds,
) -> TlsIdentity {
    let tls = TlsKey::generate().unwrap();
    let request = tls.certificate_request(&name(text)).unwrap();
    let issued = authority
        .issue_member(&request, role, &name(text), at)
        .unwrap();
    TlsIdentity::new(&issued.chain_pem(), tls, trust.clone()).unwrap()
}
