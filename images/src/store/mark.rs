//! Layers that may not be on disk yet.
//!
//! The mark is a symbolic link in the layer's folder, `unsynced`, to the boot in which the layer was written: it is there or not, in one step
//! and without a byte that could be lost, and comes with the rename that publishes the layer. What follows the boot tells one mark from the
//! next: whoever takes a mark away takes the one that it saw before it synced.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use sys::Call;

use super::layers::remove;
use super::{LayerFile, Lock, Store};
use crate::Digest;
use crate::error::{Doing, Error, Result};

const MARK: &str = "unsynced";

impl Store {
    /// Marks a layer whose files are about to change, or which is about to be published, in its folder.
    pub(super) fn mark(&self, digest: &Digest, folder: &Path) -> Result<()> {
        let (new, mark) = (folder.join(".unsynced"), folder.join(MARK));
        let now = jiff::Timestamp::now().as_nanosecond();
        let make = || {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            symlink(format!("{}.{now}", self.boot()), &new)?;
            fs::rename(&new, &mark)
        };
        make().call(|| format!("symlink({mark:?})")).map_err(|source| self.full_or(source, || format!("write layer {digest}")))
    }

    /// The mark of a layer, if it has one.
    pub(super) fn marked(&self, digest: &Digest) -> Result<Option<String>> {
        let path = self.layer(digest).join(MARK);
        match fs::read_link(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            mark => {
                let mark = mark.call(|| format!("readlink({path:?})")).doing(|| format!("read layer {digest}"))?;
                Ok(Some(mark.display().to_string()))
            }
        }
    }

    /// Takes a mark away, unless there is another one by now.
    pub(super) fn unmark(&self, digest: &Digest, mark: &str, _lock: &Lock) -> Result<()> {
        if self.marked(digest)?.as_deref() != Some(mark) {
            return Ok(());
        }
        let path = self.layer(digest).join(MARK);
        fs::remove_file(&path).call(|| format!("unlink({path:?})")).doing(|| format!("write layer {digest}"))
    }

    /// The layer has been in memory since it was written.
    pub(super) fn is_of_this_boot(&self, mark: &str) -> bool {
        let boot = self.boot();
        !boot.is_empty() && mark.split('.').next() == Some(boot)
    }

    /// Makes sure that a layer is what was written once, if a power cut could have damaged it: it costs a look at its mark, or one look at
    /// all of it, once after a boot.
    ///
    /// # Errors
    /// [`Error::Damaged`]: the layer was not whole, and is gone now.
    pub(super) fn settle(&self, digest: &Digest) -> Result<()> {
        match self.marked(digest)? {
            Some(mark) if !self.is_of_this_boot(&mark) => {
                let lock = self.lock_layer(digest)?;
                let whole = self.settled_layer(digest, &lock)?.is_some();
                if whole { Ok(()) } else { Err(Error::Damaged { what: format!("layer {digest}") }) }
            }
            _ => Ok(()),
        }
    }

    /// What is known of a published layer whose lock is held; nothing if it is not whole. Then it goes.
    pub(crate) fn settled_layer(&self, digest: &Digest, lock: &Lock) -> Result<Option<LayerFile>> {
        let Some(mark) = self.marked(digest)?.filter(|mark| !self.is_of_this_boot(mark)) else { return self.read_layer(digest) };
        if self.examine_layer(digest)?.flaws.is_empty() {
            self.unmark(digest, &mark, lock)?;
            return self.read_layer(digest);
        }
        self.drop_layer(digest, lock)?;
        Ok(None)
    }

    /// Removes a layer: nobody sees half of it.
    pub(super) fn drop_layer(&self, digest: &Digest, _lock: &Lock) -> Result<()> {
        let (layer, gone) = (self.layer(digest), self.beside(digest, "gone"));
        remove(&gone)?;
        self.unmount_layer(digest)?;
        match fs::rename(&layer, &gone) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            renamed => renamed.call(|| format!("rename({layer:?}, {gone:?})")).doing(|| "remove a layer")?,
        }
        remove(&gone)
    }

    /// This boot of the host.
    fn boot(&self) -> &str {
        let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default();
        self.boot.get_or_init(read)
    }

    /// The same store after another boot.
    #[cfg(test)]
    pub(crate) fn in_boot(mut self, boot: &str) -> Self {
        self.boot = std::sync::Arc::new(boot.to_owned().into());
        self
    }
}
