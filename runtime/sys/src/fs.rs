//! Files below an open folder.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, openat, openat2, renameat, seek, unlinkat};
use rustix::io::Errno;

use crate::{Call, Error, Result};

/// Opens `path` as a process whose root is `root` would see it: `..` and symbolic links stay inside, and magic links of
/// procfs are refused (openat2(2); CVE-2019-16884, CVE-2021-30465).
pub fn open_in_root(root: impl AsFd, path: impl AsRef<Path>, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    open_resolved(root.as_fd(), path.as_ref(), flags, mode, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// Opens `path` below `root`. Symbolic links are followed as long as they stay below it: one that leads out, or up from the root of the file system, is
/// refused with `EXDEV` (CVE-2017-1002101).
pub fn open_beneath(root: impl AsFd, path: impl AsRef<Path>, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    open_resolved(root.as_fd(), path.as_ref(), flags, mode, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
}

/// Opens `path` below `root`. No part of it may be a symbolic link (`ELOOP`), so that what is opened has this very path.
pub fn open_without_links(root: impl AsFd, path: impl AsRef<Path>, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    open_resolved(root.as_fd(), path.as_ref(), flags, mode, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

fn open_resolved(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode, resolve: ResolveFlags) -> Result<OwnedFd> {
    let call = || format!("openat2({path:?}, {flags:?}, {resolve:?})");
    // EAGAIN: a rename or mount raced with the walk, and the kernel could not prove that it stayed inside.
    for _ in 0..64 {
        match openat2(root, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other.call(call).map_err(|error| error.about(path)),
        }
    }
    Err(Error::new(call(), Errno::AGAIN))
}

/// Opens the folder `path`.
pub fn open_dir(path: impl AsRef<Path>) -> Result<OwnedFd> {
    let path = path.as_ref();
    rustix::fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .call(|| format!("open({path:?}, O_DIRECTORY)"))
        .map_err(|error| error.about(path))
}

/// Reads at most `limit` bytes of an open file; more is `EFBIG`.
pub fn read_all(file: impl AsFd, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        match rustix::io::read(&file, &mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(length) if bytes.len() + length > limit => return Err(Error::new("read()", Errno::FBIG)),
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new("read()", errno)),
        }
    }
}

/// Writes all of `bytes`.
pub fn write_all(file: impl AsFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&file, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new(format!("write({} bytes)", bytes.len()), errno)),
        }
    }
    Ok(())
}

/// Replaces the file `name` in `dir` in one step: a reader sees the old content or the new one. Nothing is synced.
pub fn replace(dir: impl AsFd, name: &str, bytes: &[u8]) -> Result<()> {
    replace_by(dir.as_fd(), name, bytes, false)
}

