//! The registry's own certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::error::{Error, Result};

/// Reads a certificate chain and its key.
pub(super) fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor> {
    let wrong = |path: &Path, problem: String| Error::ServeFile { path: path.to_owned(), problem };
    let read = |path: &Path| std::fs::read(path).map_err(|error| wrong(path, error.to_string()));
    let (chain_pem, key_pem) = (read(chain)?, read(key)?);
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain_pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| wrong(chain, format!("no PEM certificate: {error}")))?;
    if certificates.is_empty() {
        return Err(wrong(chain, "there is no certificate in it".into()));
    }
    let private = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| wrong(key, format!("no PEM private key: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| wrong(chain, error.to_string()))?.with_no_client_auth();
    let mut config = builder.with_single_cert(certificates, private).map_err(|error| wrong(key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
