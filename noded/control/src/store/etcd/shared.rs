//! What the hosts of a control plane share beside objects: the authority's keys, sealed. The key that seals them is in a file of each host.

use std::path::Path;

use bytes::Bytes;
use etcd::RangeRequest;

use super::link::Link;
use super::write::create;
use super::{EtcdStore, value};
use crate::store::NotOpened;
use crate::store::seal::Seal;

/// Under this key, beside the objects.
const KEY: &str = "authority";

/// Why the authority's keys are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum NotShared {
    /// etcd does not answer, or refuses.
    #[error("{0}")]
    Etcd(String),
    /// They were sealed with another key.
    #[error("etcd's {0} was sealed with another key: copy store.key from a host of that control plane")]
    Sealed(String),
    /// A key cannot be sealed.
    #[error("seal the authority's keys")]
    Seal(#[source] std::io::Error),
}

fn place(prefix: &str) -> String {
    format!("{prefix}/{KEY}")
}

async fn find(link: &Link, prefix: &str) -> Result<Option<Bytes>, String> {
    let request = RangeRequest { key: place(prefix).into(), ..Default::default() };
    let found = link.range(request).await.map_err(|e| e.to_string())?;
    Ok(found.kvs.into_iter().next().map(|kv| kv.value))
}

/// The key that seals secrets: the one in the folder. It is made only where etcd has nothing that was sealed with another.
pub(super) async fn key(link: &Link, prefix: &str, folder: &Path) -> Result<Seal, NotOpened> {
    let path = folder.join("store.key");
    let found = find(link, prefix).await.map_err(NotOpened::Etcd)?;
    if found.is_some() && !path.exists() {
        return Err(NotOpened::NoKey(path.display().to_string()));
    }
    let seal = Seal::open(&path).map_err(|e| NotOpened::File(path.display().to_string(), e))?;
    match found {
        Some(bytes) if value::revealed(&seal, KEY, &bytes).is_none() => Err(NotOpened::Sealed(format!("etcd {}", place(prefix)))),
        _ => Ok(seal),
    }
}

impl EtcdStore {
    /// What all hosts share; nothing at the first start.
    ///
    /// # Errors
    /// That etcd does not answer, or has what was sealed with another key.
    pub(crate) async fn shared(&self) -> Result<Option<Vec<u8>>, NotShared> {
        let inner = &self.inner;
        let found = find(&inner.link, &inner.prefix).await.map_err(NotShared::Etcd)?;
        let sealed = || NotShared::Sealed(place(&inner.prefix));
        found.map(|bytes| value::revealed(&inner.seal, KEY, &bytes).ok_or_else(sealed)).transpose()
    }

    /// Shares it, unless another host was faster; says what is shared from now on.
    ///
    /// # Errors
    /// As [`EtcdStore::shared`].
    pub(crate) async fn share(&self, own: &[u8]) -> Result<Vec<u8>, NotShared> {
        let inner = &self.inner;
        let sealed = value::sealed(&inner.seal, KEY, own).map_err(NotShared::Seal)?;
        create(&inner.link, place(&inner.prefix).into(), sealed).await.map_err(|e| NotShared::Etcd(e.to_string()))?;
        self.shared().await?.ok_or_else(|| NotShared::Etcd(format!("etcd has lost {}", place(&inner.prefix))))
    }
}
