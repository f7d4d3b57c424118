//! What is in a folder, copied into a new file system (`tmpcopyup`). An image's content: only names in open folders are used, no link is
//! followed, and nothing but plain files is ever opened.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, chmod, chownat, fchmod, fgetxattr,
    flistxattr, fsetxattr, fstat, mkdirat, mknodat, openat, readlinkat, sendfile, symlinkat, utimensat,
};
use rustix::io::Errno;
use sys::{Call, Error};

/// Folders below each other. Each takes two descriptors.
const MAX_DEPTH: u32 = 200;

/// Copies everything in the folder `from` into `to`, which is empty: contents, owners, modes, times and extended attributes. `to` itself
/// gets those of `from`, but keeps its own mode. No link is followed, and nothing but plain files is ever opened.
///
/// # Errors
/// There is no room; folders are more than 200 deep; somebody exchanges files meanwhile.
pub fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> sys::Result<()> {
    tree_for(from, to, &Ok)
}

/// [`tree`], in which files belong to whom `owner` says instead of the user and the group that they belong to.
///
/// # Errors
/// As [`tree`]; `owner` says that there is nobody.
pub fn tree_for(from: BorrowedFd<'_>, to: BorrowedFd<'_>, owner: Owner<'_>) -> sys::Result<()> {
    // Neither was opened for reading.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |at| openat(at, ".", flags, Mode::empty()).call(|| "openat(\".\", O_DIRECTORY)");
    let (from, to) = (open(from)?, open(to)?);
    let stat = fstat(&from).call(|| "fstat(source)")?;
    folder(&from, &to, owner, 0)?;
    let (uid, gid) = owner((stat.st_uid, stat.st_gid))?;
    chownat(&to, "", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::EMPTY_PATH).call(|| "fchownat(copy)")?;
    attributes(&from, &to)
}

/// Whom a copy belongs to, by whom the file belongs to.
type Owner<'a> = &'a dyn Fn((u32, u32)) -> sys::Result<(u32, u32)>;

fn folder(from: &OwnedFd, to: &OwnedFd, owner: Owner<'_>, depth: u32) -> sys::Result<()> {
    if depth == MAX_DEPTH {
        return Err(Error::new(format!("copy: more than {MAX_DEPTH} folders below each other"), Errno::NAMETOOLONG));
    }
    for name in sys::fs::list(from)? {
        entry(from, to, &name, owner, depth)?;
    }
    Ok(())
}

fn entry(from: &OwnedFd, to: &OwnedFd, name: &OsStr, owner: Owner<'_>, depth: u32) -> sys::Result<()> {
    let path = Path::new(name);
    let open = |at: &OwnedFd, flags| {
        openat(at, path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).call(|| format!("openat({name:?})"))
    };
    // Opening a pipe or a device would do something.
    let found = open(from, OFlags::PATH)?;
    let stat = fstat(&found).call(|| format!("fstat({name:?})"))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let opened = match kind {
        FileType::Symlink => {
            let content = readlinkat(&found, "", Vec::new()).call(|| format!("readlinkat({name:?})"))?;
            symlinkat(OsStr::from_bytes(content.as_bytes()), to, path).call(|| format!("symlinkat({name:?})"))?;
            None
        }
        // Nobody listens at a copy.
        FileType::Socket => return Ok(()),
        FileType::Directory => {
            mkdirat(to, path, Mode::RWXU).call(|| format!("mkdirat({name:?})"))?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let (inner, copy) = (open(from, flags)?, open(to, flags)?);
            folder(&inner, &copy, owner, depth + 1)?;
            Some((inner, copy))
        }
        FileType::RegularFile => {
            let source = open(from, OFlags::RDONLY | OFlags::NONBLOCK)?;
            let now = fstat(&source).call(|| format!("fstat({name:?})"))?;
            if (now.st_dev, now.st_ino) != (stat.st_dev, stat.st_ino) {
                return Err(Error::new(format!("openat({name:?}): exchanged meanwhile"), Errno::STALE));
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let copy = openat(to, path, flags, Mode::RUSR | Mode::WUSR).call(|| format!("openat({name:?}, O_CREAT)"))?;
            content(&source, &copy, name)?;
            Some((source, copy))
        }
        _ => {
            mknodat(to, path, kind, Mode::RUSR | Mode::WUSR, stat.st_rdev).call(|| format!("mknodat({name:?})"))?;
            None
        }
    };
    let owner = owner((stat.st_uid, stat.st_gid))?;
    own(to, path, (&stat, owner), kind, opened.as_ref().map(|(_, copy)| copy))?;
    // After the owner: a new one takes file capabilities off.
    opened.map_or(Ok(()), |(source, copy)| attributes(&source, &copy))
}

fn content(from: &OwnedFd, to: &OwnedFd, name: &OsStr) -> sys::Result<()> {
    while sendfile(to, from, None, 1 << 30).call(|| format!("sendfile({name:?})"))? > 0 {}
    Ok(())
}

/// Owner before mode: a new owner takes the set-user-id bits off (chown(2)). `copy` is the file, if it is open: its name may be another's by
/// now, where others write to what is copied to.
fn own(to: &OwnedFd, name: &Path, (stat, owner): (&Stat, (u32, u32)), kind: FileType, copy: Option<&OwnedFd>) -> sys::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
    chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).call(|| format!("fchownat({name:?})"))?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    match copy {
        Some(copy) => fchmod(copy, mode).call(|| format!("fchmod({name:?})"))?,
        None if kind == FileType::Symlink => {}
        None => node(to, name, kind, mode)?,
    }
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW).call(|| format!("utimensat({name:?})"))
}

