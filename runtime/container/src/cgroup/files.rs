//! The files of a cgroup folder: each write is a command of its own, each read a short text.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use sys::Call;

use super::Error;
use super::create::Folder;

/// One write.
pub(super) fn write(file: impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| rustix::io::write(&file, bytes)).map(|_| ())
}

/// One write to the file at `path`.
pub(super) fn put(path: &Path, value: &str) -> Result<(), Errno> {
    openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).and_then(|fd| write(fd, value.as_bytes()))
}

/// Reads a file of a folder.
pub(super) fn read(folder: &Folder, file: &str) -> Result<String, Error> {
    read_at(&folder.fd, &folder.path, file)
}

/// Reads a file of an open folder; `path` is for messages.
pub(super) fn read_at(fd: impl AsFd, path: &Path, file: &str) -> Result<String, Error> {
    /// Files with a process number a line are the long ones: a million processes.
    const LIMIT: usize = 8 << 20;
    openat(fd, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .call(|| format!("openat({file:?})"))
        .and_then(|fd| sys::fs::read_all(fd, LIMIT))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|source| Error::Read { path: path.join(file), source })
}