fn replace_by(dir: BorrowedFd<'_>, name: &str, bytes: &[u8], synced: bool) -> Result<()> {
    let temporary = format!(".{name}.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(dir, &temporary, flags, Mode::from_raw_mode(0o600)).call(|| format!("openat({temporary:?}, O_CREAT)"))?;
    write_all(&file, bytes)
        .and_then(|()| if synced { rustix::fs::fdatasync(&file).call(|| "fdatasync()") } else { Ok(()) })
        .and_then(|()| renameat(dir, &temporary, dir, name).call(|| format!("renameat({temporary:?}, {name:?})")))
        .inspect_err(|_| {
            let _ = unlinkat(dir, &temporary, AtFlags::empty());
        })
}

/// As [`replace`], and when this returns the disk has the new content. Until the folder is synced too, the old one may come back after a
/// power cut.
pub fn replace_synced(dir: impl AsFd, name: &str, bytes: &[u8]) -> Result<()> {
    replace_by(dir.as_fd(), name, bytes, true)
}

/// Starts to write what memory has of a file, and waits for nothing (sync_file_range(2)). It makes nothing safe: an fsync that follows
/// has less to wait for.
pub fn start_writing(file: impl AsFd) -> Result<()> {
    // SAFETY: the descriptor is open; no memory is touched.
    let done = unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    if done == 0 { Ok(()) } else { Err(Error::last("sync_file_range(SYNC_FILE_RANGE_WRITE)")) }
}

/// So many folders are open at once while a tree is removed. Strangers make trees much deeper than a table of descriptors, or a stack.
const MAX_OPEN: u32 = 64;

/// Removes `name` in `dir`, with everything below it, however deep. Nothing outside is touched whatever is renamed or linked
/// meanwhile: symbolic links are not followed and each folder is entered by descriptor. Nothing there is fine.
pub fn remove_tree(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<()> {
    let name = Path::new(name.as_ref());
    let Some(top) = unlink_or_open(dir.as_fd(), name)? else { return Ok(()) };
    // What was found too deep is moved up, and removed in a further round.
    let mut moved = 0;
    loop {
        let before = moved;
        empty(&top, &top, 1, &mut moved)?;
        if moved == before {
            return rmdir(dir.as_fd(), name);
        }
        seek(&top, SeekFrom::Start(0)).call(|| format!("lseek({name:?}, 0)"))?;
    }
}

/// Removes what is no folder, and opens what is one.
fn unlink_or_open(dir: BorrowedFd<'_>, name: &Path) -> Result<Option<OwnedFd>> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(None),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(Error::new(format!("unlinkat({name:?})"), errno)),
    }
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(dir, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        other => other.map(Some).call(|| format!("openat({name:?}, O_DIRECTORY | O_NOFOLLOW)")),
    }
}

fn rmdir(dir: BorrowedFd<'_>, name: &Path) -> Result<()> {
    match unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::new(format!("unlinkat({name:?}, AT_REMOVEDIR)"), errno)),
    }
}

/// Removes all entries of an open folder, but moves the folders in the deepest one to `top`.
fn empty(folder: &OwnedFd, top: &OwnedFd, depth: u32, moved: &mut u32) -> Result<()> {
    let mut buffer = Vec::with_capacity(8192);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            // Somebody else has just removed the folder itself.
            Err(Errno::NOENT) => return Ok(()),
            other => other.call(|| "getdents64()")?,
        };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let path = Path::new(OsStr::from_bytes(name.to_bytes()));
        match entry.file_type() {
            FileType::Directory if depth >= MAX_OPEN => move_up(folder, path, top, moved)?,
            FileType::Directory | FileType::Unknown => {
                if let Some(child) = unlink_or_open(folder.as_fd(), path)? {
                    empty(&child, top, depth + 1, moved)?;
                    rmdir(folder.as_fd(), path)?;
                }
            }
            _ => match unlinkat(folder, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::new(format!("unlinkat({name:?})"), errno)),
            },
        }
    }
    Ok(())
}

/// Moves the folder `name` to `top`, under a name that is free there, or that of an empty folder.
fn move_up(folder: &OwnedFd, name: &Path, top: &OwnedFd, moved: &mut u32) -> Result<()> {
    loop {
        let free = format!(".deep-{moved}");
        *moved += 1;
        match renameat(folder, name, top, &free) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            Err(errno) => return Err(Error::new(format!("renameat({name:?}, {free:?})"), errno)),
        }
    }
}

/// Gives the calling thread a umask of its own, 0, so that it creates files with the very permissions it asks for. Meant for
/// threads that end soon: their working directory is no longer the process's one either (unshare(2), CLONE_FS).
pub fn private_umask() -> Result<()> {
    // SAFETY: CLONE_FS separates umask, root and working directory of this thread; memory and descriptors stay shared.
    if unsafe { libc::unshare(libc::CLONE_FS) } != 0 {
        return Err(Error::last("unshare(CLONE_FS)"));
    }
    rustix::process::umask(Mode::empty());
    Ok(())
}