/// The permissions of a device or a pipe, which is not opened. A link in its place would lead to a file of the host.
fn node(to: &OwnedFd, name: &Path, kind: FileType, mode: Mode) -> sys::Result<()> {
    let found =
        openat(to, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).call(|| format!("openat({name:?})"))?;
    if FileType::from_raw_mode(fstat(&found).call(|| format!("fstat({name:?})"))?.st_mode) != kind {
        return Err(Error::new(format!("openat({name:?}): exchanged meanwhile"), Errno::STALE));
    }
    let path = format!("/proc/thread-self/fd/{}", found.as_raw_fd());
    chmod(path, mode).call(|| format!("chmod({name:?})"))
}

/// Extended attributes. What the new file system does not know is left out, as with cp(1).
fn attributes(from: &OwnedFd, to: &OwnedFd) -> sys::Result<()> {
    // As many as a process may be told (XATTR_LIST_MAX).
    let mut names = vec![0_u8; 65536];
    let length = match flistxattr(from, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        other => other.call(|| "flistxattr()")?,
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65536];
        let length = fgetxattr(from, name, &mut value[..]).call(|| "fgetxattr()")?;
        match fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            other => other.call(|| format!("fsetxattr({:?})", String::from_utf8_lossy(name)))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn everything_is_as_it_was() {
        if !rustix::process::geteuid().is_root() {
            return drop(std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs root\n"));
        }
        let top = std::env::temp_dir().join(format!("launch-copy-{}", std::process::id()));
        let (from, to) = (top.join("from"), top.join("to"));
        fs::create_dir_all(from.join("folder")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("folder/file"), "content").unwrap();
        symlink("/nowhere", from.join("link")).unwrap();
        mknodat(rustix::fs::CWD, from.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for (name, mode) in [("folder/file", 0o4751), ("pipe", 0o642), ("folder", 0o1770)] {
            chown(from.join(name), Some(7), Some(8)).unwrap();
            fs::set_permissions(from.join(name), Permissions::from_mode(mode)).unwrap();
        }
        let noted = fs::File::open(from.join("folder")).unwrap();
        // Not each file system has them.
        let notes = fsetxattr(&noted, "user.note", b"x", XattrFlags::empty()).is_ok();
        let open = |path: &std::path::Path| sys::fs::open_dir(path).unwrap();
        let copied = tree(open(&from).as_fd(), open(&to).as_fd());
        let look =
            |name: &str| fs::symlink_metadata(to.join(name)).map(|meta| (meta.mode() & 0o7777, meta.uid(), meta.gid())).unwrap();
        let seen = ["folder", "folder/file", "pipe"].map(look);
        let (content, link) = (fs::read_to_string(to.join("folder/file")).unwrap(), fs::read_link(to.join("link")).unwrap());
        let noted = open(&to.join("folder"));
        let note = fgetxattr(noted, "user.note", &mut [0_u8; 8]).is_ok();
        let pipe = fs::symlink_metadata(to.join("pipe")).unwrap().file_type().is_fifo();
        let for_others = top.join("others");
        fs::create_dir(&for_others).unwrap();
        let others = tree_for(open(&from).as_fd(), open(&for_others).as_fd(), &|(uid, gid)| match (uid, gid) {
            (7, 8) => Ok((70, 80)),
            root => Ok(root),
        });
        let file = fs::metadata(for_others.join("folder/file")).map(|meta| (meta.mode() & 0o7777, meta.uid(), meta.gid())).unwrap();
        let missing = top.join("missing");
        fs::create_dir(&missing).unwrap();
        let nobody = tree_for(open(&from).as_fd(), open(&missing).as_fd(), &|_| Err(Error::new("chown()", Errno::OVERFLOW)));
        fs::remove_dir_all(top).unwrap();
        assert_eq!((others.is_ok(), file, nobody.unwrap_err().errno()), (true, (0o4751, 70, 80), Errno::OVERFLOW));
        copied.unwrap();
        assert_eq!(note, notes);
        assert_eq!(seen, [(0o1770, 7, 8), (0o4751, 7, 8), (0o642, 7, 8)]);
        assert_eq!((content.as_str(), link.as_path(), pipe), ("content", Path::new("/nowhere"), true));
    }
}
