//! Whom to trust.
//!
//! reqwest's own way is to read some 300 certificate files for each client, also for one that only speaks plain http. Here the
//! host's certificates are read from one file, when the first certificate has to be verified.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::hosts::Identity;

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

/// The same for one registry: its own authorities may vouch for it beside the host's, and for nobody else; and it may ask who we are. Says what is
/// wrong with a file.
pub(super) fn config_for(trust: Trust, host: &str, identity: &Identity) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let usual = Arc::new(Verifier { provider: provider.clone(), trusted: OnceLock::new(), trust: trust.clone() });
    let verifier: Arc<dyn ServerCertVerifier> = if identity.authorities.is_empty() || matches!(trust, Trust::Anybody) {
        usual
    } else {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no name of a host"))?;
        Arc::new(Vouched { own: authorities(&identity.authorities, &provider)?, name, usual })
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?.dangerous().with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = identity.clients.first() else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    builder.with_client_auth_cert(chain, private).map_err(|error| format!("{}: {error}", key.display()))
}

fn authorities(files: &[PathBuf], provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for file in files {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    builder.build().map_err(|error| error.to_string())
}

/// All certificates of a file, of which there must be one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: rustls::pki_types::pem::Error| format!("{}: {error}", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(wrong)?.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if found.is_empty() { Err(format!("{}: there is no certificate in it", file.display())) } else { Ok(found) }
}

/// For one registry its own authorities count too.
#[derive(Debug)]
struct Vouched {
    own: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
    usual: Arc<Verifier>,
}

impl ServerCertVerifier for Vouched {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *server_name == self.name {
            let own = self.own.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
            if own.is_ok() {
                return own;
            }
        }
        self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
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
