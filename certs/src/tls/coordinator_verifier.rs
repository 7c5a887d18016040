// SPDX-License-Identifier: Apache-2.0
//! Accepts one server: the coordinator of that name, certified by our authority.
//!
//! Path, validity, host name and key usage are checked by webpki as always. This adds two things that
//! webpki does not know: that an authority may be pinned by the digest of its key, and that the leaf
//! has to name the coordinator.

use std::sync::Arc;

use consilium_crypto::digest::Digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerIncompatible, RootCertStore,
    SignatureScheme,
};

use super::{ServerIdentityFault, TlsFault};
use crate::certificate::{CertificateTrust, peer_identity, spki_digest};
use crate::name::{Name, Role};

#[derive(Debug)]
pub(super) struct CoordinatorVerifier {
    authority: Authority,
    coordinator: Name,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Authority {
    Known(Arc<WebPkiServerVerifier>),
    /// The certificate is the one the server sends whose key has this digest.
    Pinned(Digest),
}

impl CoordinatorVerifier {
    pub(super) fn of_authorities(
        trust: &CertificateTrust,
        coordinator: Name,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsFault> {
        let roots = trust.root_store()?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build()?;
        let authority = Authority::Known(verifier);
        Ok(Self {
            authority,
            coordinator,
            provider: Arc::clone(provider),
        })
    }

    pub(super) fn pinned(
        ca_spki: Digest,
        coordinator: Name,
        provider: &Arc<CryptoProvider>,
    ) -> Self {
        let authority = Authority::Pinned(ca_spki);
        Self {
            authority,
            coordinator,
            provider: Arc::clone(provider),
        }
    }

    fn path_verifier(
        &self,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let pinned = match &self.authority {
            Authority::Known(verifier) => return Ok(Arc::clone(verifier)),
            Authority::Pinned(digest) => digest,
        };
        let authority = intermediates
            .iter()
            .find(|certificate| spki_digest(certificate).is_ok_and(|digest| digest == *pinned))
            .ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|fault| Error::General(fault.to_string()))
    }

    fn check_identity(&self, leaf: &CertificateDer<'_>) -> Result<(), ServerIdentityFault> {
        let found = peer_identity(std::slice::from_ref(leaf))?;
        if found.role != Role::Coordinator || found.name != self.coordinator {
            return Err(ServerIdentityFault::Another {
                found,
                expected: self.coordinator.clone(),
            });
        }
        Ok(())
    }
}

impl ServerCertVerifier for CoordinatorVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.path_verifier(intermediates)?.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        self.check_identity(end_entity).map_err(|fault| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fault))))
        })?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
