// SPDX-License-Identifier: Apache-2.0
//! The rustls configurations: TLS 1.3 only, hybrid post-quantum key exchange preferred.
//!
//! | configuration | who presents a certificate | who is believed |
//! |---|---|---|
//! | [`server_config`] | the coordinator, and a client if it has one | clients of our authority |
//! | [`client_config`] | both | the coordinator of that name, of our authority |
//! | [`enrolment_client_config`] | the coordinator | the coordinator of that name, of the authority pinned in the invitation |
//!
//! A client may come without a certificate because enrolment has none yet; every service but enrolment
//! asks [`peer_identity`](crate::peer_identity) and then the roster. Sessions are never resumed: each
//! connection proves itself afresh, so that a member removed from the roster cannot ride on an old one.

mod coordinator_verifier;

use std::sync::Arc;

use consilium_crypto::digest::Digest;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, ServerConfig};
use thiserror::Error;

use crate::certificate::{
    CertificateFault, CertificateTrust, PeerIdentity, read_chain, spki_digest,
};
use crate::identity::TlsKey;
use crate::name::Name;
use crate::unix_seconds::UnixSeconds;
use coordinator_verifier::CoordinatorVerifier;

/// A certificate chain with its key, and the authorities to believe.
#[derive(Debug)]
pub struct TlsIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: TlsKey,
    trust: CertificateTrust,
}

impl TlsIdentity {
    /// Puts together what belongs together; a leaf for another key is refused.
    pub fn new(chain_pem: &str, key: TlsKey, trust: CertificateTrust) -> Result<Self, TlsFault> {
        let chain = read_chain(chain_pem)?;
        let leaf = chain.first().ok_or(CertificateFault::NotPresented)?;
        if spki_digest(leaf)? != key.spki_digest() {
            return Err(TlsFault::KeyMismatch);
        }
        Ok(Self { chain, key, trust })
    }

    /// The leaf, then the certificates that lead to the authority.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The authorities.
    pub fn trust(&self) -> &CertificateTrust {
        &self.trust
    }
}

/// For the coordinator's one port. A client certificate is verified when there is one.
pub fn server_config(identity: &TlsIdentity) -> Result<Arc<ServerConfig>, TlsFault> {
    let provider = provider();
    let clients = client_verifier(&identity.trust, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(identity.chain.clone(), identity.key.for_tls())?;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// For a member or a person that has a certificate. `coordinator` is the name in the pinned roster.
pub fn client_config(
    identity: &TlsIdentity,
    coordinator: &Name,
) -> Result<Arc<ClientConfig>, TlsFault> {
    let provider = provider();
    let verifier =
        CoordinatorVerifier::of_authorities(&identity.trust, coordinator.clone(), &provider)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(identity.chain.clone(), identity.key.for_tls())?;
    Ok(Arc::new(finish_client(config)))
}

/// For a newcomer: it has no certificate yet, and knows the authority by fingerprint only.
pub fn enrolment_client_config(
    ca_spki: Digest,
    coordinator: &Name,
) -> Result<Arc<ClientConfig>, TlsFault> {
    let provider = provider();
    let verifier = CoordinatorVerifier::pinned(ca_spki, coordinator.clone(), &provider);
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(finish_client(config)))
}

/// Checks a member's leaf the way the server will.
pub(crate) fn verify_member_leaf(
    trust: &CertificateTrust,
    leaf: &CertificateDer<'_>,
    now: UnixSeconds,
) -> Result<(), TlsFault> {
    client_verifier(trust, &provider())?.verify_client_cert(leaf, &[], now.to_tls())?;
    Ok(())
}

/// Why a configuration cannot be made, or a certificate is not acceptable.
#[derive(Debug, Error)]
pub enum TlsFault {
    /// The private key is of another certificate.
    #[error("the TLS key and the certificate do not belong together; enrol again")]
    KeyMismatch,
    /// A certificate fault.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// rustls refused.
    #[error("the certificate or its key is not acceptable to TLS")]
    Refused(#[from] rustls::Error),
    /// The authorities cannot be used.
    #[error("the certificates of the authorities are not acceptable to TLS")]
    Authorities(#[from] VerifierBuilderError),
}

/// What a server's certificate lacks when it verifies and still is not the coordinator's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServerIdentityFault {
    /// Somebody else's certificate.
    #[error("the server is {found} and not coordinator `{expected}`")]
    Another {
        /// Whom the certificate names.
        found: PeerIdentity,
        /// Who was expected.
        expected: Name,
    },
    /// A certificate that names nobody.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
}

fn finish_client(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config
}

fn client_verifier(
    trust: &CertificateTrust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsFault> {
    let roots = trust.root_store()?;
    Ok(
        WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
            .allow_unauthenticated()
            .build()?,
    )
}

/// The one place that chooses algorithms.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
        ],
        ..aws_lc_rs::default_provider()
    })
}

const ALPN_HTTP2: &[u8] = b"h2";
