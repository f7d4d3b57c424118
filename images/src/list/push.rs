//! A list as an index in a registry.

use super::{ListOptions, blocking};
use crate::copy::{CopyOptions, bring};
use crate::error::{Error, Result};
use crate::pull::Progress;
use crate::registry::Registry;
use crate::store::Store;
use crate::{Copied, Digest, Reference, manifest};

/// Copies the images of the list `name` to its repository, as far as they are not there, and then writes the index under the name.
/// Blocks until it is there.
pub fn push_list(store: &Store, name: &Reference, options: ListOptions, progress: &dyn Progress) -> Result<Copied> {
    let list = store.manifest_list(name)?;
    let ListOptions { registries, credentials } = options;
    let options = CopyOptions { registries, credentials, ..CopyOptions::default() };
    blocking(async {
        for item in &list.items {
            let source: Reference =
                item.source.parse().map_err(|_| Error::Damaged { what: format!("list {}", name.familiar()) })?;
            bring(&source.with_digest(&item.digest), &name.with_digest(&item.digest), &options, progress).await?;
        }
        let index = list.index();
        let digest = Digest::sha256(index.as_bytes());
        let target = Registry::to_push(name, &options.registries, &options.credentials, Vec::new(), progress)?;
        let media_type = manifest::media_type(index.as_bytes(), "")?;
        target.put_manifest(&name.what(), &digest, &media_type, index.as_bytes()).await?;
        Ok(Copied { digest, size: index.len() as u64 })
    })
}
