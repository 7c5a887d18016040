// SPDX-License-Identifier: Apache-2.0
//! Real handshakes, in memory.

use std::sync::Arc;
use std::time::Duration;

use consilium_certs::{
    CertificateAuthority, CertificateFault, ChannelBinding, Role, TlsIdentity, peer_identity, tls,
};
use consilium_crypto::digest::Digest;
use rustls::pki_types::ServerName;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, NamedGroup, ProtocolVersion,
    ServerConfig, ServerConnection,
};

use crate::federation::{Federation, client_of, name, now, server_of};

#[test]
fn a_silo_and_the_coordinator_recognise_each_other_over_post_quantum_tls_1_3() {
    let mut federation = Federation::new(1);
    let silo = federation.enrol(Role::Silo, "3_UK");
    let (client, server) = connect(
        tls::client_config(&silo, &name("federation")).unwrap(),
        tls::server_config(&federation.server()).unwrap(),
    )
    .unwrap();

    let peer = peer_identity(server.peer_certificates().unwrap_or_default()).unwrap();
    assert_eq!((peer.role, peer.name), (Role::Silo, name("3_UK")));
    let peer = peer_identity(client.peer_certificates().unwrap_or_default()).unwrap();
    assert_eq!(
        (peer.role, peer.name),
        (Role::Coordinator, name("federation"))
    );

    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = client.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(server.alpn_protocol(), Some(b"h2".as_slice()));
}

#[test]
fn both_ends_of_one_connection_and_no_others_share_the_channel_binding() {
    let mut federation = Federation::new(2);
    let silo = federation.enrol(Role::Silo, "3_UK");
    let open = || {
        connect(
            tls::client_config(&silo, &name("federation")).unwrap(),
            tls::server_config(&federation.server()).unwrap(),
        )
        .unwrap()
    };
    let ((silo_end, coordinator_end), (other, _)) = (open(), open());
    let at_silo = ChannelBinding::of_connection(&silo_end).unwrap();
    let at_coordinator = ChannelBinding::of_connection(&coordinator_end).unwrap();
    let elsewhere = ChannelBinding::of_connection(&other).unwrap();
    assert_eq!(at_silo, at_coordinator);
    assert_ne!(at_silo, elsewhere);

    let silo_key = &federation.silos[2].identity;
    let signature = at_silo.sign(silo_key, &[b"3_UK", b"instance"]);
    let verify = |binding: &ChannelBinding, statement: &[&[u8]]| {
        binding.verify(&silo_key.verifying_key(), statement, &signature)
    };
    assert!(verify(&at_coordinator, &[b"3_UK", b"instance"]).is_ok());
    assert!(verify(&at_coordinator, &[b"3_UK", b"another"]).is_err());
    assert!(
        verify(&elsewhere, &[b"3_UK", b"instance"]).is_err(),
        "a proxy went unnoticed"
    );
}

#[test]
fn a_newcomer_without_certificate_connects_but_is_nobody() {
    let federation = Federation::new(3);
    let client =
        tls::enrolment_client_config(federation.authority.spki_digest(), &name("federation"));
    let (_, server) = connect(
        client.unwrap(),
        tls::server_config(&federation.server()).unwrap(),
    )
    .unwrap();
    let peer = peer_identity(server.peer_certificates().unwrap_or_default());
    assert_eq!(peer, Err(CertificateFault::NotPresented));
}

#[test]
fn a_newcomer_sends_nothing_to_a_server_of_another_authority() {
    let federation = Federation::new(4);
    let impostor = authority();
    for pin in [
        federation.authority.spki_digest(),
        Digest::from_bytes([0; 32]),
    ] {
        let client = tls::enrolment_client_config(pin, &name("federation")).unwrap();
        let server = server_of(&impostor, "federation", now());
        let fault = connect(client, tls::server_config(&server).unwrap()).unwrap_err();
        assert_eq!(fault, AtClient(CertificateError::UnknownIssuer.into()));
    }
}

