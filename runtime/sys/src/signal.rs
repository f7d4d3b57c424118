//! Signal masks, dispositions, and signals as readable descriptors.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::{Error, Result};

fn set(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset fills the set; sigaddset takes any number and refuses what is no signal.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

/// Blocks `signals` in this thread, on top of what is blocked already.
pub fn block(signals: &[i32]) -> Result<()> {
    // SAFETY: a filled set and a null pointer for the old one.
    let done = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &set(signals), std::ptr::null_mut()) };
    if done == 0 { Ok(()) } else { Err(Error::last("sigprocmask(SIG_BLOCK)")) }
}

/// Blocks `signals` and returns a descriptor from which they are read (close-on-exec, non-blocking).
pub fn signalfd(signals: &[i32]) -> Result<OwnedFd> {
    block(signals)?;
    // SAFETY: a filled set; -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &set(signals), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(Error::last("signalfd()"));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The next pending signal number of a [`signalfd`], if there is one.
pub fn read(fd: impl AsFd) -> Option<i32> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer is `size` bytes long.
    let got = unsafe { libc::read(fd.as_fd().as_raw_fd(), info.as_mut_ptr().cast(), size) };
    if got != size as isize {
        return None;
    }
    // SAFETY: the kernel has filled the whole structure.
    Some(unsafe { info.assume_init() }.ssi_signo as i32)
}

/// The state in which a program expects to start: nothing blocked, nothing ignored (Rust's runtime ignores SIGPIPE,
/// and an ignored signal stays ignored across execve).
pub fn reset() {
    // `struct sigaction` as the kernel has it: all zero is SIG_DFL without flags. libc's own wrapper leaves signals 32 and 33 alone, which
    // a caller may ignore just as well.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: the default disposition runs no code; the kernel only reads. Errors for SIGKILL and SIGSTOP are fine.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null_mut::<u64>(), size_of::<u64>()) };
    }
    // SAFETY: a filled set and a null pointer for the old one.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &set(&[]), std::ptr::null_mut()) };
}

/// Restores the default reaction to SIGPIPE, for command-line programs whose output ends in a pipe.
pub fn default_sigpipe() {
    // SAFETY: the default disposition runs no code. It cannot fail for a signal that may be caught.
    let _ = unsafe { nix::sys::signal::signal(nix::sys::signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl) };
}
