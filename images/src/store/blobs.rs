//! Manifests, indexes and configs, by digest.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use sys::Call;

use super::{Store, create};
use crate::Digest;
use crate::error::{Doing, Error, Result};
use crate::image::Image;
use crate::unpack::hash::Algorithm;

impl Store {
    /// The manifest of an image, byte for byte as the registry gave it.
    pub fn manifest_bytes(&self, image: &Image) -> Result<Vec<u8>> {
        self.read_blob("manifest", &image.manifest)
    }

    /// The config of an image, byte for byte.
    pub fn config_bytes(&self, image: &Image) -> Result<Vec<u8>> {
        self.read_blob("config", &image.id)
    }

    /// A blob; one that is gone or was changed is [`Error::Damaged`].
    pub(crate) fn read_blob(&self, what: &str, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.blob(digest);
        let damaged = || Error::Damaged { what: format!("{what} {digest}") };
        match fs::read(&path) {
            Ok(bytes) if digest.same_kind(&bytes) == *digest => Ok(bytes),
            Ok(_) => Err(damaged()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(damaged()),
            Err(error) => Err(error).call(|| format!("read({path:?})")).doing(|| format!("read {what} {digest}")),
        }
    }

    /// Writes a blob whose digest was verified, for good: what names it comes after.
    pub(crate) fn write_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if self.read_blob("blob", digest).is_ok() {
            return Ok(());
        }
        let path = self.blob(digest);
        let folder = path.parent().unwrap_or(&self.root);
        create(folder)?;
        let write = || {
            let folder = sys::fs::open_dir(folder)?;
            sys::fs::replace_synced(&folder, digest.hex(), bytes)?;
            rustix::fs::fsync(&folder).call(|| "fsync()")
        };
        write().map_err(|source| self.full_or(source, || format!("write blob {digest}")))
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(algorithm(digest)).join(digest.hex())
    }

    /// A failed write, which says so if the store's file system is full.
    pub(crate) fn full_or<S: Into<String>>(&self, source: sys::Error, what: impl FnOnce() -> S) -> Error {
        Error::written(&self.root, source, what())
    }
}

/// The folder of a digest.
pub(super) fn algorithm(digest: &Digest) -> &'static str {
    match Algorithm::of(&digest.to_string()) {
        Algorithm::Sha256 => "sha256",
        Algorithm::Sha512 => "sha512",
    }
}
