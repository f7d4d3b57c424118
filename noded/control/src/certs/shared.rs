//! Several hosts of one control plane have the same authority: etcd has its files, sealed, and each host writes what it has not.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::{Authority, NoCertificates, file, write_once};
use crate::store::EtcdStore;

/// What is shared, and who may read it on a host.
const FILES: [(&str, u32); 3] = [("ca.key", 0o600), ("sa.key", 0o600), ("ca.crt", 0o644)];

type Texts = BTreeMap<String, String>;

/// Brings the files of this host and those in etcd together: the first host makes them, or brings those that it has.
///
/// # Errors
/// Files that cannot be used; files of another authority than etcd's; an etcd that does not answer or was sealed with another key.
pub(crate) async fn settle(folder: &Path, store: &EtcdStore) -> Result<(), NoCertificates> {
    let pki = folder.join("pki");
    let mut own = read(&pki)?;
    let shared = match store.shared().await.map_err(NoCertificates::NotShared)? {
        Some(shared) => shared,
        None => {
            Authority::open(folder)?;
            own = read(&pki)?;
            let text = serde_json::to_vec(&own).unwrap_or_default();
            store.share(&text).await.map_err(NoCertificates::NotShared)?
        }
    };
    let shared: Texts = serde_json::from_slice(&shared).map_err(|_| NoCertificates::Foreign)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&pki).map_err(file(&pki))?;
    for (name, mode) in FILES {
        let (path, text) = (pki.join(name), shared.get(name).ok_or(NoCertificates::Foreign)?);
        match own.get(name) {
            Some(own) if own == text => {}
            Some(_) => return Err(NoCertificates::Other(path)),
            None => write_once(&path, text.as_bytes(), mode)?,
        }
    }
    Ok(())
}

fn read(pki: &Path) -> Result<Texts, NoCertificates> {
    let mut found = Texts::new();
    for (name, _) in FILES {
        let path = pki.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => drop(found.insert(name.into(), text)),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(NoCertificates::File(path, e)),
        }
    }
    Ok(found)
}
