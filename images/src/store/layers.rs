//! Layers: trees and images.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sys::Call;

use super::Store;
use super::blobs::algorithm;
use super::driver::{self, Lower};
use super::folded::fold;
use super::locks::Lock;
use super::shared;
use crate::Digest;
use crate::erofs::{self, Sum, Unreadable, Written};
use crate::error::{Doing, Error, Result};
use crate::image::Image;
use crate::unpack::{Destination, Place};

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
    /// The image; a layer without one is a folder tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) erofs: Option<Summed>,
    /// The text about a folder tree (`crate::sums`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sums: Option<Summed>,
}

/// A file of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summed {
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Its sum, by which damage is found (`erofs::Sum`), as `xxh3:` and 16 digits.
    pub(crate) sum: String,
}

const SUM: &str = "xxh3:";

impl From<Written> for Summed {
    fn from(Written { size, sum }: Written) -> Self {
        Summed { size, sum: format!("{SUM}{:016x}", sum.0) }
    }
}

impl Summed {
    /// What was written; nothing if the sum is of another kind.
    pub(crate) fn written(&self) -> Option<Written> {
        let sum = u64::from_str_radix(self.sum.strip_prefix(SUM)?, 16).ok()?;
        Some(Written { size: self.size, sum: Sum(sum) })
    }
}

/// Mode and owner of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootFolder {
    /// Permissions with setuid, setgid and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The image in a layer's folder, and the folder that is there instead.
pub(super) const IMAGE: &str = "erofs";
pub(super) const TREE: &str = "tree";
/// The text about the folder.
pub(super) const SUMS: &str = "sums";

impl Store {
    /// The layers of an image, topmost first, as overlayfs wants them: images are mounted. Each one is complete; one that is gone is
    /// [`Error::Damaged`].
    ///
    /// The root folder's attributes in a container are those of its upper folder: copy them from [`Store::root_folder`].
    pub fn lower(&self, image: &Image) -> Result<Vec<Lower>> {
        self.stack(image.layers.iter().map(|layer| &layer.digest))
    }

