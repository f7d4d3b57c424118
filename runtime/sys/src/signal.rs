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

/// Blocks all signals in this thread, so that those which are for the process go to another.
pub fn block_all() -> Result<()> {
    let mut every = MaybeUninit::uninit();
    // SAFETY: sigfillset fills the set; a null pointer for the old one.
    let done = unsafe {
        libc::sigfillset(every.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, every.as_ptr(), ptr::null_mut())
    };
    if done == 0 { Ok(()) } else { Err(Error::new("pthread_sigmask(SIG_BLOCK)", rustix::io::Errno::from_raw_os_error(done))) }
}

/// Lets `signals` come again in this thread.
pub fn unblock(signals: &[i32]) -> Result<()> {
    // SAFETY: a filled set and a null pointer for the old one.
    let done = unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &set(signals), std::ptr::null_mut()) };
    if done == 0 { Ok(()) } else { Err(Error::last("sigprocmask(SIG_UNBLOCK)")) }
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

/// Lets a write to a closed pipe or socket fail instead of ending the program: for servers. [`crate::spawn`] and [`std::process::Command`] undo it for
/// what they start.
pub fn ignore_sigpipe() {
    // SAFETY: to ignore a signal runs no code. It cannot fail for a signal that may be caught.
    let _ = unsafe { nix::sys::signal::signal(nix::sys::signal::SIGPIPE, nix::sys::signal::SigHandler::SigIgn) };
}

/// Signals by number, from 1. x86_64 and aarch64 agree (signal(7)).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
    "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// Other names of some.
const SYNONYMS: [(&str, i32); 4] =
    [("IOT", libc::SIGABRT), ("CLD", libc::SIGCHLD), ("POLL", libc::SIGIO), ("UNUSED", libc::SIGSYS)];
/// As programs see it: below are two that glibc keeps for itself.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// A signal's number from `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3` or `SIGRTMAX-1`; `None` for what is none.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(at) = NAMES.iter().position(|known| *known == name) {
        return Some(at as i32 + 1);
    }
    if let Some((_, number)) = SYNONYMS.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let bases = [("RTMIN", RTMIN), ("RTMAX", RTMAX)];
    let (base, rest) = bases.into_iter().find_map(|(word, base)| Some((base, name.strip_prefix(word)?)))?;
    let offset = if rest.is_empty() { 0 } else { rest.parse::<i32>().ok().filter(|_| rest.starts_with(['+', '-']))? };
    base.checked_add(offset).filter(|number| (RTMIN..=RTMAX).contains(number))
}

/// The name of a signal, such as `SIGTERM` or `SIGRTMIN+3`; the number of what has none.
pub fn name(signal: i32) -> String {
    match usize::try_from(signal - 1).ok().and_then(|at| NAMES.get(at)) {
        Some(name) => format!("SIG{name}"),
        None if (RTMIN..=RTMAX).contains(&signal) => format!("SIGRTMIN+{}", signal - RTMIN),
        None => signal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, wanted) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("IOT", 6),
            ("SIGPOLL", 29),
            ("SIGRTMIN+3", 37),
            ("RTMAX", 64),
            ("rtmax-1", 63),
            ("SYS", 31),
        ] {
            assert_eq!(number(text), Some(wanted), "{text}");
        }
        for text in ["", "0", "65", "-1", "FOO", "SIG", "RTMIN3", "RTMIN+99", "RTMAX+1", "RTMIN-1", "RTMIN+2147483647"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!((name(15), name(37), name(33), name(99)), ("SIGTERM".into(), "SIGRTMIN+3".into(), "33".into(), "99".into()));
    }
}
