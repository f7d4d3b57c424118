//! Unpacked layers.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sys::Call;

use super::Store;
use super::blobs::algorithm;
use super::locks::Lock;
use crate::Digest;
use crate::error::{Doing, Error, Result};
use crate::image::Image;

/// `layer.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayerFile {
    /// Of the tar, as it came out of the blob.
    pub(crate) diff_id: String,
    /// Bytes of the blob.
    pub(crate) blob_size: u64,
    /// Sizes of all files.
    pub(crate) size: u64,
    pub(crate) entries: u64,
    /// The boot in which the layer was written: nothing is synced, so after another boot it may have holes.
    pub(crate) boot_id: String,
    /// Folders that no entry describes, escaped: they have the attributes of the layers below, once there is a base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) implicit: Vec<String>,
    /// Hard links into the layers below, name and target, escaped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) foreign: Vec<(String, String)>,
    /// The layers below, as a digest over their digests, from which `implicit` and `foreign` were completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
    /// Registry and repository of where the blob can be fetched again, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<String>,
}

impl Store {
    /// The unpacked layers of an image, topmost first, as overlayfs wants them. Each one is complete; one that is gone is
    /// [`Error::Damaged`].
    ///
    /// The root folder's attributes in a container are those of its upper folder: copy them from the first one here.
    pub fn lower(&self, image: &Image) -> Result<Vec<PathBuf>> {
        image.layers.iter().rev().map(|layer| self.layer_folder(&layer.digest)).collect()
    }

    /// The unpacked layer of one blob.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is gone.
    pub fn layer_folder(&self, digest: &Digest) -> Result<PathBuf> {
        let tree = self.layer(digest).join("tree");
        if tree.is_dir() { Ok(tree) } else { Err(Error::Damaged { what: format!("layer {digest}") }) }
    }

    /// Unpacked bytes of a layer; 0 when it is gone.
    pub fn unpacked_size(&self, digest: &Digest) -> Result<u64> {
        Ok(self.read_layer(digest)?.map_or(0, |layer| layer.size))
    }

    /// What is known of a published layer.
    pub(crate) fn read_layer(&self, digest: &Digest) -> Result<Option<LayerFile>> {
        let path = self.layer(digest).join("layer.json");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.call(|| format!("read({path:?})")).doing(|| format!("read layer {digest}"))?,
        };
        // A layer that cannot be read is as good as none: it is unpacked again.
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// The lock of a layer if nobody else has it.
    pub(crate) fn try_lock_layer(&self, digest: &Digest) -> Result<Option<Lock>> {
        super::create(&self.layers(digest))?;
        Lock::attempt(&self.beside(digest, "lock"))
    }

    /// The lock of a layer; waits as long as another process downloads or removes it.
    pub(crate) fn lock_layer(&self, digest: &Digest) -> Result<Lock> {
        super::create(&self.layers(digest))?;
        Lock::wait(&self.beside(digest, "lock"))
    }

    pub(super) fn layers(&self, digest: &Digest) -> PathBuf {
        self.root.join("layers").join(algorithm(digest))
    }

    pub(super) fn layer(&self, digest: &Digest) -> PathBuf {
        self.layers(digest).join(digest.hex())
    }

    pub(super) fn beside(&self, digest: &Digest, ending: &str) -> PathBuf {
        self.layers(digest).join(format!("{}.{ending}", digest.hex()))
    }
}

/// A layer being unpacked. Dropping it removes what was written, and then gives the lock up.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    store: &'a Store,
    digest: &'a Digest,
    part: PathBuf,
    published: bool,
    _lock: Lock,
}

impl<'a> Staged<'a> {
    /// An empty folder for a layer whose lock is held; what a killed process left there, or a damaged layer, goes first.
    pub(crate) fn new(store: &'a Store, digest: &'a Digest, lock: Lock) -> Result<Self> {
        let part = store.beside(digest, "part");
        for old in [part.clone(), store.layer(digest)] {
            remove(&old)?;
        }
        let make = || -> std::io::Result<()> {
            DirBuilder::new().mode(0o700).create(&part)?;
            DirBuilder::new().mode(0o755).create(part.join("tree"))
        };
        make().call(|| format!("mkdir({part:?})")).map_err(|source| store.full_or(source, || format!("unpack layer {digest}")))?;
        Ok(Staged { store, digest, part, published: false, _lock: lock })
    }

    /// The folder to unpack into.
    pub(crate) fn tree(&self) -> Result<OwnedFd> {
        sys::fs::open_dir(self.part.join("tree")).doing(|| format!("unpack layer {}", self.digest))
    }

    /// The file for the blob itself, if it is to be kept.
    pub(crate) fn keep(&self) -> Result<File> {
        let path = self.part.join(super::kept::BLOB);
        let made = File::create(&path).call(|| format!("open({path:?}, O_CREAT)"));
        made.map_err(|source| self.store.full_or(source, || format!("keep the blob of layer {}", self.digest)))
    }

    /// Makes the layer visible. Both digests were compared.
    pub(crate) fn publish(mut self, layer: &LayerFile) -> Result<()> {
        write_layer(self.store, &self.part, self.digest, layer)?;
        let target = self.store.layer(self.digest);
        fs::rename(&self.part, &target)
            .call(|| format!("rename({:?}, {target:?})", self.part))
            .map_err(|source| self.store.full_or(source, || format!("publish layer {}", self.digest)))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.published {
            let _ = remove(&self.part);
        }
    }
}

/// Writes `layer.json` into a layer's folder.
pub(super) fn write_layer(store: &Store, folder: &Path, digest: &Digest, layer: &LayerFile) -> Result<()> {
    let bytes = serde_json::to_vec(layer).map_err(|source| Error::Document { what: format!("layer {digest}"), source })?;
    let write = || sys::fs::replace(sys::fs::open_dir(folder)?, "layer.json", &bytes);
    write().map_err(|source| store.full_or(source, || format!("write layer {digest}")))
}

/// Removes a folder with all below it.
pub(super) fn remove(path: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let removed = sys::fs::open_dir(folder).and_then(|folder| sys::fs::remove_tree(folder, name));
    removed.doing(|| format!("remove {}", path.display()))
}

/// Identifies this boot of the host.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
