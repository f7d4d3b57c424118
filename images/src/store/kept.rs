//! Where a layer's exact bytes are: here, or in which repositories.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use sys::Call;

use super::Store;
use super::folded::{FOLDED, Folded};
use super::layers::{IMAGE, write_layer_synced};
use crate::error::{Doing, Result};
use crate::{Digest, Reference};

/// The blob's file in a layer's folder.
pub(super) const BLOB: &str = "blob";

/// Repositories that are remembered for a layer. A layer that everybody builds on is in any number of them.
const SOURCES: usize = 8;

/// Bytes that are here.
#[derive(Debug)]
pub(crate) enum Kept {
    /// As a file.
    Whole(File),
    /// As what is left of it beside the layer's image.
    Folded(Folded),
}

impl From<File> for Kept {
    fn from(file: File) -> Self {
        Kept::Whole(file)
    }
}

impl Kept {
    /// Reads some of the bytes at `at`; none at the end.
    pub(crate) fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Kept::Whole(file) => file.read_at(into, at),
            Kept::Folded(folded) => folded.read_at(into, at),
        }
    }

    /// Drops what memory has of them: they come from the disk next.
    pub(super) fn forget_cached(&self) {
        match self {
            Kept::Whole(file) => crate::sums::from_disk(file),
            Kept::Folded(folded) => folded.forget_cached(),
        }
    }
}

impl Store {
    /// The blob of a layer, if it is kept.
    pub(crate) fn kept_blob(&self, digest: &Digest) -> Result<Option<Kept>> {
        self.open_blob(digest).doing(|| format!("read layer {digest}"))
    }

    pub(super) fn open_blob(&self, digest: &Digest) -> sys::Result<Option<Kept>> {
        let folder = self.layer(digest);
        let open = |name: &str| {
            let path = folder.join(name);
            match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                file => file.map(Some).call(|| format!("open({path:?})")),
            }
        };
        if let Some(whole) = open(BLOB)? {
            return Ok(Some(Kept::Whole(whole)));
        }
        match (open(FOLDED)?, open(IMAGE)?) {
            (Some(text), Some(image)) => {
                Folded::open(text, image).map(|folded| Some(Kept::Folded(folded))).call(|| format!("read({FOLDED:?})"))
            }
            _ => Ok(None),
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