#[test]
fn sending_the_pinned_authoritys_certificate_along_does_not_help_an_impostor() {
    let federation = Federation::new(5);
    let impostor = authority();
    let tls_key = consilium_certs::TlsKey::generate().unwrap();
    let request = tls_key.certificate_request(&name("federation")).unwrap();
    let hosts = ["localhost".to_owned()];
    let issued = impostor
        .issue_server(&request, &name("federation"), &hosts, now())
        .unwrap();
    let chain = issued.chain_pem() + &federation.authority.trust().to_pem();
    let server = TlsIdentity::new(&chain, tls_key, impostor.trust().clone()).unwrap();

    let pin = federation.authority.spki_digest();
    let client = tls::enrolment_client_config(pin, &name("federation")).unwrap();
    let fault = connect(client, tls::server_config(&server).unwrap()).unwrap_err();
    assert!(
        matches!(fault, AtClient(Error::InvalidCertificate(_))),
        "{fault:?}"
    );
}

#[test]
fn a_silo_refuses_a_coordinator_of_another_authority() {
    let mut federation = Federation::new(6);
    let silo = federation.enrol(Role::Silo, "3_UK");
    let server = server_of(&authority(), "federation", now());
    let fault = connect(
        tls::client_config(&silo, &name("federation")).unwrap(),
        tls::server_config(&server).unwrap(),
    )
    .unwrap_err();
    assert!(
        matches!(fault, AtClient(Error::InvalidCertificate(_))),
        "{fault:?}"
    );
}

#[test]
fn the_coordinator_refuses_a_silo_of_another_authority() {
    let federation = Federation::new(7);
    let trust = federation.authority.trust();
    let stranger = client_of(&authority(), trust, Role::Silo, "3_UK", now());
    let fault = connect(
        tls::client_config(&stranger, &name("federation")).unwrap(),
        tls::server_config(&federation.server()).unwrap(),
    )
    .unwrap_err();
    assert!(
        matches!(fault, AtServer(Error::InvalidCertificate(_))),
        "{fault:?}"
    );
}

#[test]
fn a_silo_cannot_serve_in_the_coordinators_place() {
    let mut federation = Federation::new(8);
    let silo = federation.enrol(Role::Silo, "3_UK");
    let rogue = federation.enrol(Role::Silo, "2_IU");
    let fault = connect(
        tls::client_config(&silo, &name("federation")).unwrap(),
        tls::server_config(&rogue).unwrap(),
    )
    .unwrap_err();
    assert!(
        matches!(fault, AtClient(Error::InvalidCertificate(_))),
        "{fault:?}"
    );
}

#[test]
fn a_coordinator_of_another_name_is_refused_by_name() {
    let mut federation = Federation::new(9);
    let silo = federation.enrol(Role::Silo, "3_UK");
    let server = server_of(&federation.authority, "another", now());
    let fault = connect(
        tls::client_config(&silo, &name("federation")).unwrap(),
        tls::server_config(&server).unwrap(),
    )
    .unwrap_err();
    let AtClient(Error::InvalidCertificate(CertificateError::Other(reason))) = fault else {
        panic!("{fault:?}");
    };
    let said = reason.0.to_string();
    assert_eq!(
        said,
        "the server is coordinator `another` and not coordinator `federation`"
    );
}

#[test]
fn a_server_reached_under_another_host_name_is_refused() {
    let mut federation = Federation::new(10);
    let silo = federation.enrol(Role::Silo, "3_UK");
    let client = tls::client_config(&silo, &name("federation")).unwrap();
    let server = tls::server_config(&federation.server()).unwrap();
    let reach = |host: &str| {
        let host = ServerName::try_from(host.to_owned()).unwrap();
        connect_to(host, Arc::clone(&client), Arc::clone(&server))
    };
    assert!(reach("localhost").is_ok());
    assert!(reach("127.0.0.1").is_ok());
    let fault = reach("elsewhere.example").unwrap_err();
    assert!(
        matches!(fault, AtClient(Error::InvalidCertificate(_))),
        "{fault:?}"
    );
}

