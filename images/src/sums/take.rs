//! The text about a tree that was not unpacked here.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use sys::Call;
use sys::fs::open_without_links;

use super::{Entry, Log, sum_of};
use crate::erofs::{Sum, Written};
use crate::unpack::is_whiteout;
use crate::unpack::path::{join, show};

/// Reads all of a tree, and writes what it is made of into an empty file.
pub(crate) fn take(tree: BorrowedFd<'_>, sums: File) -> sys::Result<Written> {
    let mut log = Log::new(sums);
    let mut todo = vec![Vec::new()];
    while let Some(path) = todo.pop() {
        let relative = if path.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(&path) };
        let folder = open_without_links(tree, relative, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        log.entry(&path, &entry(&fstat(&folder).call(|| "fstat()")?, 0, 0))?;
        if sys::overlay::is_opaque(&folder) {
            log.opaque(&path)?;
        }
        for name in sys::fs::list(&folder)? {
            let mut path = path.clone();
            join(&mut path, name.as_bytes());
            if named(folder.as_fd(), name.as_bytes(), &path, &mut log)? == FileType::Directory {
                todo.push(path);
            }
        }
    }
    log.finish()
}

/// Writes of what is no folder, and answers what it is.
fn named(folder: BorrowedFd<'_>, name: &[u8], path: &[u8], log: &mut Log) -> sys::Result<FileType> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).call(|| format!("fstatat({})", show(name)))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let (size, sum) = match kind {
        FileType::Directory => return Ok(kind),
        _ if is_whiteout(&stat) => {
            log.hidden(path)?;
            return Ok(kind);
        }
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file: File = openat(folder, name, flags, Mode::empty()).call(|| format!("openat({})", show(name)))?.into();
            (stat.st_size as u64, Sum::of(&file)?.0)
        }
        FileType::Symlink => {
            let target = readlinkat(folder, name, Vec::new()).call(|| format!("readlinkat({})", show(name)))?;
            (target.as_bytes().len() as u64, sum_of(target.as_bytes()))
        }
        FileType::CharacterDevice | FileType::BlockDevice => (0, stat.st_rdev),
        _ => (0, 0),
    };
    log.entry(path, &entry(&stat, size, sum))?;
    Ok(kind)
}

fn entry(stat: &Stat, size: u64, sum: u64) -> Entry {
    Entry { mode: stat.st_mode, uid: stat.st_uid, gid: stat.st_gid, size, sum }
}
