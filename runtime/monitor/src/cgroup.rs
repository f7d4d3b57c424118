//! Emptying and removing the container's cgroups.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, openat, rmdir, unlinkat};
use rustix::io::{Errno, pread};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open};

/// How long killed processes may take to leave.
const PATIENCE: Duration = Duration::from_secs(2);

/// Kills every process in a v2 cgroup and below (`cgroup.kill`, Linux 5.14).
pub(crate) fn kill(group: impl AsFd) {
    if let Ok(file) = openat(group, "cgroup.kill", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = sys::fs::write_all(file, b"1");
    }
}

/// Removes a cgroup folder with what the container made below it. What still runs there is killed; `group` is the container's v2
/// folder, if it has one.
pub(crate) fn remove(path: &Path, group: Option<&OwnedFd>) {
    match rmdir(path) {
        Err(Errno::BUSY) => {}
        _ => return,
    }
    let Ok(folder) = sys::fs::open_dir(path) else { return };
    if let Some(group) = group {
        kill(group);
    }
    let until = Instant::now() + PATIENCE;
    // v2 tells when the last process has left. v1 does not: there the pause grows from 1 ms on.
    let events = openat(&folder, "cgroup.events", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
    let mut pause = Duration::from_millis(1);
    while Instant::now() < until {
        // Reported is what changes after a read (kernfs_generic_poll).
        let _ = events.as_ref().map(|events| pread(events, &mut [0u8; 64], 0));
        reap();
        if empty(&folder) && !matches!(rmdir(path), Err(Errno::BUSY)) {
            return;
        }
        kill_members(&folder);
        let mut fds: Vec<_> = events.iter().map(|events| PollFd::new(events, PollFlags::PRI)).collect();
        let timeout = if fds.is_empty() { pause } else { PATIENCE / 10 };
        let _ = poll(&mut fds, Timespec::try_from(timeout).ok().as_ref());
        pause *= 2;
    }
}

/// Removes the folders below, deepest first. True when none is left.
fn empty(folder: &OwnedFd) -> bool {
    let mut all = true;
    for name in sys::fs::list(folder).unwrap_or_default() {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(child) = openat(folder, &*name, flags, Mode::empty()) {
            let gone = empty(&child) && unlinkat(folder, &*name, AtFlags::REMOVEDIR).is_ok();
            if !gone {
                kill_members(&child);
            }
            all &= gone;
        }
    }
    all
}

/// Kills by number where there is no `cgroup.kill`. A number read here is signalled only through a descriptor that was opened while the
/// process was still a member: one that ends in between cannot be mistaken for a stranger with its number.
fn kill_members(folder: &OwnedFd) {
    for pid in members(folder) {
        if let Some(number) = Pid::from_raw(pid)
            && let Ok(pidfd) = pidfd_open(number, PidfdFlags::empty())
            && members(folder).contains(&pid)
        {
            let _ = sys::process::signal(&pidfd, 9);
        }
    }
}

fn members(folder: &OwnedFd) -> Vec<i32> {
    let file = openat(folder, "cgroup.procs", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let text = file.ok().and_then(|file| sys::fs::read_all(file, 1 << 20).ok()).unwrap_or_default();
    // 0 stands for a process of another pid namespace.
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok())
        .filter(|pid| *pid > 0)
        .collect()
}

/// Orphans of the container are the monitor's zombies. By now no task is left whose status could be missed.
fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}
