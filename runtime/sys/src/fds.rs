//! Descriptor tables.

use crate::{Error, Result};

/// Marks every descriptor from `first` on close-on-exec (Linux 5.11), so that none is inherited by what is executed
/// next, whoever opened it (CVE-2024-21626).
pub fn close_on_exec_from(first: u32) -> Result<()> {
    // SAFETY: plain integers; a flag changes, no descriptor is closed, so no owner is cheated.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("close_range({first}, ~0, CLOSE_RANGE_CLOEXEC)"))) }
}
