//! Descriptor tables.

use std::os::fd::{AsFd, AsRawFd};

use crate::{Error, Result};

/// Marks every descriptor from `first` on close-on-exec (Linux 5.11), so that none is inherited by what is executed
/// next, whoever opened it (CVE-2024-21626).
pub fn close_on_exec_from(first: u32) -> Result<()> {
    // SAFETY: plain integers; a flag changes, no descriptor is closed, so no owner is cheated.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("close_range({first}, ~0, CLOSE_RANGE_CLOEXEC)"))) }
}

/// Closes every descriptor from 3 on but `keep`, in a child made by [`crate::process::clone3`] that is about to execute another
/// program. Nothing of the host can then be reached through `/proc/self/fd`, by the child or by whoever may look into it
/// (CVE-2024-21626, CVE-2016-9962).
///
/// Whoever owned one of them in the child must be forgotten, not dropped: the number may mean another file by then. The parent's
/// table is its own and not touched.
pub fn close_all_but(keep: impl AsFd) -> Result<()> {
    let keep = keep.as_fd().as_raw_fd() as u32;
    for (first, last) in [(3, keep.saturating_sub(1)), (keep.max(2) + 1, u32::MAX)] {
        if first > last {
            continue;
        }
        // SAFETY: plain integers; by the contract above nobody uses what is closed.
        let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if done != 0 {
            return Err(Error::last(format!("close_range({first}, {last}, 0)")));
        }
    }
    Ok(())
}