/// Tells the file system that what is in the folders of `dir` is unrelated (`chattr +T`, chattr(1)): ext4 begins each of them in a group of
/// blocks of its own. Else all would be in one, where whoever makes a file passes over every inode that was freed within the last
/// minutes, if the file system has no journal, one after the other: a third of the work of a busy host's starts.
///
/// # Errors
/// Those of ioctl_iflags(2); most file systems have no such flag.
pub fn spread(dir: impl AsFd) -> Result<()> {
    let flags = rustix::fs::ioctl_getflags(&dir).call(|| "ioctl(FS_IOC_GETFLAGS)")?;
    rustix::fs::ioctl_setflags(&dir, flags | rustix::fs::IFlags::TOPDIR).call(|| "ioctl(FS_IOC_SETFLAGS, FS_TOPDIR_FL)")
}

/// The names in a folder, without `.` and `..`, in no order.
pub fn list(dir: impl AsFd) -> Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).call(|| "getdents64()")? {
        let entry = entry.call(|| "getdents64()")?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("sys-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_link_to_the_root_stays_inside() {
        let path = scratch("root");
        std::fs::create_dir(path.join("etc")).unwrap();
        std::fs::write(path.join("etc/name"), "inside").unwrap();
        std::os::unix::fs::symlink("/etc/name", path.join("link")).unwrap();
        std::os::unix::fs::symlink("/proc/self/root", path.join("magic")).unwrap();
        let root = open_dir(&path).unwrap();
        let file = open_in_root(&root, "link", OFlags::RDONLY, Mode::empty()).unwrap();
        assert_eq!(read_all(file, 100).unwrap(), b"inside");
        assert!(open_in_root(&root, "magic/etc/hostname", OFlags::RDONLY, Mode::empty()).is_err());
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn spreading_keeps_other_flags() {
        let path = scratch("spread");
        let dir = open_dir(&path).unwrap();
        let flags = rustix::fs::ioctl_getflags(&dir);
        match (spread(&dir), flags) {
            (Ok(()), Ok(before)) => {
                assert_eq!(rustix::fs::ioctl_getflags(&dir).unwrap(), before | rustix::fs::IFlags::TOPDIR);
            }
            (Err(error), _) => {
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "skipped: {} has no such flag: {error}", path.display());
            }
            (Ok(()), Err(error)) => panic!("set, but not read: {error}"),
        }
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn the_umask_of_others_stays() {
        let mask = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            status.lines().find_map(|line| line.strip_prefix("Umask:\t")).unwrap().to_owned()
        };
        let before = mask();
        let inside = std::thread::spawn(move || private_umask().map(|()| mask())).join().unwrap().unwrap();
        assert_eq!((inside.as_str(), mask()), ("0000", before));
    }

    #[test]
    fn a_tree_deeper_than_the_table_of_descriptors_is_removed() {
        const DEPTH: usize = 600;
        const FILES: u64 = 200;
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
        crate::process::set_rlimit(libc::RLIMIT_NOFILE, FILES, limit).unwrap();
        let path = scratch("deep");
        std::fs::create_dir_all(path.join("tree/.deep-0/full")).unwrap();
        std::fs::write(path.join("tree/.deep-1"), "").unwrap();
        let mut folder = open_dir(path.join("tree")).unwrap();
        for _ in 0..DEPTH {
            rustix::fs::mkdirat(&folder, "d", Mode::RWXU).unwrap();
            folder = openat(&folder, "d", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        }
        remove_tree(open_dir(&path).unwrap(), "tree").unwrap();
        std::fs::remove_dir(path).unwrap();
    }

    #[test]
    fn removing_a_tree_does_not_follow_links() {
        let path = scratch("tree");
        std::fs::create_dir_all(path.join("tree/a/b")).unwrap();
        std::fs::write(path.join("keep"), "").unwrap();
        std::os::unix::fs::symlink("../..", path.join("tree/a/up")).unwrap();
        remove_tree(open_dir(&path).unwrap(), "tree").unwrap();
        assert!(path.join("keep").exists() && !path.join("tree").exists());
        remove_tree(open_dir(&path).unwrap(), "tree").unwrap();
        std::fs::remove_dir_all(path).unwrap();
    }
}
