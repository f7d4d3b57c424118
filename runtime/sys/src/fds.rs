//! Descriptor tables.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{Error, Result};

/// Marks every descriptor from `first` on close-on-exec (Linux 5.11), so that none is inherited by what is executed
/// next, whoever opened it (CVE-2024-21626).
pub fn close_on_exec_from(first: u32) -> Result<()> {
    // SAFETY: plain integers; a flag changes, no descriptor is closed, so no owner is cheated.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("close_range({first}, ~0, CLOSE_RANGE_CLOEXEC)"))) }
}

/// Closes every descriptor from `first` on but `keep`, in a child made by [`crate::process::clone3`] that is about to execute another
/// program. Nothing of the host can then be reached through `/proc/self/fd`, by the child or by whoever may look into it
/// (CVE-2024-21626, CVE-2016-9962).
///
/// Whoever owned one of them in the child must be forgotten, not dropped: the number may mean another file by then. The parent's
/// table is its own and not touched.
pub fn close_all_but(first: u32, keep: &[BorrowedFd<'_>]) -> Result<()> {
    let mut keep: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd() as u32).filter(|fd| *fd >= first).collect();
    keep.sort_unstable();
    let mut from = first;
    for end in keep.into_iter().chain([u32::MAX]) {
        let last = if end == u32::MAX { end } else { end.saturating_sub(1) };
        if end > from {
            // SAFETY: plain integers; by the contract above nobody uses what is closed.
            let done = unsafe { libc::syscall(libc::SYS_close_range, from, last, 0) };
            if done != 0 {
                return Err(Error::last(format!("close_range({from}, {last}, 0)")));
            }
        }
        from = end.saturating_add(1);
    }
    Ok(())
}
