//! Noticing that something was removed from a folder, for a process that will execute another program.
//!
//! inotify(7) is for processes that stay: closing an instance waits until no reader of its marks is left, in the middle of execve for
//! some 7 ms (`fsnotify_destroy_group`). The older F_NOTIFY of fcntl(2) lets go of its mark without waiting, 0.03 ms.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::{Error, Result, signal};

/// The signal of F_NOTIFY.
const SIGIO: i32 = libc::SIGIO;
/// Tell of files that are unlinked, more than once.
const DN_DELETE: libc::c_uint = 0x8;
const DN_MULTISHOT: libc::c_uint = 0x8000_0000;

/// A folder in which removals are noticed. SIGIO is blocked until [`Removals::end`].
#[derive(Debug)]
pub struct Removals<'fd> {
    folder: BorrowedFd<'fd>,
    signals: OwnedFd,
}

impl<'fd> Removals<'fd> {
    /// Begins to watch.
    ///
    /// # Errors
    /// `EINVAL` on a kernel without F_NOTIFY, or where `fs.dir-notify-enable` is off; `EBADF` for a descriptor opened with O_PATH; what
    /// a system call filter says.
    pub fn watch(folder: BorrowedFd<'fd>) -> Result<Self> {
        // Blocked first: its default action is the end of the process.
        let signals = signal::signalfd(&[SIGIO])?;
        match notify(folder, DN_DELETE | DN_MULTISHOT) {
            Ok(()) => Ok(Removals { folder, signals }),
            Err(error) => signal::unblock(&[SIGIO]).and(Err(error)),
        }
    }

    /// Forgets what was noticed so far.
    pub fn seen(&self) {
        while signal::read(&self.signals).is_some() {}
    }

    /// Ends watching, and leaves SIGIO as it was before.
    ///
    /// # Errors
    /// None that is known.
    pub fn end(self) -> Result<()> {
        // In this order: nothing is sent any more once the first call is done, nothing is pending after the second.
        notify(self.folder, 0)?;
        self.seen();
        signal::unblock(&[SIGIO])
    }
}

impl AsFd for Removals<'_> {
    /// Readable when something was removed since [`Removals::seen`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

fn notify(folder: BorrowedFd<'_>, what: libc::c_uint) -> Result<()> {
    let fd = folder.as_raw_fd();
    // SAFETY: plain integers; a signal that is blocked is all that comes of it.
    let done = unsafe { libc::fcntl(fd, libc::F_NOTIFY, libc::c_ulong::from(what)) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("fcntl({fd}, F_NOTIFY, {what:#x})"))) }
}
