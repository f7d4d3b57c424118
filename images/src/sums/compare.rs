//! A tree against the text about it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Advice, AtFlags, FileType, Mode, OFlags, SeekFrom, Stat, fadvise, fstat, openat, readlinkat, seek, statat};
use rustix::io::Errno;
use sys::Call;
use sys::fs::open_without_links;

use super::{Content, Entry, Folder, What, read, sum_of};
use crate::erofs::{Sum, Unreadable, Written};
use crate::unpack::path::{join, show};

/// What differs from what was written once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The path in the layer, shortened and escaped; empty for its root folder.
    pub(crate) path: String,
    /// `content`, `missing`, …
    pub(crate) what: &'static str,
}

/// Differences that are told: who has more wants none of it anyway.
const MOST: usize = 20;

/// Compares a tree with the text about it, which is `written`. Bytes of files are read from the disk where it can be done: a page in memory
/// says nothing about what the disk has.
///
/// # Errors
/// [`Unreadable::Damaged`]: the text itself is not what was written. Nothing can be said about the tree.
pub(crate) fn compare(tree: BorrowedFd<'_>, sums: &File, written: Written) -> Result<Vec<Difference>, Unreadable> {
    let size = sums.metadata().call(|| "fstat()")?.len();
    if (Written { size, sum: Sum::of(sums)? }) != written {
        return Err(Unreadable::Damaged);
    }
    rewind(sums)?;
    let Some(Content { root, folders }) = read(BufReader::new(sums)) else { return Err(Unreadable::Damaged) };
    let mut found = Vec::new();
    let stat = fstat(tree).call(|| "fstat()")?;
    found.extend(attributes(&stat, root).map(|what| Difference { path: String::new(), what }));
    for (path, folder) in &folders {
        if found.len() >= MOST {
            break;
        }
        check(tree, path, folder, &mut found)?;
    }
    found.truncate(MOST);
    Ok(found)
}

fn rewind(file: &File) -> sys::Result<()> {
    seek(file, SeekFrom::Start(0)).map(drop).call(|| "lseek(0)")
}

fn check(tree: BorrowedFd<'_>, path: &[u8], folder: &Folder, found: &mut Vec<Difference>) -> sys::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let relative = if path.is_empty() { b"." } else { path };
    let open = match open_without_links(tree, OsStr::from_bytes(relative), flags, Mode::empty()) {
        // The folder above has told of it.
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        open => open?,
    };
    let mut tell = |name: &[u8], what| {
        let mut path = path.to_vec();
        if !name.is_empty() {
            join(&mut path, name);
        }
        found.push(Difference { path: show(&path), what });
    };
    if sys::overlay::is_opaque(&open) != folder.opaque {
        tell(b"", "opaque mark");
    }
    let there = sys::fs::list(&open)?;
    for name in there.iter().filter(|name| !folder.names.contains_key(name.as_bytes())) {
        tell(name.as_bytes(), "not of this layer");
    }
    for (name, what) in &folder.names {
        match differs(open.as_fd(), name, *what) {
            Ok(None) => {}
            Ok(Some(what)) => tell(name, what),
            // What cannot be read is damage as well: the disk says so.
            Err(error) if matches!(error.errno(), Errno::IO | Errno::UCLEAN | Errno::BADMSG) => tell(name, "unreadable"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What differs at a name, if anything does.
fn differs(folder: BorrowedFd<'_>, name: &[u8], what: What) -> sys::Result<Option<&'static str>> {
    let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(Some("missing")),
        stat => stat.call(|| format!("fstatat({})", show(name)))?,
    };
    let differs = attributes(&stat, what);
    let What::Entry(entry) = what else { return Ok(differs) };
    if differs.is_some() {
        return Ok(differs);
    }
    match FileType::from_raw_mode(entry.mode) {
        FileType::RegularFile => content(folder, name, &entry),
        FileType::Symlink => {
            let target = readlinkat(folder, name, Vec::new()).call(|| format!("readlinkat({})", show(name)))?;
            Ok((sum_of(target.as_bytes()) != entry.sum).then_some("target"))
        }
        FileType::CharacterDevice | FileType::BlockDevice => Ok((stat.st_rdev != entry.sum).then_some("device number")),
        _ => Ok(None),
    }
}

fn attributes(stat: &Stat, what: What) -> Option<&'static str> {
    let Entry { mode, uid, gid, size, .. } = match what {
        What::Entry(entry) => entry,
        What::Folder => return (FileType::from_raw_mode(stat.st_mode) != FileType::Directory).then_some("type"),
        What::Hidden => return (!crate::unpack::is_whiteout(stat)).then_some("type"),
    };
    let sized = matches!(FileType::from_raw_mode(mode), FileType::RegularFile | FileType::Symlink);
    match () {
        () if FileType::from_raw_mode(stat.st_mode) != FileType::from_raw_mode(mode) => Some("type"),
        () if stat.st_mode != mode => Some("permissions"),
        () if (stat.st_uid, stat.st_gid) != (uid, gid) => Some("owner"),
        () if sized && stat.st_size as u64 != size => Some("size"),
        () => None,
    }
}

fn content(folder: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> sys::Result<Option<&'static str>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = openat(folder, name, flags, Mode::empty()).call(|| format!("openat({})", show(name)))?.into();
    from_disk(&file);
    Ok((Sum::of(&file)? != Sum(entry.sum)).then_some("content"))
}

/// Drops what memory has of a file, as far as nobody uses it or has yet to write it.
pub(crate) fn from_disk(file: &File) {
    let _ = fadvise(file, 0, None, Advice::DontNeed);
}
