//! A tree as items. Somebody may change it meanwhile: each step is one name in an open folder, no link is followed, and nothing but plain
//! files and folders is ever opened.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, fgetxattr, fstat, openat, readlinkat};
use rustix::io::Errno;
use sys::Call;

use super::item::{Item, Kind, Sink};
use crate::Error;
use crate::error::During;
use crate::request::UserMap;

/// Folders below each other: each is open meanwhile.
const MAX_DEPTH: u32 = 200;

/// A walk through a tree.
pub(super) struct Walk<'a> {
    sink: &'a mut dyn Sink,
    /// The users of the container that the tree is of, if it has its own.
    users: Option<&'a UserMap>,
    /// The first path of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
    /// Bytes of all files.
    pub(super) bytes: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink, users: Option<&'a UserMap>) -> Self {
        Walk { sink, users, links: HashMap::new(), bytes: 0 }
    }

    fn item(&self, path: PathBuf, kind: Kind, stat: &Stat) -> Item {
        let (uid, gid) = self.users.map_or((stat.st_uid, stat.st_gid), |users| users.inside(stat.st_uid, stat.st_gid));
        Item { uid, gid, ..Item::new(path, kind, stat) }
    }

    /// Sends `file`, of which nothing but its place is opened, as `path`, and what is below it.
    pub(super) fn send(&mut self, file: &OwnedFd, path: &Path) -> Result<(), Error> {
        self.entry(file, path.to_owned(), 0)
    }

    fn entry(&mut self, file: &OwnedFd, path: PathBuf, depth: u32) -> Result<(), Error> {
        let during = || format!("copy {}", path.display());
        let stat = fstat(file).call(|| "fstat()").during(during)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let kind = match kind {
            FileType::Directory => return self.folder(file, path, &stat, depth),
            FileType::RegularFile => return self.file(file, path, &stat),
            FileType::Symlink => Kind::Link(readlinkat(file, "", Vec::new()).call(|| "readlinkat()").during(during)?.into_bytes()),
            FileType::Fifo => Kind::Pipe,
            FileType::CharacterDevice | FileType::BlockDevice => Kind::Device(kind, stat.st_rdev),
            // Nobody listens at a copy.
            _ => return Ok(()),
        };
        self.sink.add(&self.item(path, kind, &stat), &mut io::empty())
    }

    fn folder(&mut self, file: &OwnedFd, path: PathBuf, stat: &Stat, depth: u32) -> Result<(), Error> {
        let during = || format!("copy {}", path.display());
        self.sink.add(&self.item(path.clone(), Kind::Folder, stat), &mut io::empty())?;
        if depth == MAX_DEPTH {
            let deep = sys::Error::new(format!("more than {MAX_DEPTH} folders below each other"), Errno::NAMETOOLONG);
            return Err(deep).during(during);
        }
        let folder = again(file.as_fd(), OFlags::DIRECTORY).during(during)?;
        let mut names = sys::fs::list(&folder).during(during)?;
        names.sort();
        for name in names {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(&folder, &name, flags, Mode::empty()) {
                // Gone meanwhile.
                Err(Errno::NOENT) => {}
                found => {
                    self.entry(&found.call(|| format!("openat({name:?}, O_PATH)")).during(during)?, path.join(&name), depth + 1)?
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &OwnedFd, path: PathBuf, stat: &Stat) -> Result<(), Error> {
        let during = || format!("copy {}", path.display());
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                return self.sink.add(&self.item(path, Kind::Same(first.clone()), stat), &mut io::empty());
            }
            self.links.insert(key, path.clone());
        }
        let open = again(file.as_fd(), OFlags::NONBLOCK).during(during)?;
        let mut item = self.item(path.clone(), Kind::File(stat.st_size as u64), stat);
        let mut value = [0; 64];
        if let Ok(length) = fgetxattr(&open, "security.capability", &mut value) {
            item.capability = Some(value[..length].to_vec());
        }
        self.bytes = self.bytes.saturating_add(stat.st_size as u64);
        self.sink.add(&item, &mut File::from(open))
    }
}

/// Opens for reading what is held as a place only: the very same file, whatever has its name by now.
fn again(file: BorrowedFd<'_>, flags: OFlags) -> sys::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC | flags, Mode::empty()).call(|| "open(O_RDONLY)")
}

/// Bytes as a name.
pub(super) fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}
