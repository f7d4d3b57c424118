//! A program that nobody can write to, not even root of a container in which it runs: `/proc/self/exe` of a process that is on its
//! way into a container leads to it (CVE-2019-5736).

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, fstat, memfd_create, openat, sendfile};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use sys::mount::Filesystem;
use sys::{Call, Error, Result};

/// The second layer that an overlay without an upper one needs, the first of these that the kernel takes: in a user namespace of its own no
/// folder is one that has mounts below it. Only the program's own folder above it is looked at.
const OTHER_LAYERS: [&str; 2] = ["/dev", "/dev/shm"];

/// A program to execute that nobody can write to.
#[derive(Debug)]
pub struct Sealed {
    /// To be executed.
    pub program: OwnedFd,
    /// The mount that it was opened in. The program does without it, but the kernel takes a mount away only after each processor has
    /// passed a quiet moment (synchronize_rcu_expedited), milliseconds on a busy machine: to be closed when nobody waits.
    pub mount: Option<OwnedFd>,
}

/// `program` as something that cannot be written to: the file as a lower-only overlay shows it, whose superblock
/// is read-only for good (a read-only bind mount is not: CAP_SYS_ADMIN may clear the flag), or else a sealed copy in memory.
///
/// The overlay costs no copy, and all processes that run the program share its page cache.
///
/// # Errors
/// Those of opening the program; those of the copy where overlay is not to be had.
pub fn seal(program: &Path) -> Result<Sealed> {
    let folder = program.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = program.file_name().ok_or_else(|| Error::new(format!("open({program:?})"), Errno::ISDIR))?;
    let folder = sys::fs::open_dir(folder)?;
    let through = |other: &&str| through_overlay(folder.as_fd(), name, other).ok();
    OTHER_LAYERS.iter().find_map(through).map_or_else(|| copied(folder.as_fd(), name), Ok)
}

/// The file `name` of `folder` in an overlay of its own, above the folder `other`.
fn through_overlay(folder: BorrowedFd<'_>, name: &OsStr, other: &str) -> Result<Sealed> {
    // By descriptor: a path could hold the separators of the option, and change under us.
    let layers = format!("/proc/self/fd/{}:{other}", folder.as_raw_fd());
    let overlay = Filesystem::open("overlay")?;
    overlay.set("source", "rctr-sealed")?.set("lowerdir", layers)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let mount = overlay.mount(attributes)?;
    Ok(Sealed { program: open(mount.as_fd(), name)?, mount: Some(mount) })
}

/// A sealed copy of the file in memory (memfd_create(2)).
fn copied(folder: BorrowedFd<'_>, name: &OsStr) -> Result<Sealed> {
    let file = open(folder, name)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Since Linux 6.3 a memfd that will be executed should say so; before, the flag is unknown.
    let copy = memfd_create("rctr-sealed", flags | MemfdFlags::EXEC)
        .or_else(|_| memfd_create("rctr-sealed", flags))
        .call(|| "memfd_create(\"rctr-sealed\", MFD_ALLOW_SEALING)")?;
    let mut left = fstat(&file).call(|| format!("fstat({name:?})"))?.st_size as usize;
    while left > 0 {
        match sendfile(&copy, &file, None, left).call(|| format!("sendfile({name:?})"))? {
            0 => return Err(Error::new(format!("sendfile({name:?})"), Errno::IO)),
            sent => left -= sent,
        }
    }
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&copy, seals).call(|| "fcntl(F_ADD_SEALS)")?;
    // What somebody has open for writing cannot be executed (ETXTBSY), seals or not.
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    let program = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    Ok(Sealed { program: program.call(|| format!("open({path:?}, O_RDONLY)"))?, mount: None })
}

fn open(folder: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("openat({name:?}, O_RDONLY)"))
}
