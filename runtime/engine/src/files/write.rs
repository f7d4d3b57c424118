//! Items into a tree. Each is made as one name in an open folder, which is reached without leaving the tree.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fsetxattr,
    fstat, fstatfs, linkat, mkdirat, mknodat, openat, openat2, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use sys::Call;
use sys::fs::open_in_root;

use super::acting::Acting;
use super::item::{Item, Kind, Sink, broken};
use super::walk::os;
use crate::Error;
use crate::error::During;
use crate::request::UserMap;

/// Whom copies belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Whom they belong to at the source.
    Same,
    /// Somebody else: what gives rights to the old owner goes.
    Other(u32, u32),
}

/// How folders on the way to an item are found.
pub(super) enum Way {
    /// None of them may be a link.
    Straight,
    /// Links are followed as a process in the container would: its root, and where the tree is in it.
    Inside(OwnedFd, PathBuf),
}

/// A tree that is written to.
pub(super) struct Write {
    folder: OwnedFd,
    way: Way,
    owner: Owner,
    /// Devices are made, too.
    devices: bool,
    /// The users of the container that the tree is of, if it has its own.
    users: Option<UserMap>,
    _acting: Option<Acting>,
    /// Times of folders, which change with what is made in them.
    times: Vec<(PathBuf, (i64, u32))>,
    /// The folder of the last item.
    last: Option<(PathBuf, OwnedFd)>,
}

/// File systems of the kernel: what is written there is no file (statfs(2)).
const KERNEL: [(u64, &str); 5] =
    [(0x9fa0, "procfs"), (0x6265_6572, "sysfs"), (0x0027_e0eb, "cgroup"), (0x6367_7270, "cgroup2"), (0x6462_6720, "debugfs")];

impl Write {
    /// Writes below `folder`.
    ///
    /// # Errors
    /// It is in a file system of the kernel, where a file of a container's name could be a setting of the host.
    pub(super) fn new(folder: OwnedFd, way: Way, owner: Owner, devices: bool, users: Option<UserMap>) -> sys::Result<Self> {
        check(&folder)?;
        let _acting = users.as_ref().map(Acting::root_of).transpose()?.flatten();
        Ok(Write { _acting, folder, way, owner, devices, users, times: Vec::new(), last: None })
    }

