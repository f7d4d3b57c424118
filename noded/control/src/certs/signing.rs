//! Requests for certificates, and how long certificates last.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, CertificateSigningRequestParams, DnType, KeyPair, PublicKeyData};
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate that somebody wants for a key that they have.
pub struct Wanted {
    /// The request; nothing but its key counts.
    pub(super) request: CertificateSigningRequestParams,
}

impl Wanted {
    /// Reads a request (PKCS#10, PEM); nothing for one that is not signed with its own key.
    pub fn read(pem: &str) -> Option<Self> {
        CertificateSigningRequestParams::from_pem(pem).ok().map(|request| Self { request })
    }

    /// What tells its key from others.
    pub fn key_hash(&self) -> String {
        key_hash(&self.request.public_key.subject_public_key_info())
    }

    /// A request for the certificate of a node, signed with `key` (PEM). Both are text.
    ///
    /// # Errors
    /// A key that is none.
    pub fn make(node: &str, key: &str) -> Result<String, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("system:node:{node}"));
        params.serialize_request(&KeyPair::from_pem(key)?)?.pem()
    }

    /// A new key (PEM).
    ///
    /// # Errors
    /// No random bytes.
    pub fn key() -> Result<String, rcgen::Error> {
        Ok(KeyPair::generate()?.serialize_pem())
    }
}

/// What tells a key from others, by its SubjectPublicKeyInfo (DER).
pub(crate) fn key_hash(info: &[u8]) -> String {
    digest(&SHA256, info).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// From when to when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    begin: SystemTime,
    end: SystemTime,
}

impl Life {
    /// That of a certificate (PEM, the first one); nothing for what is none.
    pub fn of(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let at = |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let validity = certificate.validity();
        Some(Self { begin: at(validity.not_before.timestamp()), end: at(validity.not_after.timestamp()) })
    }

    /// Whether it is good at `now`.
    pub fn covers(self, now: SystemTime) -> bool {
        self.begin <= now && now < self.end
    }

    /// How long to wait before the next one is made: until two thirds are over.
    pub fn renewal(self, now: SystemTime) -> Duration {
        let life = self.end.duration_since(self.begin).unwrap_or_default();
        (self.begin + life * 2 / 3).duration_since(now).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Authority;
    use super::*;
    use crate::auth::from_certificate;

    #[test]
    fn a_request_gets_its_key_and_a_name_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path()).unwrap();
        let key = Wanted::key().unwrap();
        let request = Wanted::make("whatever", &key).unwrap();
        let wanted = Wanted::read(&request).unwrap();
        let signed = authority.sign_node("n1", &wanted, Duration::from_secs(3600)).unwrap();
        let der = CertificateDer::from_pem_slice(signed.as_bytes()).unwrap();
        let user = from_certificate(&der).unwrap();
        assert_eq!(user.node(), Some("n1"));
        let life = Life::of(&signed).unwrap();
        let now = SystemTime::now();
        assert!(life.covers(now) && !life.covers(now + Duration::from_secs(3700)) && !life.covers(now - Duration::from_secs(4000)));
        assert_ne!(wanted.key_hash(), Wanted::read(&Wanted::make("n1", &Wanted::key().unwrap()).unwrap()).unwrap().key_hash());
        // signed by another key than its own
        let spoilt = request.replacen("MI", "MJ", 1);
        assert!(Wanted::read(&spoilt).is_none() && Wanted::read("").is_none() && Wanted::read(&key).is_none());
    }

    #[test]
    fn two_thirds_of_a_life() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let life = Life { begin: at(0), end: at(300) };
        assert_eq!((life.renewal(at(50)), life.renewal(at(250))), (Duration::from_secs(150), Duration::ZERO));
    }
}
