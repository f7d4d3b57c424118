//! A tree's files for another user. Strangers may write to it meanwhile: only names in open folders are used, and no link is followed.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, openat};
use rustix::io::Errno;
use sys::{Call, Error};

/// What is never given away as a whole, as with Podman.
pub(super) const PRECIOUS: [&str; 18] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys",
    "/tmp", "/usr", "/var",
];

/// Folders below each other; each is open meanwhile.
const MAX_DEPTH: u32 = 200;

/// Gives everything in `top`, and it itself, to `uid` and `gid`.
pub(super) fn give(top: BorrowedFd<'_>, uid: u32, gid: u32) -> sys::Result<()> {
    own(top, uid, gid)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(top, ".", flags, Mode::empty()) {
        // A file.
        Err(Errno::NOTDIR) => Ok(()),
        folder => inside(&folder.call(|| "openat(\".\", O_DIRECTORY)")?, uid, gid, 0),
    }
}

fn inside(folder: &OwnedFd, uid: u32, gid: u32, depth: u32) -> sys::Result<()> {
    if depth == MAX_DEPTH {
        return Err(Error::new(format!("more than {MAX_DEPTH} folders below each other"), Errno::NAMETOOLONG));
    }
    for name in sys::fs::list(folder)? {
        let open = |flags| openat(folder, &name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let found = match open(OFlags::PATH) {
            // Gone meanwhile.
            Err(Errno::NOENT) => continue,
            found => found.call(|| format!("openat({name:?}, O_PATH)"))?,
        };
        own(rustix::fd::AsFd::as_fd(&found), uid, gid)?;
        let mode = fstat(&found).call(|| format!("fstat({name:?})"))?.st_mode;
        if FileType::from_raw_mode(mode) == FileType::Directory {
            inside(
                &open(OFlags::RDONLY | OFlags::DIRECTORY).call(|| format!("openat({name:?}, O_DIRECTORY)"))?,
                uid,
                gid,
                depth + 1,
            )?;
        }
    }
    Ok(())
}

/// A change of owner takes set-user-id bits away (chown(2)): what is right already is left alone.
fn own(file: BorrowedFd<'_>, uid: u32, gid: u32) -> sys::Result<()> {
    let stat = fstat(file).call(|| "fstat()")?;
    if (stat.st_uid, stat.st_gid) == (uid, gid) {
        return Ok(());
    }
    chownat(file, "", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::EMPTY_PATH)
        .call(|| format!("fchownat({uid}, {gid})"))
}