    /// The folder of `path`, made if it is missing.
    fn parent(&mut self, path: &Path) -> sys::Result<BorrowedFd<'_>> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if self.last.as_ref().is_none_or(|(known, _)| known != parent) {
            let folder = self.reach(parent)?;
            check(&folder)?;
            self.last = Some((parent.to_owned(), folder));
        }
        let (_, folder) = self.last.as_ref().ok_or_else(|| sys::Error::new("no folder", Errno::NOENT))?;
        Ok(folder.as_fd())
    }

    fn reach(&self, path: &Path) -> sys::Result<OwnedFd> {
        match self.open(path) {
            Err(error) if error.errno() == Errno::NOENT => {
                let (above, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
                match mkdirat(self.reach(above)?, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => self.open(path),
                    Err(errno) => Err(sys::Error::new(format!("mkdirat({name:?})"), errno)),
                }
            }
            other => other,
        }
    }

    fn open(&self, path: &Path) -> sys::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match &self.way {
            Way::Inside(root, place) => open_in_root(root, place.join(path), flags, Mode::empty()),
            Way::Straight if path.as_os_str().is_empty() => {
                openat(&self.folder, ".", flags, Mode::empty()).call(|| "openat(\".\", O_PATH)")
            }
            Way::Straight => {
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                let open = || openat2(&self.folder, path, flags, Mode::empty(), resolve);
                rustix::io::retry_on_intr(open).call(|| format!("openat2({path:?}, RESOLVE_NO_SYMLINKS)"))
            }
        }
    }

    fn write(&mut self, item: &Item, bytes: &mut dyn Read) -> sys::Result<()> {
        if item.path.as_os_str().is_empty() {
            // The folder that everything goes to is the receiver's.
            return Ok(());
        }
        let name = item.path.file_name().unwrap_or_default().to_owned();
        let (owner, devices) = (self.owner, self.devices);
        let first = match &item.kind {
            Kind::Same(first) => {
                Some((self.reach(first.parent().unwrap_or(Path::new("")))?, first.file_name().unwrap_or_default()))
            }
            _ => None,
        };
        let folder = self.parent(&item.path)?;
        let name = Path::new(&name);
        if make_room(folder, name, item.kind == Kind::Folder)? && item.kind == Kind::Folder {
            set(folder, name, item, owner)?;
        } else {
            match &item.kind {
                Kind::Folder => {
                    mkdirat(folder, name, Mode::RWXU).call(|| format!("mkdirat({name:?})"))?;
                    set(folder, name, item, owner)?;
                }
                Kind::File(_) => return file(folder, name, item, owner, bytes),
                Kind::Link(content) => {
                    symlinkat(os(content), folder, name).call(|| format!("symlinkat({name:?})"))?;
                    set(folder, name, item, owner)?;
                }
                Kind::Same(_) => {
                    let Some((above, first)) = first else { return Ok(()) };
                    linkat(above, first, folder, name, AtFlags::empty()).call(|| format!("linkat({first:?}, {name:?})"))?;
                }
                Kind::Device(..) if !devices => {
                    return Err(sys::Error::new("a device is copied to the host only with -a", Errno::PERM));
                }
                Kind::Device(kind, device) => {
                    mknodat(folder, name, *kind, Mode::RUSR | Mode::WUSR, *device).call(|| format!("mknodat({name:?})"))?;
                    set(folder, name, item, owner)?;
                }
                Kind::Pipe => {
                    mknodat(folder, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                        .call(|| format!("mknodat({name:?}, S_IFIFO)"))?;
                    set(folder, name, item, owner)?;
                }
            }
        }
        if item.kind == Kind::Folder {
            self.times.push((item.path.clone(), item.mtime));
        }
        Ok(())
    }
}

impl Sink for Write {
    fn add(&mut self, item: &Item, bytes: &mut dyn Read) -> Result<(), Error> {
        let inside = item.path.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            let why = "this path does not lead to a place inside".to_owned();
            return Err(Error::Invalid { what: format!("copy {}", item.path.display()), why });
        }
        let stored = self.users.as_ref().map(|users| users.must(item.uid, item.gid)).transpose()?;
        let stored = stored.map(|(uid, gid)| Item { uid, gid, ..item.clone() });
        self.write(stored.as_ref().unwrap_or(item), bytes).during(|| format!("copy {}", item.path.display()))
    }

    fn finish(&mut self) -> Result<(), Error> {
        for (path, mtime) in std::mem::take(&mut self.times).into_iter().rev() {
            let during = || format!("copy {}", path.display());
            let folder = self.parent(&path).during(during)?;
            times(folder, Path::new(path.file_name().unwrap_or_default()), mtime).during(during)?;
        }
        Ok(())
    }
}

fn check(file: &OwnedFd) -> sys::Result<()> {
    let kind = fstatfs(file).call(|| "fstatfs()")?.f_type as u64;
    match KERNEL.iter().find(|(magic, _)| *magic == kind) {
        Some((_, name)) => Err(sys::Error::new(format!("nothing is copied into a {name}"), Errno::PERM)),
        None => Ok(()),
    }
}

/// Removes what is in the way: a folder never is, and never gives way. True: a folder is there.
fn make_room(folder: BorrowedFd<'_>, name: &Path, is_folder: bool) -> sys::Result<bool> {
    let refuse = |why: &str| Err(sys::Error::new(why, Errno::EXIST));
    let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(false),
        stat => stat.call(|| format!("fstatat({name:?})"))?,
    };
    match (FileType::from_raw_mode(stat.st_mode), is_folder) {
        (FileType::Directory, true) => Ok(true),
        (FileType::Directory, false) => refuse("a folder cannot be replaced by something else"),
        (_, true) => refuse("something else cannot be replaced by a folder"),
        (_, false) => match unlinkat(folder, name, AtFlags::empty()) {
            // A file that is mounted stays, and is written to.
            Ok(()) | Err(Errno::NOENT | Errno::BUSY) => Ok(false),
            Err(errno) => Err(sys::Error::new(format!("unlinkat({name:?})"), errno)),
        },
    }
}

