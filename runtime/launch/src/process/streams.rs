//! Standard input, output and error.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Uid, fchown, fstat, makedev, openat2};
use rustix::io::Errno;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use sys::{Call, Error};

use crate::child::terminal::Terminal;
use crate::failure::During;
use crate::{Failure, Stdio};

/// What descriptors 0 to 2 become.
pub(crate) enum Streams<'a> {
    /// One terminal for all, which is taken as the controlling one.
    Terminal(OwnedFd),
    /// One file each.
    Files(&'a Stdio),
    /// As they are.
    Inherited,
}

impl<'a> Streams<'a> {
    /// A terminal goes before files.
    pub(crate) fn of(terminal: Option<Terminal>, stdio: Option<&'a Stdio>) -> Self {
        match (terminal, stdio) {
            (Some(terminal), _) => Streams::Terminal(terminal.peer),
            (None, Some(stdio)) => Streams::Files(stdio),
            (None, None) => Streams::Inherited,
        }
    }

    /// Puts them in place, for a process of the user `uid`.
    pub(crate) fn install(self, uid: u32) -> Result<(), Failure> {
        self.place().during(|| "standard streams")?;
        // It is 0 to 2 now. The number is closed with all others: nobody may close it again later.
        std::mem::forget(self);
        own_null().during(|| "standard streams")?;
        if uid != 0 { give_all(uid).during(|| "standard streams") } else { Ok(()) }
    }

    fn place(&self) -> sys::Result<()> {
        match self {
            Streams::Terminal(peer) => {
                rustix::process::ioctl_tiocsctty(peer).call(|| "ioctl(TIOCSCTTY)")?;
                place(peer.as_fd(), peer.as_fd(), peer.as_fd())
            }
            // All three are above 2: Rust's runtime sees to it that 0 to 2 are open before main.
            Streams::Files(stdio) => place(stdio.stdin.as_fd(), stdio.stdout.as_fd(), stdio.stderr.as_fd()),
            Streams::Inherited => Ok(()),
        }
    }
}

fn place(stdin: BorrowedFd<'_>, stdout: BorrowedFd<'_>, stderr: BorrowedFd<'_>) -> sys::Result<()> {
    dup2_stdin(stdin).call(|| "dup2(stdin, 0)")?;
    dup2_stdout(stdout).call(|| "dup2(stdout, 1)")?;
    dup2_stderr(stderr).call(|| "dup2(stderr, 2)")
}

/// Puts the container's null device in the place of the caller's. That one is a file of the host, and through its descriptor root in the
/// container could give it another mode or owner: `chmod 0 /proc/self/fd/0` would break the host. As runc does (reOpenDevNull).
fn own_null() -> sys::Result<()> {
    let mut own = None;
    for (number, stream) in [stdin(), stdout(), stderr()].into_iter().enumerate() {
        if !is_null(stream)? {
            continue;
        }
        let null = match &own {
            Some(null) => null,
            None => own.insert(null_device()?),
        };
        match number {
            0 => dup2_stdin(null),
            1 => dup2_stdout(null),
            _ => dup2_stderr(null),
        }
        .call(|| format!("dup2(/dev/null, {number})"))?;
    }
    Ok(())
}

/// The null device of the root that we are in, verified: a container may have put something else there.
fn null_device() -> sys::Result<OwnedFd> {
    let (flags, resolve) =
        (OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS);
    let null =
        openat2(CWD, "/dev/null", flags, Mode::empty(), resolve).call(|| "openat2(\"/dev/null\", O_RDWR, RESOLVE_NO_SYMLINKS)")?;
    if is_null(null.as_fd())? { Ok(null) } else { Err(Error::new("fstat(\"/dev/null\"): not the null device", Errno::NODEV)) }
}

fn is_null(file: BorrowedFd<'_>) -> sys::Result<bool> {
    let stat = fstat(file).call(|| "fstat(a standard stream)")?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3))
}

/// Lets the user open its streams again by name, as programs do with /dev/stdout: pipes and terminals belong to who opens them. Files
/// and devices of the host keep their owner.
fn give_all(uid: u32) -> sys::Result<()> {
    for stream in [stdin(), stdout(), stderr()] {
        let stat = fstat(stream).call(|| "fstat(a standard stream)")?;
        let own = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo => true,
            FileType::CharacterDevice => (136..=143).contains(&rustix::fs::major(stat.st_rdev)),
            _ => false,
        };
        if own && stat.st_uid != uid {
            match fchown(stream, Some(Uid::from_raw(uid)), None) {
                // In a user namespace, of an owner that is not mapped: nobody there can give it away. It is open all the same.
                Err(Errno::PERM) => {}
                done => done.call(|| format!("fchown(a standard stream, {uid})"))?,
            }
        }
    }
    Ok(())
}
