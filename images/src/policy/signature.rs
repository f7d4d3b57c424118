//! Keys, and what they have signed: cosign's "simple signing" documents (containers-signature(5) has the form, cosign's `SIGNATURE_SPEC.md`
//! the type).

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use webpki::RawPublicKeyEntity;

use crate::Digest;

/// A public key, as the policy says where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeySource {
    /// A PEM file.
    File(PathBuf),
    /// Such a file's bytes.
    Data(Vec<u8>),
}

/// A public key: ECDSA on P-256, as cosign makes them.
#[derive(Debug)]
pub(super) struct Key(SubjectPublicKeyInfoDer<'static>);

impl KeySource {
    /// # Errors
    /// Why there is no key.
    pub(super) fn read(&self) -> Result<Key, String> {
        let (name, bytes) = match self {
            KeySource::File(path) => {
                let name = format!("the key {}", path.display());
                let bytes = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
                (name, bytes)
            }
            KeySource::Data(bytes) => ("a key in the policy".to_owned(), bytes.clone()),
        };
        let key = SubjectPublicKeyInfoDer::from_pem_slice(&bytes);
        let key = key.map_err(|_| format!("{name} is no PEM file with a public key"))?.into_owned();
        // A signature of nothing tells other kinds of keys: they are refused before it is looked at.
        match verify(&key, b"", b"") {
            Err(webpki::Error::InvalidSignatureForPublicKey) => Ok(Key(key)),
            _ => Err(format!("{name} is not of ECDSA on P-256: others are not supported")),
        }
    }
}

fn verify(key: &SubjectPublicKeyInfoDer<'_>, message: &[u8], signature: &[u8]) -> Result<(), webpki::Error> {
    RawPublicKeyEntity::try_from(key)?.verify_signature(webpki::ring::ECDSA_P256_SHA256, message, signature)
}

impl Key {
    /// Whether it has signed the bytes. The signature is in base64.
    pub(super) fn has_signed(&self, payload: &[u8], signature: &str) -> bool {
        STANDARD.decode(signature).is_ok_and(|signature| verify(&self.0, payload, &signature).is_ok())
    }
}

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// The name that the image has for whoever signed it.
    pub(super) name: String,
    /// The manifest.
    pub(super) digest: Digest,
}

/// It is read as strictly as others do: what is critical and unknown must not be passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    critical: Critical,
    #[allow(dead_code, reason = "notes, of which nothing depends")]
    #[serde(default)]
    optional: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Named,
    image: Image,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Named {
    docker_reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: Digest,
}

impl Statement {
    /// Reads a document whose signature was verified.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn read(payload: &[u8]) -> Result<Statement, String> {
        const TYPE: &str = "cosign container image signature";
        let Document { critical, .. } = serde_json::from_slice(payload)
            .map_err(|error| format!("what is signed is no statement: {}", crate::error::brief(error)))?;
        match critical.r#type == TYPE {
            true => Ok(Statement { name: critical.identity.docker_reference, digest: critical.image.docker_manifest_digest }),
            false => Err(format!("what is signed is a {:?}", critical.r#type.chars().take(100).collect::<String>())),
        }
    }
}
