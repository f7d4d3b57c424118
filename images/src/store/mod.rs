//! Images on disk. No database, no lock that a run would wait for; what is named is complete.
//!
//! ```text
//! ROOT/                                   0700
//!   refs/docker.io/smlinux/nodeinfo/:v1   a name: Record as JSON, by rename and fsync
//!   refs/docker.io/smlinux/nodeinfo/@sha256:HEX   the same for a name with a digest
//!   refs/@/sha256:HEX                     the record of each manifest, also of those whose names moved on
//!   blobs/sha256/HEX                      manifests, indexes, configs
//!   layers/sha256/HEX/erofs               a layer, by the digest of its compressed blob: an image that is mounted,
//!   layers/sha256/HEX/tree/               or a folder: overlayfs takes either
//!   layers/sha256/HEX/sums                what the folder is made of (`crate::sums`)
//!   layers/sha256/HEX/layer.json          its diff id, sizes, sums, the repositories that have it
//!   layers/sha256/HEX/unsynced            -> the boot in which it was written, until the disk is known to have it
//!   layers/sha256/HEX/blob                the blob itself, where it is kept
//!   layers/sha256/HEX/folded              or what is left of it beside the image (see `folded`)
//!   layers/sha256/HEX.part/               being unpacked
//!   cache/HEX                             which layer came of a build's step (see `cached`)
//!   making/NAME/                          a layer that comes to be here (see `make`); locked by its maker
//!   layers/sha256/HEX.gone/               being removed
//!   layers/sha256/HEX.lock                held by whoever unpacks, completes or removes the layer
//!   leases/NAME.lease                     digests that a running pull relies on; its lock is held while it runs
//!   lists/docker.io/a/b/:v1               a list of platforms that is not pushed yet (see `list`)
//!   leases/publish.lock                   held for the few file operations that publish or remove an image
//! ```
//!
//! A leaf begins with `:` or `@`, which no part of a repository does, so names never collide with folders.
//!
//! **Publishing.** A pull takes a lease, looks at each layer under the layer's lock, unpacks what is missing into
//! `HEX.part`, and renames it to `HEX` when both digests are right. Then, under `publish.lock`, it checks that all layers are there
//! and writes blobs, record and name, in this order.
//!
//! **Removing** goes the other way: name and record, blobs no record needs, then each layer, under its lock, that
//! neither a lease nor a record names. Leases are read before records, and a pull drops its lease after its record is there: one of
//! the two is seen. A killed process holds no lock; `.part` and `.gone` folders without one are swept by the next removal, and a
//! `.part` by the next pull of that layer.
//!
//! **Power cuts.** A pull does not wait for the disk with its layers (287 MB take a second and more), so each one is marked with the boot of
//! the host. [`Store::sync`] writes what memory has of them, and takes the marks away; `rctr` calls it in a process of its own behind each
//! pull. A layer that still has a mark when the host has booted again is read and compared with its sums before its first use: one that
//! differs goes, and the next pull brings it back. Blobs, records and names are synced, in this order: a name never stands for nothing.
//!
//! **Platforms.** A record with an index as its target keeps the other images of that index that are here (see `platforms`).
//!
//! **Blobs of layers.** A push or `save` needs a layer's exact bytes, which its tree does not give back: no other gzip makes
//! the same ones. Keeping them takes 37 % more disk (97 MB beside 263 MB for the node image of six layers) and as much
//! writing in each pull, for what most hosts never do; what it saves is a download (from a registry on loopback a push takes 0.37 s
//! instead of 0.27 s, a `save` 0.18 s instead of 0.08 s). So a pull keeps none, unless it is told to, but notes in `layer.json`
//! which repositories have the layer: a push to the same registry mounts it from there without moving a byte (0.05 s), and any other
//! push or `save` fetches it again and passes it on. A layer that came from an archive has no registry: its blob is kept. Of one that
//! is no more than a plain archive, only what the image has not (see `folded`). Blob and tree are one folder, so they are published, locked and removed as one.

mod adopt;
mod blobs;
mod cached;
mod check;
mod driver;
mod examine;
mod find;
mod folded;
mod kept;
mod layers;
mod leases;
mod locks;
mod making;
mod mark;
mod platforms;
mod publish;
mod refs;
mod remove;
mod shared;
mod sweep;
mod sync;
mod usage;
mod used;

#[cfg(test)]
mod tests;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sys::Call;

pub use cached::{CacheEntry, Cached};
pub use check::{Checked, Fault, Remedy, Users};
pub use driver::{Driver, InvalidDriver, Lower};
pub use examine::{Examined, Flaw};
pub use find::{Damage, Listing};
pub(crate) use find::{LAYERS, layers_of, parse_config};
pub(crate) use kept::Kept;
pub use layers::RootFolder;
pub(crate) use layers::{LayerFile, Staged};
pub use leases::Lease;
pub(crate) use locks::Lock;
pub(crate) use making::Making;
pub use platforms::Variant;
pub(crate) use platforms::index;
pub(crate) use publish::Publication;
pub(crate) use refs::{Record, list};
pub use remove::Removed;
pub use usage::Usage;

use crate::error::{Doing, Result};

/// A folder with images. Cheap to open and to clone; several processes may use it at once.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    driver: Driver,
    /// Where images of layers are mounted for all.
    shared: Option<PathBuf>,
    /// Whether the kernel can mount images that are in this store, once somebody wanted to know.
    can_mount: Arc<OnceLock<sys::Result<()>>>,
    /// This boot of the host, likewise.
    boot: Arc<OnceLock<String>>,
}

impl Store {
    /// Opens the store in the folder `root`, such as `/var/lib/rctr/images`, and makes what is missing, for its owner only
    /// (CVE-2021-41091: others must not reach setuid files in a layer).
    pub fn open(root: &Path) -> Result<Self> {
        let store =
            Store { root: root.to_owned(), driver: Driver::Auto, shared: None, can_mount: Arc::default(), boot: Arc::default() };
        if !store.leases().is_dir() {
            for folder in
                [store.root.join("refs/@"), store.root.join("blobs/sha256"), store.root.join("layers/sha256"), store.leases()]
            {
                create(&folder)?;
            }
        }
        Ok(store)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn refs(&self) -> PathBuf {
        self.root.join("refs")
    }

    fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }
}

/// Makes a folder and those above it.
pub(crate) fn create(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.call(|| format!("mkdir({folder:?}, 0700)")).doing(|| "open")
}
