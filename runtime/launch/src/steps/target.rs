//! Where something is to be mounted or made: found or created inside the root, whatever links the image has on the way.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, PROC_SUPER_MAGIC, fstat, fstatfs, openat};
use rustix::io::Errno;
use sys::{Call, Error};

use super::walk::{find_or_make, names};
use crate::Failure;
use crate::failure::During;

/// Files of procfs that may be mounted over, as LXCFS does: what they say changes nothing but what is read there (runc's list).
const PROC_FILES: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "net/dev",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// The kind of a target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Folder,
    File,
}

/// The folder `path`, made with mode 0755 if missing.
pub(crate) fn folder(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Failure> {
    find_or_make(root, path, Want::Folder).during(|| "find or make it")
}

/// A place to mount on.
///
/// # Errors
/// When `/proc`, `/sys` or `/dev` is a link in the image: masks and device nodes would go astray (CVE-2023-27561, CVE-2026-41579).
/// When it is inside procfs and not one of few harmless files: a mount there redirects what is written (CVE-2019-16884).
pub(crate) fn mount_point(root: BorrowedFd<'_>, path: &Path, want: Want) -> Result<OwnedFd, Failure> {
    let plain: Vec<_> = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir)).collect();
    if let [Component::Normal(name)] = plain[..]
        && ["proc", "sys", "dev"].iter().any(|special| name == *special)
        && is_link(root, name).during(|| "look at it")?
    {
        return Err(Failure::runtime("it is a symbolic link in the image, and must be a folder"));
    }
    let target = find_or_make(root, path, want).during(|| "find or make it")?;
    let inside = fstatfs(&target).call(|| "fstatfs(target)").during(|| "look at it")?.f_type == PROC_SUPER_MAGIC;
    if inside && !path.strip_prefix("/proc").is_ok_and(|rest| PROC_FILES.iter().any(|file| rest == Path::new(file))) {
        return Err(Failure::runtime("it is inside procfs, where nothing may be mounted"));
    }
    Ok(target)
}

/// True for `/proc` itself. Anything but procfs there would let the container say what is written to (CVE-2019-19921).
pub(crate) fn is_proc(path: &Path) -> bool {
    names(path).eq(["proc"])
}

/// What is at `path`, if anything is.
pub(crate) fn existing(root: BorrowedFd<'_>, path: &Path) -> sys::Result<Option<OwnedFd>> {
    match sys::fs::open_in_root(root, path, OFlags::PATH, Mode::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The type of an open file.
pub(crate) fn kind(file: impl AsFd) -> sys::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(file).call(|| "fstat(target)")?.st_mode))
}

fn is_link(root: BorrowedFd<'_>, name: &OsStr) -> sys::Result<bool> {
    match openat(root, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(found) => Ok(kind(found)? == FileType::Symlink),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::new(format!("openat(root, {name:?}, O_PATH | O_NOFOLLOW)"), errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::super::walk::tests::Scratch;
    use super::*;

    #[test]
    fn a_special_folder_that_is_a_link_is_refused() {
        let scratch = Scratch::new("special");
        std::fs::create_dir(scratch.root().join("elsewhere")).unwrap();
        for name in ["proc", "sys", "dev"] {
            symlink("elsewhere", scratch.root().join(name)).unwrap();
            let root = sys::fs::open_dir(scratch.root()).unwrap();
            let refused = mount_point(root.as_fd(), &Path::new("/").join(name), Want::Folder).unwrap_err();
            assert!(refused.message.contains("symbolic link"), "{refused}");
        }
    }

    #[test]
    fn nothing_is_mounted_inside_procfs() {
        let root = sys::fs::open_dir("/").unwrap();
        let point = |path: &str, want| mount_point(root.as_fd(), Path::new(path), want);
        assert!(point("/proc/self", Want::Folder).unwrap_err().message.contains("inside procfs"));
        assert!(point("/proc/self/attr/exec", Want::File).is_err());
        assert!(point("/dev/../proc/sys/kernel/core_pattern", Want::File).is_err());
        assert!(point("/proc/cpuinfo", Want::File).is_ok());
    }
}
