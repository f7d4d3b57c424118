//! Lock files that come and go.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sys::Call;

use crate::error::{Doing, Result};

/// An exclusive lock by a file that is removed when the lock is given up. Whoever waited for it then holds a lock on a
/// file without a name, notices, and tries again.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Tells those who wait how far the holder is. Where that cannot be told they wait all the same.
    pub(crate) fn tell(&self, bytes: u64) {
        let _ = self.file.write_at(&bytes.to_le_bytes(), 0);
    }

    /// What the holder of a lock told last.
    pub(crate) fn told(path: &Path) -> Option<u64> {
        let mut bytes = [0; 8];
        File::open(path).and_then(|file| file.read_exact_at(&mut bytes, 0)).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Waits until nobody else holds the lock.
    pub(crate) fn wait(path: &Path) -> Result<Self> {
        loop {
            let file = open(path)?;
            file.lock().call(|| format!("flock({path:?}, LOCK_EX)")).doing(|| "lock")?;
            if is_current(&file, path) {
                return Ok(Lock { path: path.to_owned(), file });
            }
        }
    }

    /// The lock if it is free now.
    pub(crate) fn attempt(path: &Path) -> Result<Option<Self>> {
        loop {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) if is_current(&file, path) => return Ok(Some(Lock { path: path.to_owned(), file })),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => {
                    return Err(error).call(|| format!("flock({path:?}, LOCK_EX | LOCK_NB)")).doing(|| "lock");
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.call(|| format!("open({path:?}, O_CREAT)")).doing(|| "lock")
}

/// Whether `path` still names this very file.
fn is_current(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(own), Ok(named)) => (own.dev(), own.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_and_no_file_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let lock = Lock::wait(&path).unwrap();
        assert!(Lock::attempt(&path).unwrap().is_none());
        assert_eq!(Lock::told(&path), None);
        lock.tell(1 << 40);
        assert_eq!(Lock::told(&path), Some(1 << 40));
        let waiter = std::thread::spawn({
            let path = path.clone();
            move || Lock::wait(&path).map(drop)
        });
        drop(lock);
        waiter.join().unwrap().unwrap();
        assert!(!path.exists());
        assert!(Lock::attempt(&path).unwrap().is_some());
    }

    #[test]
    fn many_threads_are_never_inside_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _lock = Lock::wait(&path).unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
