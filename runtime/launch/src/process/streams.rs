//! Standard input, output and error.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Uid, fchown, fstat};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use sys::Call;

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

/// Lets the user open its streams again by name, as programs do with /dev/stdout: pipes and terminals belong to who opens them. Files
/// and devices of the host keep their owner.
fn give_all(uid: u32) -> sys::Result<()> {
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let stat = fstat(stream).call(|| "fstat(a standard stream)")?;
        let own = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo => true,
            FileType::CharacterDevice => (136..=143).contains(&rustix::fs::major(stat.st_rdev)),
            _ => false,
        };
        if own && stat.st_uid != uid {
            fchown(stream, Some(Uid::from_raw(uid)), None).call(|| format!("fchown(a standard stream, {uid})"))?;
        }
    }
    Ok(())
}
