//! Quotas of projects: how much a tree of files may take of its file system (quotactl(2), `linux/dqblk_xfs.h`; ext4 and XFS).

use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use crate::{Error, Result};

/// `struct fs_disk_quota`. Blocks have 512 bytes.
#[repr(C)]
#[derive(Default)]
struct DiskQuota {
    version: i8,
    flags: i8,
    fieldmask: u16,
    id: u32,
    blk_hardlimit: u64,
    blk_softlimit: u64,
    ino_hardlimit: u64,
    ino_softlimit: u64,
    bcount: u64,
    icount: u64,
    itimer: i32,
    btimer: i32,
    iwarns: u16,
    bwarns: u16,
    timers_hi: [i8; 3],
    padding2: i8,
    rtb_hardlimit: u64,
    rtb_softlimit: u64,
    rtbcount: u64,
    rtbtimer: i32,
    rtbwarns: u16,
    padding3: i16,
    padding4: [u8; 8],
}

const _: () = assert!(size_of::<DiskQuota>() == 112);

/// `struct fsxattr` (ioctl_fsgetxattr(2)).
#[repr(C)]
#[derive(Default)]
struct FsXattr {
    xflags: u32,
    extsize: u32,
    nextents: u32,
    projid: u32,
    cowextsize: u32,
    padding: [u8; 8],
}

const _: () = assert!(size_of::<FsXattr>() == 28);

const BLOCK: u64 = 512;
const GET: u32 = ((b'X' as u32) << 8) + 3;
const SET: u32 = ((b'X' as u32) << 8) + 4;

/// What the project `project` takes of the file system that the open file `on` is in, and may take: bytes. A project that there is not takes
/// nothing. No limit is 0.
///
/// # Errors
/// `ENOSYS` or `EOPNOTSUPP` where the file system has no such quotas, `ESRCH` where they are switched off.
pub fn project(on: impl AsFd, project: u32) -> Result<(u64, u64)> {
    let mut quota = DiskQuota::default();
    match quotactl(on, GET, "Q_XGETQUOTA", project, &mut quota) {
        Ok(()) => Ok((quota.bcount * BLOCK, quota.blk_hardlimit * BLOCK)),
        Err(error) if error.errno() == rustix::io::Errno::NOENT => Ok((0, 0)),
        Err(error) => Err(error),
    }
}

/// Limits the project to so many bytes, rounded up to whole blocks.
///
/// # Errors
/// As [`project`]; `EPERM` without CAP_SYS_ADMIN.
pub fn limit_project(on: impl AsFd, project: u32, bytes: u64) -> Result<()> {
    const VERSION: i8 = 1;
    const OF_PROJECT: i8 = 1 << 1;
    const BOTH_LIMITS: u16 = 1 << 2 | 1 << 3;
    let blocks = bytes.div_ceil(BLOCK);
    let mut quota = DiskQuota {
        version: VERSION,
        flags: OF_PROJECT,
        fieldmask: BOTH_LIMITS,
        id: project,
        blk_hardlimit: blocks,
        blk_softlimit: blocks,
        ..DiskQuota::default()
    };
    quotactl(on, SET, "Q_XSETQLIM", project, &mut quota)
}

fn quotactl(on: impl AsFd, command: u32, name: &str, id: u32, quota: &mut DiskQuota) -> Result<()> {
    /// The same number everywhere (`asm-generic/unistd.h`), since Linux 5.14.
    const SYS_QUOTACTL_FD: libc::c_long = 443;
    const OF_PROJECTS: u32 = 2;
    let fd = on.as_fd().as_raw_fd();
    // SAFETY: both commands take a pointer to this structure, whose size is asserted above, and it lives through the call.
    let done = unsafe { libc::syscall(SYS_QUOTACTL_FD, fd, command << 8 | OF_PROJECTS, id, std::ptr::from_mut(quota)) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("quotactl_fd({fd}, {name}, PRJQUOTA, {id})"))) }
}

/// Puts a folder, and all that is made in it from now on, into a project.
///
/// # Errors
/// `ENOTTY` or `EOPNOTSUPP` where the file system has no projects.
pub fn put_into_project(folder: impl AsFd, project: u32) -> Result<()> {
    /// `FS_IOC_FSGETXATTR`: `_IOR('X', 31, struct fsxattr)`.
    const GET: libc::c_ulong = 0x801c_581f;
    /// `FS_IOC_FSSETXATTR`: `_IOW('X', 32, struct fsxattr)`.
    const SET: libc::c_ulong = 0x401c_5820;
    const INHERIT: u32 = 0x200;
    let fd = folder.as_fd().as_raw_fd();
    let mut attributes = FsXattr::default();
    // SAFETY: the request writes one structure, whose size is asserted above.
    if unsafe { libc::ioctl(fd, GET as _, &raw mut attributes) } != 0 {
        return Err(Error::last(format!("ioctl({fd}, FS_IOC_FSGETXATTR)")));
    }
    attributes.projid = project;
    attributes.xflags |= INHERIT;
    // SAFETY: the request reads one.
    match unsafe { libc::ioctl(fd, SET as _, &raw const attributes) } {
        0 => Ok(()),
        _ => Err(Error::last(format!("ioctl({fd}, FS_IOC_FSSETXATTR, project {project})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_no_projects() {
        let memory = rustix::fs::memfd_create("quota", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        assert!(project(&memory, 7).is_err());
        assert!(limit_project(&memory, 7, 1 << 20).is_err());
    }
}
