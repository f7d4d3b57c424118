//! The cluster's authority and what it signs.
//!
//! ```text
//! FOLDER/pki/ca.crt ca.key      made once: the root of all trust in the cluster
//! FOLDER/pki/sa.key             made once: signs tokens of service accounts
//!                               (where several hosts share a store in etcd, it has these three, sealed, and each host has copies; see [`shared`])
//! FOLDER/admin.kubeconfig       0600: a client certificate in the group system:masters, made anew before it runs out
//! ```
//!
//! The server's own certificate is signed anew at each start and never kept; see [`own`].

pub(crate) mod own;
pub(crate) mod shared;
mod signing;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;

pub(crate) use signing::key_hash;
pub use signing::{Life, Wanted};

/// How long the certificates of the server and of the administrator last.
const LONG: Duration = Duration::from_secs(365 * DAY);

/// How long a node's certificate lasts, unless it is said otherwise.
pub const NODE: Duration = Duration::from_secs(DAY);

const DAY: u64 = 86400;

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum NoCertificates {
    /// A file cannot be used.
    #[error("{0}")]
    File(PathBuf, #[source] io::Error),
    /// The hosts of one control plane must have the same ones.
    #[error("{0} is not that of the control plane in etcd: move it away, if it is of no use any more, or choose another prefix")]
    Other(PathBuf),
    /// What etcd has of the authority makes no sense.
    #[error("the authority's keys in etcd cannot be read")]
    Foreign,
    /// They cannot be shared.
    #[error("share the authority's keys")]
    NotShared(#[source] crate::store::NotShared),
    /// A key or certificate cannot be made or read.
    #[error("{0}")]
    Made(&'static str, #[source] rcgen::Error),
}

/// A certificate and its key.
pub struct Identity {
    /// The certificate, PEM.
    pub certificate: String,
    /// The certificate, DER.
    pub der: CertificateDer<'static>,
    /// The key.
    pub key: KeyPair,
}

/// The authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    der: CertificateDer<'static>,
    /// The key that signs tokens, PKCS#8.
    pub token_key: Vec<u8>,
}

/// What a certificate is for.
pub enum Use<'a> {
    /// A server that is reached by these names and addresses.
    Server(&'a [String]),
    /// A client: its groups.
    Client(&'a [&'a str]),
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> NoCertificates + '_ {
    move |e| NoCertificates::File(path.to_path_buf(), e)
}

impl Authority {
    /// Reads the authority of a folder, or makes it.
    ///
    /// # Errors
    /// Files that cannot be used or make no sense.
    pub fn open(folder: &Path) -> Result<Self, NoCertificates> {
        let pki = folder.join("pki");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&pki).map_err(file(&pki))?;
        let (ca, ca_key) = (pki.join("ca.crt"), pki.join("ca.key"));
        let key = key_at(&ca_key)?;
        if !ca.exists() {
            let made = root()?.self_signed(&key).map_err(|e| NoCertificates::Made("make the authority's certificate", e))?;
            write_once(&ca, made.pem().as_bytes(), 0o644)?;
        }
        let certificate = fs::read_to_string(&ca).map_err(file(&ca))?;
        let wrong = |e| NoCertificates::Made("read the authority's certificate", e);
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(wrong)?;
        let der = der_of(&certificate).ok_or_else(|| wrong(rcgen::Error::CouldNotParseCertificate))?;
        let token_key = key_at(&pki.join("sa.key"))?.serialize_der();
        Ok(Self { issuer, certificate, der, token_key })
    }

    /// The authority's certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.certificate
    }

    /// The authority's certificate, DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Makes a key, and signs a certificate for it.
    ///
    /// # Errors
    /// Names that no certificate can have.
    pub fn issue(&self, name: &str, purpose: &Use<'_>, life: Duration) -> Result<Identity, NoCertificates> {
        let failed = |e| NoCertificates::Made("sign a certificate", e);
        let params = params(name, purpose, life).map_err(failed)?;
        let key = KeyPair::generate().map_err(failed)?;
        let made = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Identity { certificate: made.pem(), der: made.der().clone(), key })
    }

    /// Signs a node's certificate for a key that the node has; the answer is PEM.
    ///
    /// # Errors
    /// A name that no certificate can have.
    pub fn sign_node(&self, name: &str, wanted: &Wanted, life: Duration) -> Result<String, NoCertificates> {
        let failed = |e| NoCertificates::Made("sign a certificate", e);
        let params = params(&format!("system:node:{name}"), &Use::Client(&["system:nodes"]), life).map_err(failed)?;
        Ok(params.signed_by(&wanted.request.public_key, &self.issuer).map_err(failed)?.pem())
    }

    /// Writes the administrator's kubeconfig, unless it is there, this authority's, and good for a while.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, server: &str) -> Result<(), NoCertificates> {
        let authority = STANDARD.encode(&self.certificate);
        let lasts = |text: &str| life(text).is_some_and(|life| !life.renewal(SystemTime::now()).is_zero());
        if fs::read_to_string(path).is_ok_and(|text| text.contains(&authority) && text.contains(server) && lasts(&text)) {
            return Ok(());
        }
        let admin = self.issue("kubernetes-admin", &Use::Client(&["system:masters"]), LONG)?;
        let text = kubeconfig(
            "admin",
            server,
            &authority,
            &STANDARD.encode(&admin.certificate),
            &STANDARD.encode(admin.key.serialize_pem()),
        );
        write_once(path, text.as_bytes(), 0o600)
    }
}

