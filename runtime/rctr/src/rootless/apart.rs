//! A process that this program makes of itself and that outlives it: it takes nothing along.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use anyhow::Result;
use rustix::fs::{CWD, Mode, OFlags, openat};
use sys::Call;

/// Makes the calling process, a child of [`sys::process::clone3`], one of a session of its own that has no descriptor but `keep`, and `name`.
/// Whoever owns another one must be forgotten.
pub(super) fn settle(name: &CStr, keep: &[BorrowedFd<'_>]) -> Result<()> {
    let null = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).call(|| "open(\"/dev/null\")")?;
    rustix::stdio::dup2_stdin(&null).call(|| "dup2(0)")?;
    rustix::stdio::dup2_stdout(&null).call(|| "dup2(1)")?;
    rustix::stdio::dup2_stderr(&null).call(|| "dup2(2)")?;
    std::mem::forget(null);
    sys::fds::close_all_but(3, keep)?;
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(name);
    Ok(rustix::process::chdir("/").call(|| "chdir(\"/\")")?)
}
