//! One file of what is copied, on its way.

use std::io::{self, Read};
use std::path::PathBuf;

use rustix::fs::{FileType, Stat};

use crate::Error;

/// Everything about a file but its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Relative to the folder that it goes to, without `..`; empty is that folder itself.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// Permissions with setuid, setgid and sticky bits.
    pub(super) mode: u32,
    /// Its owner, as the container has it that it is from or goes to.
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub(super) mtime: (i64, u32),
    /// `security.capability`.
    pub(super) capability: Option<Vec<u8>>,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// With so many bytes, as far as is known.
    File(u64),
    Folder,
    /// With its content.
    Link(Vec<u8>),
    /// A further name of a file that was copied to this path.
    Same(PathBuf),
    Device(FileType, u64),
    Pipe,
}

impl Item {
    /// As it is on disk.
    pub(super) fn new(path: PathBuf, kind: Kind, stat: &Stat) -> Self {
        Item {
            path,
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
            capability: None,
        }
    }
}

/// Where items go.
pub(super) trait Sink {
    /// Takes the next one; `bytes` are those of a file.
    fn add(&mut self, item: &Item, bytes: &mut dyn Read) -> Result<(), Error>;

    /// No more are to come.
    fn finish(&mut self) -> Result<(), Error>;
}

/// An input or output error of a stream as the error of a call.
pub(super) fn broken(call: &str, error: &io::Error) -> sys::Error {
    sys::Error::new(
        call,
        rustix::io::Errno::from_raw_os_error(error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error())),
    )
}
