//! Layers that come to be here rather than elsewhere: their digests are known only at the end.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sys::Call;

use super::kept::BLOB;
use super::layers::{IMAGE, LayerFile, SUMS, TREE, destination, remove, write_layer};
use super::refs::list;
use super::{Lease, Store};
use crate::Digest;
use crate::erofs::Written;
use crate::error::{Doing, Result};
use crate::sums;
use crate::unpack::Destination;

/// A layer in the making. Dropping it removes what there is of it.
#[derive(Debug)]
pub(crate) struct Making {
    store: Store,
    folder: PathBuf,
    /// The folder itself, locked.
    _lock: File,
}

impl Store {
    /// An empty folder for a layer, which others leave alone as long as it is held.
    pub(crate) fn making(&self) -> Result<Making> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        super::create(&self.root.join(MAKING))?;
        loop {
            let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let folder = self.root.join(MAKING).join(name);
            // It may be that of a dead process with the same number.
            match DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                made => made.call(|| format!("mkdir({folder:?})")).map_err(|source| self.full_or(source, || "make a layer"))?,
            }
            // Between the two steps a sweep may take it for abandoned.
            match File::open(&folder) {
                Ok(lock) if lock.try_lock().is_ok() && folder.exists() => {
                    return Ok(Making { store: self.clone(), folder, _lock: lock });
                }
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).call(|| format!("open({folder:?})")).doing(|| "make a layer");
                }
                _ => {}
            }
        }
    }

    /// Removes layers whose maker was killed.
    pub(super) fn sweep_making(&self) -> Result<()> {
        for name in list(&self.root.join(MAKING))? {
            let folder = self.root.join(MAKING).join(name);
            if let Ok(lock) = File::open(&folder)
                && lock.try_lock().is_ok()
            {
                remove(&folder)?;
            }
        }
        Ok(())
    }
}

const MAKING: &str = "making";

impl Making {
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What to unpack into, in the way of this store: a new folder, or a new file for an image.
    pub(crate) fn destination(&self) -> Result<Destination> {
        let made = destination(self.store.makes_images()?, &self.folder);
        made.map_err(|source| self.store.full_or(source, || "make a layer"))
    }

    /// The file for the blob.
    pub(crate) fn keep(&self) -> Result<File> {
        let path = self.folder.join(BLOB);
        let made = File::options().write(true).create_new(true).mode(0o600).open(&path);
        made.call(|| format!("open({path:?}, O_CREAT)")).map_err(|source| self.store.full_or(source, || "make a layer"))
    }

    /// The folder `name` in it is the layer's tree.
    pub(crate) fn becomes_tree(&self, name: &str) -> Result<()> {
        let (from, to) = (self.folder.join(name), self.folder.join(TREE));
        fs::rename(&from, &to).call(|| format!("rename({from:?}, {to:?})")).doing(|| "make a layer")
    }

    /// Makes the layer visible, unless the store has it already, and keeps it there for the lease's time.
    pub(crate) fn publish(self, digest: &Digest, layer: &LayerFile) -> Result<Lease> {
        let lease = self.store.lease([digest].into_iter())?;
        for name in list(&self.folder)?.iter().filter(|name| ![IMAGE, TREE, SUMS, BLOB].contains(&name.as_str())) {
            remove(&self.folder.join(name))?;
        }
        let sums = match layer.erofs.is_some() || layer.sums.is_some() {
            true => layer.sums.clone(),
            false => Some(self.take().map_err(|source| self.store.full_or(source, || format!("write layer {digest}")))?.into()),
        };
        write_layer(&self.store, &self.folder, digest, &LayerFile { sums, ..layer.clone() })?;
        self.store.mark(digest, &self.folder)?;
        let lock = self.store.lock_layer(digest)?;
        if self.store.settled_layer(digest, &lock)?.is_none() {
            let to = self.store.layer(digest);
            // What cannot be read.
            remove(&to)?;
            fs::rename(&self.folder, &to)
                .call(|| format!("rename({:?}, {to:?})", self.folder))
                .map_err(|source| self.store.full_or(source, || format!("publish layer {digest}")))?;
        }
        Ok(lease)
    }

    /// What a tree is made of that came to be without being unpacked.
    fn take(&self) -> sys::Result<Written> {
        let path = self.folder.join(SUMS);
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let tree = sys::fs::open_dir(self.folder.join(TREE))?;
        sums::take(tree.as_fd(), file.call(|| format!("open({path:?}, O_CREAT | O_EXCL)"))?)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let _ = remove(&self.folder);
    }
}