/// What is in a certificate.
fn params(name: &str, purpose: &Use<'_>, life: Duration) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    lasting(&mut params, life);
    match purpose {
        Use::Server(names) => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            for name in *names {
                params.subject_alt_names.push(match name.parse::<IpAddr>() {
                    Ok(ip) => SanType::IpAddress(ip),
                    Err(_) => SanType::DnsName(name.as_str().try_into()?),
                });
            }
        }
        Use::Client(groups) => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            for group in *groups {
                params.distinguished_name.push(DnType::OrganizationName, *group);
            }
        }
    }
    Ok(params)
}

/// The life of the client's certificate in a kubeconfig of ours.
fn life(kubeconfig: &str) -> Option<Life> {
    let encoded = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("client-certificate-data: "))?;
    Life::of(&String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?)
}

fn kubeconfig(user: &str, server: &str, authority: &str, certificate: &str, key: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: noded\n  cluster:\n    server: {server}\n    certificate-authority-data: {authority}\n\
         users:\n- name: {user}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n\
         contexts:\n- name: noded\n  context:\n    cluster: noded\n    user: {user}\ncurrent-context: noded\n"
    )
}

fn root() -> Result<CertificateParams, NoCertificates> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // two authorities of one name would be taken for each other
    params.distinguished_name.push(DnType::CommonName, format!("noded-ca-{}", crate::random::letters(8)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    lasting(&mut params, 10 * LONG);
    Ok(params)
}

/// Good from an hour ago, for clocks that differ.
fn lasting(params: &mut CertificateParams, life: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(3600)).into();
    params.not_after = (now + life).into();
}

fn key_at(path: &Path) -> Result<KeyPair, NoCertificates> {
    match fs::read_to_string(path) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|e| NoCertificates::Made("read a key", e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate().map_err(|e| NoCertificates::Made("make a key", e))?;
            write_once(path, key.serialize_pem().as_bytes(), 0o600)?;
            Ok(key)
        }
        Err(e) => Err(NoCertificates::File(path.to_path_buf(), e)),
    }
}

/// Writes a file that was not there, whole or not at all.
fn write_once(path: &Path, bytes: &[u8], mode: u32) -> Result<(), NoCertificates> {
    let part = path.with_extension("part");
    let write = || {
        let mut out = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&part)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(file(path))
}

fn der_of(pem: &str) -> Option<CertificateDer<'static>> {
    let body: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
    STANDARD.decode(body).ok().map(CertificateDer::from)
}
