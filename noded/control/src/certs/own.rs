//! The server's own certificate, and the administrator's: made anew while the server runs.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Authority, LONG, Life, NoCertificates, Use};

/// The longest pause between two looks.
const LOOK: Duration = Duration::from_secs(86400);

/// The shortest one.
const AGAIN: Duration = Duration::from_secs(60);

/// The certificate that the server shows.
#[derive(Debug)]
pub(crate) struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// What is needed to make them anew.
pub(crate) struct Own {
    pub(crate) authority: Arc<Authority>,
    /// Names and addresses of the server.
    pub(crate) names: Vec<String>,
    pub(crate) kubeconfig: PathBuf,
    /// The address in the kubeconfig.
    pub(crate) address: String,
}

impl Own {
    /// Makes the first ones.
    ///
    /// # Errors
    /// Names that no certificate can have; a kubeconfig that cannot be written.
    pub(crate) fn shown(&self) -> Result<(Arc<Shown>, Life), NoCertificates> {
        self.authority.write_kubeconfig(&self.kubeconfig, &self.address)?;
        let (certified, life) = self.certified()?;
        Ok((Arc::new(Shown(RwLock::new(certified))), life))
    }

    fn certified(&self) -> Result<(Arc<CertifiedKey>, Life), NoCertificates> {
        let own = self.authority.issue("kube-apiserver", &Use::Server(&self.names), LONG)?;
        let wrong = |_| NoCertificates::Made("use the server's certificate", rcgen::Error::CouldNotParseCertificate);
        let key = rustls::crypto::ring::sign::any_supported_type(&PrivatePkcs8KeyDer::from(own.key.serialize_der()).into());
        let key = key.map_err(wrong)?;
        let life = Life::of(&own.certificate).ok_or_else(|| wrong(rustls::Error::DecryptError))?;
        Ok((Arc::new(CertifiedKey::new(vec![own.der, self.authority.der().clone()], key)), life))
    }

    /// Makes them anew, each when two thirds of its life are over.
    pub(crate) async fn renew(self, shown: Arc<Shown>, mut life: Life) {
        loop {
            tokio::time::sleep(life.renewal(SystemTime::now()).clamp(AGAIN, LOOK)).await;
            // what cannot be done now is tried again: the old ones are good for a third of their lives
            let _ = self.authority.write_kubeconfig(&self.kubeconfig, &self.address);
            if life.renewal(SystemTime::now()).is_zero()
                && let Ok((certified, new)) = self.certified()
            {
                *shown.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
                life = new;
            }
        }
    }
}
