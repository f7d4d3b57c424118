//! What the store takes on disk.

use super::Store;
use super::refs::list;
use crate::Digest;
use crate::error::Result;

/// Bytes and files of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes, as the files say.
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
}

/// Files that each layer has beside its content.
const BESIDE: u64 = 4;

impl Store {
    /// What complete layers take, each once, however many images have it. It is summed up from what is noted of each, so that nothing has
    /// to be walked through; documents are too small to count.
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for name in list(&self.root.join("layers/sha256"))? {
            let Ok(digest) = format!("sha256:{name}").parse::<Digest>() else { continue };
            let Some(layer) = self.read_layer(&digest)? else { continue };
            let (bytes, files) = layer.erofs.as_ref().map_or((layer.size, layer.entries), |image| (image.size, 1));
            usage.bytes += bytes;
            usage.inodes += files + BESIDE;
        }
        Ok(usage)
    }
}
