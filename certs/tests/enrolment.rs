// SPDX-License-Identifier: Apache-2.0
//! Invitations answered well and badly.

use std::time::Duration;

use consilium_certs::enrolment::token_from_bytes;
use consilium_certs::{
    CertificateFault, EnrolmentFault, EnrolmentRequest, EnrolmentResponse, Invitation,
    InvitationFault, InvitationRecord, Role, TlsKey,
};

use crate::federation::{Federation, Participant, name, now};

/// A silo that has been invited and has answered.
struct Joining {
    federation: Federation,
    invitation: Invitation,
    record: InvitationRecord,
    silo: Participant,
    tls: TlsKey,
    request: EnrolmentRequest,
}

fn joining(seed: u64) -> Joining {
    let mut federation = Federation::new(seed);
    let silo = Participant::new(Role::Silo, "5_OSU", &mut federation.random);
    let (invitation, record) = federation.invite(Role::Silo, "5_OSU");
    // The line is pasted by a person, so the test passes it on as text too.
    let invitation = Invitation::parse(&invitation.to_line()).unwrap();
    let tls = TlsKey::generate().unwrap();
    let request = EnrolmentRequest::make(&invitation, &silo.keys(&tls), now()).unwrap();
    Joining {
        federation,
        invitation,
        record,
        silo,
        tls,
        request,
    }
}

#[test]
fn an_invited_silo_is_enrolled_with_the_keys_it_made() {
    let it = joining(1);
    assert_eq!(it.request.token_hash(), it.record.token_hash);
    let enrolled = it.record.accept(&it.request, now()).unwrap();
    assert_eq!(enrolled.to_member().unwrap(), it.silo.member());
    assert_eq!(enrolled.to_person(), None);
    let stored = serde_json::to_string(&enrolled).unwrap();
    assert_eq!(
        serde_json::from_str::<consilium_certs::Enrolled>(&stored).unwrap(),
        enrolled
    );
}

#[test]
fn a_researcher_is_enrolled_as_a_person_without_a_witness_key() {
    let mut federation = Federation::new(2);
    let (invitation, record) = federation.invite(Role::Researcher, "a.ruiz@uni.example");
    let tls = TlsKey::generate().unwrap();
    let researcher = &federation.researcher;
    let request = EnrolmentRequest::make(&invitation, &researcher.keys(&tls), now()).unwrap();
    let enrolled = record.accept(&request, now()).unwrap();
    assert_eq!(enrolled.to_person().unwrap(), researcher.person());
    assert_eq!(enrolled.to_member(), None);
}

#[test]
fn the_code_read_out_is_that_of_the_keys_received() {
    let it = joining(3);
    let enrolled = it.record.accept(&it.request, now()).unwrap();
    let code = consilium_certs::enrolment::short_code(
        Role::Silo,
        &it.silo.name,
        &it.silo.identity.verifying_key(),
        it.silo
            .witness
            .as_ref()
            .map(|key| key.verifying_key())
            .as_ref(),
    );
    assert_eq!(enrolled.short_code(), code);
    let mut swapped = enrolled.clone();
    swapped.identity = it.federation.silos[0].identity.verifying_key();
    assert_ne!(swapped.short_code(), code);
}

#[test]
fn a_token_is_worth_nothing_under_another_name_or_role() {
    let mut it = joining(4);
    it.request.name = name("6_OSU");
    assert_ne!(it.request.token_hash(), it.record.token_hash);
    let fault = it.record.clone().accept(&it.request, now()).unwrap_err();
    assert!(
        matches!(fault, EnrolmentFault::AnotherInvited { .. }),
        "{fault}"
    );

    it.request.name = name("5_OSU");
    it.request.role = Role::Officer;
    let fault = it.record.accept(&it.request, now()).unwrap_err();
    assert!(
        matches!(fault, EnrolmentFault::AnotherInvited { .. }),
        "{fault}"
    );
}

#[test]
fn a_replayed_token_finds_no_record_and_another_record_does_not_take_it() {
    let mut it = joining(5);
    let used = it.record.clone();
    used.accept(&it.request, now()).unwrap();
    // `accept` consumed the record; a later invitation of the same name has another token.
    let (_, next) = it.federation.invite(Role::Silo, "5_OSU");
    assert_ne!(it.request.token_hash(), next.token_hash);
    let fault = next.accept(&it.request, now()).unwrap_err();
    assert!(matches!(fault, EnrolmentFault::Token), "{fault}");
}

#[test]
fn a_guessed_token_is_refused() {
    let mut it = joining(6);
    it.request.token = token_from_bytes(&[0; 32]).unwrap();
    let fault = it.record.accept(&it.request, now()).unwrap_err();
    assert!(matches!(fault, EnrolmentFault::Token), "{fault}");
    assert!(matches!(
        token_from_bytes(&[0; 31]),
        Err(EnrolmentFault::Token)
    ));
}

