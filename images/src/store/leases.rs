//! What running commands rely on.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sys::Call;

use super::Store;
use super::refs::list;
use crate::Digest;
use crate::error::{Doing, Error, Result};
use crate::image::Image;

/// Keeps blobs and layers from removal while it lives. It is a file whose lock ends with the process, if not before.
#[derive(Debug)]
#[must_use = "dropping a lease ends it"]
pub struct Lease {
    path: PathBuf,
    _locked: File,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Keeps `image` in the store, say until a container is recorded that needs it. Answers an error if it was removed
    /// meanwhile.
    pub fn hold(&self, image: &Image) -> Result<Lease> {
        let lease = self.lease(image.layers.iter().map(|layer| &layer.digest).chain([&image.manifest]))?;
        let record = self.read_record(&self.record_file(&image.manifest))?;
        record.ok_or_else(|| Error::NotFound { name: image.id.to_string() })?;
        self.check_layers(image)?;
        Ok(lease)
    }

    /// A lease for `digests`, which need not be there yet.
    pub(crate) fn lease<'a>(&self, digests: impl Iterator<Item = &'a Digest>) -> Result<Lease> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let text: String = digests.map(|digest| format!("{digest}\n")).collect();
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (hidden, path) = (self.leases().join(format!(".{name}")), self.leases().join(format!("{name}.lease")));
        let make = || -> std::io::Result<File> {
            // The name may be that of a dead process with the same number.
            let _ = fs::remove_file(&path);
            let mut file = File::create(&hidden)?;
            file.lock()?;
            file.write_all(text.as_bytes())?;
            // Seen by others only now that it is locked and complete.
            fs::rename(&hidden, &path)?;
            Ok(file)
        };
        match make().call(|| format!("write({path:?})")) {
            Ok(file) => Ok(Lease { path, _locked: file }),
            Err(source) => Err(self.full_or(source, || "take a lease")),
        }
    }

    /// All digests with a lease. Leases of dead processes are removed.
    pub(super) fn leased(&self) -> Result<BTreeSet<String>> {
        let mut leased = BTreeSet::new();
        for name in list(&self.leases())?.iter().filter(|name| name.ends_with(".lease")) {
            if let Some(text) = living(&self.leases().join(name))? {
                leased.extend(text.lines().map(str::to_owned));
            }
        }
        Ok(leased)
    }
}

/// The content of a lease that somebody holds.
fn living(path: &Path) -> Result<Option<String>> {
    let read = || -> std::io::Result<Option<String>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => std::io::read_to_string(file).map(Some),
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => {
                fs::remove_file(path).or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
                Ok(None)
            }
        }
    };
    read().call(|| format!("read({path:?})")).doing(|| "read a lease")
}
