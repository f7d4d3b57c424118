//! A pseudo terminal of the container's own devpts.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, major, minor, openat2};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use sys::{Call, Error};

use crate::Failure;
use crate::failure::During;
use crate::handshake::Parent;

/// `DEVPTS_SUPER_MAGIC` of statfs(2).
const DEVPTS: i64 = 0x1cd1;

/// The container's end; the parent has the master.
pub(crate) struct Terminal {
    pub(crate) peer: OwnedFd,
}

/// Opens a terminal of the devpts at `/dev/pts` below `root`, hands its master to the parent, and sets its size (rows, columns).
pub(crate) fn open(root: BorrowedFd<'_>, size: (u16, u16), parent: &Parent) -> Result<Terminal, Failure> {
    let (master, peer) = pair(root, size).during(|| "open a terminal")?;
    parent.terminal(master.as_fd())?;
    Ok(Terminal { peer })
}

fn pair(root: BorrowedFd<'_>, (rows, columns): (u16, u16)) -> sys::Result<(OwnedFd, OwnedFd)> {
    // No link on the way: an image may say anything about /dev/ptmx.
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = openat2(root, "dev/pts/ptmx", flags, Mode::empty(), resolve).call(|| "openat2(\"/dev/pts/ptmx\", O_RDWR)")?;
    verify(&master, |major, minor| (major, minor) == (5, 2), "/dev/pts/ptmx")?;
    unlockpt(&master).call(|| "ioctl(TIOCSPTLCK)")?;
    // By the master, not by a path such as /dev/pts/0, which could be a link or a mount by now (CVE-2025-52565).
    let peer =
        ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).call(|| "ioctl(TIOCGPTPEER)")?;
    verify(&peer, |major, _| (136..=143).contains(&major), "the terminal")?;
    if (rows, columns) != (0, 0) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).call(|| "ioctl(TIOCSWINSZ)")?;
    }
    Ok((master, peer))
}

/// A character device of a devpts, with the right number.
fn verify(file: &OwnedFd, number: impl Fn(u32, u32) -> bool, what: &str) -> sys::Result<()> {
    let stat = fstat(file).call(|| format!("fstat({what})"))?;
    let device =
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && number(major(stat.st_rdev), minor(stat.st_rdev));
    if device && fstatfs(file).call(|| format!("fstatfs({what})"))?.f_type == DEVPTS {
        Ok(())
    } else {
        Err(Error::new(format!("fstat({what}): not of a devpts"), Errno::NODEV))
    }
}
