//! A server is trusted whose chain has an authority with a key of a known hash.

use std::sync::{Arc, OnceLock};

use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The hash of an authority's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// That of this certificate's key: SHA-256 of its SubjectPublicKeyInfo, as kubeadm has it. Nothing for what is no certificate.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let hash = digest(&SHA256, certificate.public_key().raw);
        hash.as_ref().try_into().ok().map(Self)
    }

    /// Reads `sha256:HEX`.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.is_ascii())?;
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Checks a server by a pin, and keeps the authority that it has found.
#[derive(Debug)]
pub struct Pinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
    found: OnceLock<CertificateDer<'static>>,
}

impl Pinned {
    /// By this pin.
    pub fn new(pin: Pin, provider: Arc<CryptoProvider>) -> Self {
        Self { pin, provider, found: OnceLock::new() }
    }

    /// The authority of the server that was talked to.
    pub fn authority(&self) -> Option<CertificateDer<'static>> {
        self.found.get().cloned()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = chain.iter().find(|c| Pin::of(c).is_some_and(|pin| pin == self.pin));
        let authority = pinned.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?.clone().into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone()).build();
        let verifier = verifier.map_err(|e| Error::General(e.to_string()))?;
        let verified = verifier.verify_server_cert(own, &[], name, stapled, now)?;
        let _ = self.found.set(authority);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::{Authority, Use};

    #[test]
    fn a_server_is_who_the_pin_and_its_name_say() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [ours, theirs] = [0, 1].map(|at| Authority::open(folders[at].path()).unwrap());
        let server = |authority: &Authority| authority.issue("s", &Use::Server(&["cp".into()]), crate::certs::NODE).unwrap().der;
        let pin = Pin::of(ours.der()).unwrap();
        assert_eq!(Pin::parse(&pin.to_string()), Some(pin.clone()));
        let check = |own: &CertificateDer<'static>, chain: &[CertificateDer<'static>], name: &'static str| {
            let pinned = Pinned::new(pin.clone(), Arc::new(rustls::crypto::ring::default_provider()));
            let name = ServerName::try_from(name).unwrap();
            pinned.verify_server_cert(own, chain, &name, &[], UnixTime::now()).is_ok() && pinned.authority().is_some()
        };
        let (good, root, foreign) = (server(&ours), ours.der().clone(), theirs.der().clone());
        assert!(check(&good, std::slice::from_ref(&root), "cp"));
        assert!(!check(&good, std::slice::from_ref(&root), "other"), "another host of the cluster");
        assert!(!check(&server(&theirs), std::slice::from_ref(&foreign), "cp"), "another cluster");
        // whoever listens in has our authority's certificate, but no key of it
        assert!(!check(&server(&theirs), &[foreign, root], "cp"));
        assert!(!check(&good, &[], "cp"));
    }

    #[test]
    fn pins_have_a_form() {
        for wrong in
            ["", "sha256:", "sha256:00", "md5:00", &format!("sha256:{}", "g".repeat(64)), &format!("sha256:{}", "é".repeat(32))]
        {
            assert_eq!(Pin::parse(wrong), None, "{wrong}");
        }
    }
}