    /// The same for layers by their digests, lowest first. One that is there twice is taken once, at its highest place: there it decides all
    /// that it has, so that it shows nothing from a lower one, and overlayfs refuses the same folder twice (`ELOOP`).
    pub fn stack<'a>(&self, layers: impl DoubleEndedIterator<Item = &'a Digest>) -> Result<Vec<Lower>> {
        let mut taken = BTreeSet::new();
        layers.rev().filter(|digest| taken.insert(*digest)).map(|digest| self.lower_of(digest)).collect()
    }

    /// One layer. If it is an image it is mounted: once for all, in a store that shares its layers (see `shared`).
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is gone, [`Error::DamagedLayer`] when its image is no longer what it was; the kernel cannot mount it.
    pub fn lower_of(&self, digest: &Digest) -> Result<Lower> {
        let image = match self.find_layer(digest)? {
            Found::Tree(tree) => return Ok(Lower::Folder(tree)),
            Found::Image(image) => image,
        };
        let mount = match &self.shared {
            Some(folder) => shared::mount(&image, &folder.join(digest.hex())),
            None => driver::mount(&image),
        };
        mount.map(Lower::Mount).map_err(|source| self.unmountable(digest, source))
    }

    /// Why an image cannot be mounted: is it the image, or this kernel?
    fn unmountable(&self, digest: &Digest, source: sys::Error) -> Error {
        let path = self.layer(digest).join(IMAGE);
        let differs = || self.examine_layer(digest).is_ok_and(|examined| !examined.flaws.is_empty());
        if is_of_the_disk(&source) || differs() {
            return Error::DamagedLayer { digest: digest.clone(), path, source };
        }
        Error::Store { what: format!("mount layer {digest}, which is {}", path.display()), source }
    }

    /// The folder with one layer's files, of a mount of its own if it is an image.
    pub(crate) fn open_lower(&self, digest: &Digest) -> Result<OwnedFd> {
        let what = || format!("open layer {digest}");
        match self.find_layer(digest)? {
            Found::Tree(tree) => sys::fs::open_dir(tree).doing(what),
            Found::Image(image) => driver::mount(&image).map_err(|source| self.unmountable(digest, source)),
        }
    }

    /// Whether all layers of an image are there.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the one that is gone.
    pub fn check_layers(&self, image: &Image) -> Result<()> {
        image.layers.iter().try_for_each(|layer| self.find_layer(&layer.digest).map(drop))
    }

    /// Mode and owner of an image's root folder: that of its topmost layer. Nothing for an image without layers.
    pub fn root_folder(&self, image: &Image) -> Result<Option<RootFolder>> {
        let Some(top) = image.layers.last() else { return Ok(None) };
        let what = || format!("read layer {}", top.digest);
        match self.find_layer(&top.digest)? {
            Found::Tree(tree) => {
                let stat = fs::metadata(&tree).call(|| format!("stat({tree:?})")).doing(what)?;
                Ok(Some(RootFolder { mode: stat.mode() & 0o7777, uid: stat.uid(), gid: stat.gid() }))
            }
            Found::Image(image) => match erofs::root(&image) {
                Ok((mode, uid, gid)) => Ok(Some(RootFolder { mode: mode.into(), uid, gid })),
                Err(unreadable) => Err(self.unreadable(&top.digest, unreadable)),
            },
        }
    }

    /// Why the image of a layer cannot be read.
    pub(super) fn unreadable(&self, digest: &Digest, unreadable: Unreadable) -> Error {
        let path = self.layer(digest).join(IMAGE);
        let source = match unreadable {
            Unreadable::Call(error) if !is_of_the_disk(&error) => {
                return Error::Store { what: format!("read layer {digest}, which is {}", path.display()), source: error };
            }
            Unreadable::Call(error) => error,
            Unreadable::Damaged => sys::Error::new(format!("read({path:?})"), Errno::UCLEAN),
        };
        Error::DamagedLayer { digest: digest.clone(), path, source }
    }

    /// What there is of a layer, which a power cut has not damaged.
    pub(super) fn find_layer(&self, digest: &Digest) -> Result<Found> {
        self.settle(digest)?;
        self.look_at_layer(digest)
    }

    /// What there is of a layer, whole or not.
    pub(super) fn look_at_layer(&self, digest: &Digest) -> Result<Found> {
        let (image, tree) = (self.layer(digest).join(IMAGE), self.layer(digest).join(TREE));
        match File::open(&image) {
            Err(error) if error.kind() == ErrorKind::NotFound && tree.is_dir() => Ok(Found::Tree(tree)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Damaged { what: format!("layer {digest}") }),
            file => file.map(Found::Image).call(|| format!("open({image:?})")).doing(|| format!("read layer {digest}")),
        }
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

    /// Bytes of a layer's blob that another process has by now, as far as it tells.
    pub(crate) fn progress_of(&self, digest: &Digest) -> Option<u64> {
        Lock::told(&self.beside(digest, "lock"))
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

/// The disk, or what the file system finds on it, is bad.
pub(super) fn is_of_the_disk(error: &sys::Error) -> bool {
    matches!(error.errno(), Errno::IO | Errno::UCLEAN | Errno::BADMSG)
}

/// What there is of a layer.
pub(super) enum Found {
    Tree(PathBuf),
    /// Open for reading.
    Image(File),
}

/// A layer being unpacked. Dropping it removes what was written, and then gives the lock up.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    store: &'a Store,
    digest: &'a Digest,
    part: PathBuf,
    published: bool,
    lock: Lock,
}

impl<'a> Staged<'a> {
    /// An empty folder for a layer whose lock is held; what a killed process left there, or a damaged layer, goes first.
    pub(crate) fn new(store: &'a Store, digest: &'a Digest, lock: Lock) -> Result<Self> {
        let part = store.beside(digest, "part");
        store.unmount_layer(digest)?;
        for old in [part.clone(), store.layer(digest)] {
            remove(&old)?;
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&part)
            .call(|| format!("mkdir({part:?})"))
            .map_err(|source| store.full_or(source, || format!("unpack layer {digest}")))?;
        Ok(Staged { store, digest, part, published: false, lock })
    }

    /// What to unpack into: a new folder, or a new file for an image.
    pub(crate) fn destination(&self) -> Result<Destination> {
        let made = destination(self.store.makes_images()?, &self.part);
        made.map_err(|source| self.store.full_or(source, || format!("unpack layer {}", self.digest)))
    }

    /// The file for the blob itself, if it is to be kept.
    pub(crate) fn keep(&self) -> Result<File> {
        let path = self.part.join(super::kept::BLOB);
        let made = File::create(&path).call(|| format!("open({path:?}, O_CREAT)"));
        made.map_err(|source| self.store.full_or(source, || format!("keep the blob of layer {}", self.digest)))
    }

    /// Keeps of the blob, which is the plain archive, only what is not in the layer's image.
    pub(crate) fn fold(&self, places: &[Place]) -> Result<()> {
        fold(&self.part, places).map_err(|source| self.store.full_or(source, || format!("keep the blob of layer {}", self.digest)))
    }

    /// Tells others who wait for the layer how many bytes of its blob have come.
    pub(crate) fn tell(&self, bytes: u64) {
        self.lock.tell(bytes);
    }

    /// Makes the layer visible. Both digests were compared.
    pub(crate) fn publish(mut self, layer: &LayerFile) -> Result<()> {
        write_layer(self.store, &self.part, self.digest, layer)?;
        self.store.mark(self.digest, &self.part)?;
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

/// A new file for an image, or a new folder with the text about it, in a layer's folder.
pub(super) fn destination(image: bool, folder: &Path) -> sys::Result<Destination> {
    let file = |name: &str| {
        let path = folder.join(name);
        let made = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
        made.call(|| format!("open({path:?}, O_CREAT | O_EXCL)"))
    };
    if image {
        return file(IMAGE).map(Destination::Erofs);
    }
    let path = folder.join(TREE);
    DirBuilder::new().mode(0o755).create(&path).call(|| format!("mkdir({path:?})"))?;
    Ok(Destination::Tree(sys::fs::open_dir(path)?, Some(file(SUMS)?)))
}

/// Writes `layer.json` into the folder of a layer that is marked, or will be.
pub(super) fn write_layer(store: &Store, folder: &Path, digest: &Digest, layer: &LayerFile) -> Result<()> {
    let bytes = serialized(digest, layer)?;
    let write = || sys::fs::replace(sys::fs::open_dir(folder)?, "layer.json", &bytes);
    write().map_err(|source| store.full_or(source, || format!("write layer {digest}")))
}

/// Writes `layer.json` into the folder of a layer that may have no mark any more.
pub(super) fn write_layer_synced(store: &Store, folder: &Path, digest: &Digest, layer: &LayerFile) -> Result<()> {
    let bytes = serialized(digest, layer)?;
    let write = || sys::fs::replace_synced(sys::fs::open_dir(folder)?, "layer.json", &bytes);
    write().map_err(|source| store.full_or(source, || format!("write layer {digest}")))
}

fn serialized(digest: &Digest, layer: &LayerFile) -> Result<Vec<u8>> {
    serde_json::to_vec(layer).map_err(|source| Error::Document { what: format!("layer {digest}"), source })
}

/// Removes a folder with all below it.
pub(super) fn remove(path: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let removed = sys::fs::open_dir(folder).and_then(|folder| sys::fs::remove_tree(folder, name));
    removed.doing(|| format!("remove {}", path.display()))
}