fn file(folder: BorrowedFd<'_>, name: &Path, item: &Item, owner: Owner, bytes: &mut dyn Read) -> sys::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = match openat(folder, name, flags, Mode::RUSR | Mode::WUSR) {
        Err(Errno::EXIST) => mounted(folder, name)?,
        made => made.call(|| format!("openat({name:?}, O_CREAT | O_EXCL)"))?,
    };
    let mut piece = vec![0; 256 << 10];
    loop {
        let length = bytes.read(&mut piece).map_err(|error| broken("read()", &error))?;
        if length == 0 {
            break;
        }
        sys::fs::write_all(&made, &piece[..length])?;
    }
    own(&made, item, owner)?;
    if let (Some(capability), Owner::Same) = (&item.capability, owner) {
        match fsetxattr(&made, "security.capability", capability, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(sys::Error::new("fsetxattr(security.capability)", errno)),
        }
    }
    fchmod(&made, mode(item, owner)).call(|| "fchmod()")?;
    rustix::fs::futimens(&made, &timestamps(item.mtime)).call(|| "futimens()")
}

/// Opens a plain file that is mounted at this name. What it is is looked at before it is opened, and it is opened by that look.
fn mounted(folder: BorrowedFd<'_>, name: &Path) -> sys::Result<OwnedFd> {
    let found = openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let found = found.call(|| format!("openat({name:?}, O_PATH)"))?;
    let stat: Stat = fstat(&found).call(|| format!("fstat({name:?})"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(sys::Error::new(format!("openat({name:?}, O_CREAT | O_EXCL)"), Errno::EXIST));
    }
    check(&found)?;
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).call(|| format!("open({name:?}, O_TRUNC)"))
}

/// Owner before mode: a new owner takes bits off (chown(2)). Whoever else writes there may have put something else in its place, a link to
/// some file of the host: it is held, and looked at, before anything is changed.
fn set(folder: BorrowedFd<'_>, name: &Path, item: &Item, owner: Owner) -> sys::Result<()> {
    let made = openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let made = made.call(|| format!("openat({name:?}, O_PATH)"))?;
    let is_link = |kind| kind == FileType::Symlink;
    let found = FileType::from_raw_mode(fstat(&made).call(|| format!("fstat({name:?})"))?.st_mode);
    if is_link(found) != matches!(item.kind, Kind::Link(_)) {
        return Err(sys::Error::new(format!("openat({name:?}): exchanged meanwhile"), Errno::STALE));
    }
    own(&made, item, owner)?;
    if !is_link(found) {
        let path = format!("/proc/self/fd/{}", made.as_raw_fd());
        rustix::fs::chmod(path, mode(item, owner)).call(|| format!("chmod({name:?})"))?;
    }
    utimensat(&made, "", &timestamps(item.mtime), AtFlags::EMPTY_PATH).call(|| format!("utimensat({name:?})"))
}

fn own(file: impl AsFd, item: &Item, owner: Owner) -> sys::Result<()> {
    let (uid, gid) = match owner {
        Owner::Same => (item.uid, item.gid),
        Owner::Other(uid, gid) => (uid, gid),
    };
    let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    chownat(file, "", user, group, AtFlags::EMPTY_PATH).call(|| format!("fchownat({uid}, {gid})"))
}

/// A program that runs as its owner must not do so as another one.
fn mode(item: &Item, owner: Owner) -> Mode {
    let other = matches!(owner, Owner::Other(uid, gid) if (uid, gid) != (item.uid, item.gid));
    let special = if other && item.kind != Kind::Folder { 0o6000 } else { 0 };
    Mode::from_raw_mode(item.mode & !special)
}

fn times(folder: BorrowedFd<'_>, name: &Path, mtime: (i64, u32)) -> sys::Result<()> {
    utimensat(folder, name, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW).call(|| format!("utimensat({name:?})"))
}

fn timestamps((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
