//! Entering cgroups.

use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use sys::Call;

use crate::Failure;
use crate::failure::During;

/// Moves the caller into each folder.
pub(crate) fn enter<'a>(folders: impl Iterator<Item = BorrowedFd<'a>>) -> Result<(), Failure> {
    for folder in folders {
        // `tasks` of v1 moves one thread: unlike `cgroup.procs` it does not take the lock over all threads of the system, whose first
        // taker waits milliseconds for an RCU grace period. The caller has one thread, so both mean the same. v2 has no such file.
        let file = match openat(folder, "tasks", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => openat(folder, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()),
            other => other,
        };
        let file = file.call(|| "openat(cgroup, \"tasks\", O_WRONLY)").during(|| "join the cgroup")?;
        // 0 is the writer itself, whatever its number is in which namespace.
        sys::fs::write_all(file, b"0").during(|| "join the cgroup")?;
    }
    Ok(())
}