#[test]
fn an_answer_after_the_invitation_ended_is_refused_at_both_ends() {
    let it = joining(7);
    let late = it.record.expires.plus(Duration::from_secs(1));
    let fault = EnrolmentRequest::make(&it.invitation, &it.silo.keys(&it.tls), late);
    assert!(matches!(
        fault.map(|_| ()),
        Err(EnrolmentFault::Invitation(InvitationFault::Expired { .. }))
    ));
    let fault = it.record.accept(&it.request, late).unwrap_err();
    assert!(matches!(
        fault,
        EnrolmentFault::Invitation(InvitationFault::Expired { .. })
    ));
}

#[test]
fn no_part_of_a_request_can_be_swapped_on_its_way() {
    let other = Participant::new(Role::Silo, "x", &mut Federation::new(99).random);
    let other_request = TlsKey::generate()
        .unwrap()
        .certificate_request(&name("5_OSU"))
        .unwrap();
    let attacks: [&dyn Fn(&mut EnrolmentRequest); 6] = [
        &|request| request.identity = other.identity.verifying_key(),
        &|request| request.witness = Some(other.witness.as_ref().unwrap().verifying_key()),
        &|request| request.certificate_request = other_request.clone(),
        &|request| request.identity_signature = request.witness_signature.unwrap(),
        &|request| request.witness_signature = Some(request.identity_signature),
        &|request| request.witness_signature = None,
    ];
    for (index, attack) in attacks.iter().enumerate() {
        let mut it = joining(8);
        attack(&mut it.request);
        let fault = it.record.accept(&it.request, now()).unwrap_err();
        assert!(
            matches!(fault, EnrolmentFault::Signature),
            "attack {index}: {fault}"
        );
    }
}

#[test]
fn a_silo_has_a_witness_key_of_its_own_and_nobody_else_has_one() {
    let mut it = joining(9);
    let mut keys = it.silo.keys(&it.tls);
    keys.witness = None;
    let fault = EnrolmentRequest::make(&it.invitation, &keys, now())
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(fault, EnrolmentFault::WitnessMissing), "{fault}");

    keys.witness = Some(&it.silo.identity);
    let request = EnrolmentRequest::make(&it.invitation, &keys, now()).unwrap();
    let fault = it.record.accept(&request, now()).unwrap_err();
    assert!(matches!(fault, EnrolmentFault::OneKeyForTwo), "{fault}");

    let (invitation, _) = it.federation.invite(Role::Officer, "o@hospital.example");
    let keys = it.silo.keys(&it.tls);
    let fault = EnrolmentRequest::make(&invitation, &keys, now())
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(
            fault,
            EnrolmentFault::WitnessUnexpected {
                role: Role::Officer
            }
        ),
        "{fault}"
    );
}

#[test]
fn a_certificate_from_an_authority_other_than_the_invitations_is_refused() {
    let it = joining(10);
    let enrolled = it.record.accept(&it.request, now()).unwrap();
    let impostor = Federation::new(11).authority;
    let mut response = EnrolmentResponse::make(&enrolled, &impostor, now()).unwrap();
    let fault = response.check(&it.invitation, &it.tls, now()).unwrap_err();
    assert!(matches!(
        fault,
        EnrolmentFault::Certificate(CertificateFault::UnknownAuthority)
    ));

    // Naming the right authority beside it does not make the leaf one of its own.
    response.authorities = it.federation.authority.trust().to_pem() + &response.authorities;
    let fault = response.check(&it.invitation, &it.tls, now()).unwrap_err();
    assert!(matches!(fault, EnrolmentFault::Tls(_)), "{fault}");
}

#[test]
fn a_second_authority_slipped_into_the_answer_is_not_believed() {
    let it = joining(12);
    let enrolled = it.record.accept(&it.request, now()).unwrap();
    let mut response = EnrolmentResponse::make(&enrolled, &it.federation.authority, now()).unwrap();
    response.authorities += &Federation::new(13).authority.trust().to_pem();
    let trust = response.check(&it.invitation, &it.tls, now()).unwrap();
    assert_eq!(&trust, it.federation.authority.trust());
}

#[test]
fn a_certificate_for_another_name_role_or_key_is_refused() {
    let it = joining(14);
    let enrolled = it.record.clone().accept(&it.request, now()).unwrap();
    let mut another_name = enrolled.clone();
    another_name.name = name("6_OSU");
    let mut another_role = enrolled.clone();
    another_role.role = Role::Officer;
    let mut another_key = enrolled.clone();
    another_key.certificate_request = TlsKey::generate()
        .unwrap()
        .certificate_request(&name("5_OSU"))
        .unwrap();
    for wrong in [another_name, another_role, another_key] {
        let response = EnrolmentResponse::make(&wrong, &it.federation.authority, now()).unwrap();
        let fault = response.check(&it.invitation, &it.tls, now()).unwrap_err();
        assert!(
            matches!(fault, EnrolmentFault::AnotherCertified { .. }),
            "{fault}"
        );
    }
}

#[test]
fn an_expired_certificate_is_refused_when_it_arrives() {
    let it = joining(15);
    let enrolled = it.record.accept(&it.request, now()).unwrap();
    let response = EnrolmentResponse::make(&enrolled, &it.federation.authority, now()).unwrap();
    let late = now().plus(Duration::from_secs(91 * 86_400));
    let fault = response.check(&it.invitation, &it.tls, late).unwrap_err();
    assert!(matches!(fault, EnrolmentFault::Tls(_)), "{fault}");
}
