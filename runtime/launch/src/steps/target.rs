//! Where something is to be mounted or made: found or created inside the root, whatever links the image has on the way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, PROC_SUPER_MAGIC, Statx, StatxAttributes, StatxFlags, fstat, fstatfs, statx};
use rustix::io::Errno;
use sys::Call;

use super::walk::{find_or_make, names};
use crate::Failure;
use crate::failure::During;

/// Files of procfs that may be mounted over, as LXCFS does: what they say changes nothing but what is read there (runc's list). Below
/// `/proc`.
pub const PROC_FILES: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
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

/// What becomes of a target that is a symbolic link. Links on the way to it are always followed, inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// The place where it leads is the target.
    Followed,
    /// It is the target itself.
    Link,
    /// It is an error.
    Refused,
}

/// The folder `path`, made with mode 0755 if missing.
pub(crate) fn folder(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Failure> {
    find_or_make(root, path, Want::Folder, Last::Followed).map(|(folder, _)| folder).during(|| "find or make it")
}

/// A place to mount on.
///
/// # Errors
/// When `/proc`, `/sys` or `/dev` is a link in the image: masks and device nodes would go astray (CVE-2023-27561, CVE-2026-41579).
/// When it is inside procfs and not one of few harmless files: a mount there redirects what is written (CVE-2019-16884). When it is
/// the root, which is furnished by now.
pub(crate) fn mount_point(root: BorrowedFd<'_>, path: &Path, want: Want, last: Last) -> Result<OwnedFd, Failure> {
    let special = ["proc", "sys", "dev"].iter().any(|special| names(path).eq([*special]));
    let last = if special { Last::Refused } else { last };
    let (target, stat) = find_or_make(root, path, want, last).during(|| "find or make it")?;
    if is_root(&stat) && look(root).during(|| "look at the root")?.stx_mnt_id == stat.stx_mnt_id {
        return Err(Failure::runtime("it is the root itself"));
    }
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
    open_existing(root, path, OFlags::PATH)
}

pub(super) fn open_existing(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> sys::Result<Option<OwnedFd>> {
    match sys::fs::open_in_root(root, path, flags, Mode::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The type of an open file.
pub(crate) fn kind(file: impl AsFd) -> sys::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(file).call(|| "fstat(target)")?.st_mode))
}

/// The type of an open file, and its mount (statx(2), Linux 5.8).
pub(super) fn look(file: impl AsFd) -> sys::Result<Statx> {
    statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE | StatxFlags::MNT_ID).call(|| "statx(target, AT_EMPTY_PATH)")
}

/// True for the root of a mount.
pub(super) fn is_root(stat: &Statx) -> bool {
    stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
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
            let refused = mount_point(root.as_fd(), &Path::new("/").join(name), Want::Folder, Last::Followed).unwrap_err();
            assert!(refused.message.contains("symbolic link"), "{refused}");
        }
    }

    #[test]
    fn nothing_is_mounted_inside_procfs() {
        let root = sys::fs::open_dir("/").unwrap();
        let point = |path: &str, want| mount_point(root.as_fd(), Path::new(path), want, Last::Followed);
        assert!(point("/proc/self", Want::Folder).unwrap_err().message.contains("inside procfs"));
        assert!(point("/proc/self/attr/exec", Want::File).is_err());
        assert!(point("/dev/../proc/sys/kernel/core_pattern", Want::File).is_err());
        assert!(point("/proc/cpuinfo", Want::File).is_ok());
    }
}