#[test]
fn expired_certificates_are_refused_at_both_ends() {
    let mut federation = Federation::new(11);
    let long_ago = now().minus(Duration::from_secs(91 * 86_400));
    let trust = federation.authority.trust();

    let old_silo = client_of(&federation.authority, trust, Role::Silo, "3_UK", long_ago);
    let fault = connect(
        tls::client_config(&old_silo, &name("federation")).unwrap(),
        tls::server_config(&federation.server()).unwrap(),
    )
    .unwrap_err();
    assert!(
        matches!(fault, AtServer(Error::InvalidCertificate(_))),
        "{fault:?}"
    );

    let old_server = server_of(&federation.authority, "federation", long_ago);
    let silo = federation.enrol(Role::Silo, "3_UK");
    let fault = connect(
        tls::client_config(&silo, &name("federation")).unwrap(),
        tls::server_config(&old_server).unwrap(),
    )
    .unwrap_err();
    assert!(
        matches!(fault, AtClient(Error::InvalidCertificate(_))),
        "{fault:?}"
    );
}

#[test]
fn the_role_in_the_certificate_is_the_one_that_was_invited() {
    let mut federation = Federation::new(12);
    let researcher = federation.enrol(Role::Researcher, "a.ruiz@uni.example");
    let (_, server) = connect(
        tls::client_config(&researcher, &name("federation")).unwrap(),
        tls::server_config(&federation.server()).unwrap(),
    )
    .unwrap();
    let peer = peer_identity(server.peer_certificates().unwrap_or_default()).unwrap();
    assert_eq!(peer.role, Role::Researcher);
    assert_eq!(peer.name, name("a.ruiz@uni.example"));
    let (_, roster) = federation.founded();
    assert!(roster.admits(&peer));
    let posing = consilium_certs::PeerIdentity {
        role: Role::Silo,
        name: name("a.ruiz"),
    };
    assert!(!roster.admits(&posing));
}

#[test]
fn a_second_connection_proves_itself_afresh() {
    let mut federation = Federation::new(13);
    let silo = federation.enrol(Role::Silo, "3_UK");
    let client = tls::client_config(&silo, &name("federation")).unwrap();
    let server = tls::server_config(&federation.server()).unwrap();
    for _ in 0..2 {
        let (client, _) = connect(Arc::clone(&client), Arc::clone(&server)).unwrap();
        assert_eq!(client.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}

#[test]
fn no_altered_certificate_brings_down_whoever_reads_it() {
    let mut federation = Federation::new(14);
    let silo = federation.enrol(Role::Silo, "3_UK");
    let leaf = silo.chain().first().unwrap().to_vec();
    for at in 0..leaf.len() {
        for value in [0x00, 0x7f, 0x80, 0xff, leaf[at] ^ 1] {
            let mut altered = leaf.clone();
            altered[at] = value;
            // Most are malformed; an altered name only matters once a handshake believed it.
            let _ = peer_identity(&[altered.into()]);
        }
        let cut = leaf[..at].to_vec();
        assert_eq!(
            peer_identity(&[cut.into()]),
            Err(CertificateFault::Malformed)
        );
    }
}

/// Another authority, under the same name.
fn authority() -> CertificateAuthority {
    let decade = Duration::from_secs(3650 * 86_400);
    CertificateAuthority::create("Test", now(), decade).unwrap()
}

/// Which end gave up, and why.
#[derive(Debug, PartialEq)]
enum HandshakeFault {
    AtClient(Error),
    AtServer(Error),
}
use HandshakeFault::{AtClient, AtServer};

fn connect(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), HandshakeFault> {
    connect_to(ServerName::try_from("localhost").unwrap(), client, server)
}

fn connect_to(
    host: ServerName<'static>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), HandshakeFault> {
    let mut client = ClientConnection::new(client, host).map_err(AtClient)?;
    let mut server = ServerConnection::new(server).map_err(AtServer)?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        let mut rest = flight.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().map_err(AtServer)?;
        }
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        let mut rest = flight.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().map_err(AtClient)?;
        }
    }
    Ok((client, server))
}
