//! Where a layer's exact bytes are: here, or in which repositories.

use std::fs::File;
use std::io::ErrorKind;

use sys::Call;

use super::Store;
use super::layers::write_layer_synced;
use crate::error::{Doing, Result};
use crate::{Digest, Reference};

/// The blob's file in a layer's folder.
pub(super) const BLOB: &str = "blob";

/// Repositories that are remembered for a layer. A layer that everybody builds on is in any number of them.
const SOURCES: usize = 8;

impl Store {
    /// The blob of a layer, if it is kept.
    pub(crate) fn kept_blob(&self, digest: &Digest) -> Result<Option<File>> {
        let path = self.layer(digest).join(BLOB);
        match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            file => file.map(Some).call(|| format!("open({path:?})")).doing(|| format!("read layer {digest}")),
        }
    }

    /// The repositories that have a layer, the latest first.
    pub(crate) fn sources(&self, digest: &Digest) -> Result<Vec<Reference>> {
        let sources = self.read_layer(digest)?.map(|layer| layer.sources).unwrap_or_default();
        Ok(sources.iter().rev().filter_map(|source| source.parse().ok()).collect())
    }

    /// Notes that a repository has a layer. The layer's lock is held.
    pub(crate) fn add_source(&self, digest: &Digest, source: &Reference) -> Result<()> {
        let Some(mut layer) = self.read_layer(digest)? else { return Ok(()) };
        let name = source.name();
        if layer.sources.contains(&name) {
            return Ok(());
        }
        layer.sources.push(name);
        let surplus = layer.sources.len().saturating_sub(SOURCES);
        layer.sources.drain(..surplus);
        write_layer_synced(self, &self.layer(digest), digest, &layer)
    }
}
