//! What one path of a container is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{FileType, fstat, readlinkat};
use sys::Call;

use super::copy::inside;
use super::place::{self, Side};
use crate::error::During;
use crate::{Engine, Error};

/// One file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// Its last name; `/` for the root.
    pub name: OsString,
    /// Bytes.
    pub size: u64,
    /// Its type and permissions (inode(7)).
    pub mode: u32,
    /// When it was changed: seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// What it says, if it is a link.
    pub link: Option<OsString>,
}

impl Engine {
    /// Looks at a path of a container, whether it runs or not. A link at its end is meant itself.
    ///
    /// # Errors
    /// There is nothing at the path.
    pub fn path_stat(&self, given: &str, path: &str) -> Result<PathStat, Error> {
        self.with_root(given, |root| {
            let what = || format!("look at {given}:{path}");
            let source = place::source(Side::Container(&root.folder), &inside(path), false).during(what)?;
            let stat = fstat(&source.file).call(|| "fstat()").during(what)?;
            let link = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    let content = readlinkat(&source.file, c"", Vec::new()).call(|| "readlinkat()").during(what)?;
                    Some(OsString::from_vec(content.into_bytes()))
                }
                _ => None,
            };
            Ok(PathStat {
                name: source.name.unwrap_or_else(|| "/".into()),
                size: u64::try_from(stat.st_size).unwrap_or_default(),
                mode: stat.st_mode,
                mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
                link,
            })
        })
    }
}
