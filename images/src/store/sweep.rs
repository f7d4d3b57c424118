//! Removing what no image needs.

use std::collections::BTreeSet;
use std::fs;

use sys::Call;

use super::Store;
use super::layers::remove;
use super::refs::{Record, list};
use crate::Digest;
use crate::error::{Doing, Result};

impl Store {
    /// Removes blobs and layers that no image and no running command needs, and what killed processes left. Answers the
    /// layers that went.
    pub fn sweep(&self) -> Result<Vec<Digest>> {
        {
            let _lock = self.lock_publish()?;
            self.sweep_blobs()?;
        }
        self.sweep_making()?;
        self.sweep_layers()
    }

    /// Removes manifests, indexes and configs without a record. `publish.lock` is held.
    pub(super) fn sweep_blobs(&self) -> Result<()> {
        let Some(records) = self.all_records()? else { return Ok(()) };
        let used = |record: Record| [record.target, record.manifest, record.config].map(|digest| digest.to_string());
        let used: BTreeSet<String> = records.into_iter().flat_map(used).collect();
        for digest in self.stored("blobs")?.iter().filter(|digest| !used.contains(&digest.to_string())) {
            let path = self.blob(digest);
            fs::remove_file(&path).call(|| format!("unlink({path:?})")).doing(|| format!("remove blob {digest}"))?;
        }
        Ok(())
    }

    /// Removes layers that neither a lease nor a record names.
    pub(super) fn sweep_layers(&self) -> Result<Vec<Digest>> {
        let mut removed = Vec::new();
        for digest in self.stored("layers")? {
            if self.drop_unused(&digest)? {
                removed.push(digest);
            }
        }
        Ok(removed)
    }

    /// Removes a layer if neither a lease nor a record names it, and what killed processes left of it. Answers whether there was one.
    pub(crate) fn drop_unused(&self, digest: &Digest) -> Result<bool> {
        // Whoever holds the lock downloads the layer, or removes it.
        let Some(lock) = self.try_lock_layer(digest)? else { return Ok(false) };
        remove(&self.beside(digest, "part"))?;
        // Under the lock, so that a pull of the same layer does not meet half of it.
        remove(&self.beside(digest, "gone"))?;
        let unused = !self.layer_is_used(digest)? && fs::symlink_metadata(self.layer(digest)).is_ok();
        if unused {
            self.drop_layer(digest, &lock)?;
        }
        Ok(unused)
    }

    /// Leases first: a pull drops its lease after its record is written, and a build after its step is remembered, so that one of the two is
    /// seen.
    fn layer_is_used(&self, digest: &Digest) -> Result<bool> {
        if self.leased()?.contains(&digest.to_string()) {
            return Ok(true);
        }
        let named = self.all_records()?.is_none_or(|records| records.iter().any(|record| record.layers.contains(digest)));
        Ok(named || self.is_cached(digest)?)
    }

    /// The records of all manifests and names; `None` if one cannot be read, as nobody knows then what it needs.
    pub(super) fn all_records(&self) -> Result<Option<Vec<Record>>> {
        let files = self.records()?.into_iter().chain(self.names()?.into_iter().map(|(_, file)| file));
        let mut records = Vec::new();
        for file in files {
            match self.read_record(&file) {
                Ok(record) => records.extend(record),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(records))
    }

    /// The digests of what is in a folder of digests, finished or not.
    pub(super) fn stored(&self, kind: &str) -> Result<BTreeSet<Digest>> {
        let mut digests = BTreeSet::new();
        for algorithm in list(&self.root.join(kind))? {
            for name in list(&self.root.join(kind).join(&algorithm))? {
                let hex = name.split('.').next().unwrap_or_default();
                digests.extend(format!("{algorithm}:{hex}").parse::<Digest>());
            }
        }
        Ok(digests)
    }
}
