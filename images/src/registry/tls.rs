//! Whom to trust.
//!
//! reqwest's own way is to read some 300 certificate files for each client, also for one that only speaks plain http. Here the
//! host's certificates are read from one file, when the first certificate has to be verified.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

/// Where distributions keep their certificates, all in one file.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub(super) enum Trust {
    /// Whom this host trusts.
    #[default]
    Host,
    /// Whose certificate is in this file.
    #[cfg(test)]
    File(std::path::PathBuf),
    /// Anybody may be the registry.
    Anybody,
}

/// How to speak TLS.
pub(super) fn config(trust: Trust) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Verifier { provider: provider.clone(), trusted: OnceLock::new(), trust });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    trusted: OnceLock<Result<Arc<WebPkiServerVerifier>, NoCertificates>>,
    trust: Trust,
}

/// Without them nobody can be trusted.
#[derive(Debug, Clone, thiserror::Error)]
#[error("this host has no CA certificates: install the package ca-certificates")]
struct NoCertificates;

impl Verifier {
    fn trusted(&self) -> Result<&WebPkiServerVerifier, Error> {
        let read = || {
            let roots = match &self.trust {
                #[cfg(test)]
                Trust::File(file) => Some(roots(file)),
                _ => BUNDLES.iter().map(|bundle| roots(Path::new(bundle))).find(|roots| !roots.is_empty()),
            };
            let builder =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots.ok_or(NoCertificates)?), self.provider.clone());
            builder.build().map_err(|_| NoCertificates)
        };
        match self.trusted.get_or_init(read) {
            Ok(verifier) => Ok(verifier),
            Err(error) => Err(Error::Other(OtherError(Arc::new(error.clone())))),
        }
    }
}

/// The certificates in a file, but those that cannot be read.
fn roots(bundle: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    if let Ok(certificates) = CertificateDer::pem_file_iter(bundle) {
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    roots
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.trust {
            Trust::Anybody => Ok(ServerCertVerified::assertion()),
            _ => self.trusted()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
