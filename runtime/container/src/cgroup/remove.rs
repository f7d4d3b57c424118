//! Removing a cgroup folder.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat, rmdir};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sys::Call;

use super::{Error, kill::members};

/// How long to wait for processes that are on their way out. One that is not killed never leaves.
const PATIENCE: Duration = Duration::from_secs(5);

/// Removes `folder` with the ones below it. Nothing there is fine. Nothing is killed; processes that have been are waited for: they
/// leave their cgroup some time after their parent was told of their end.
///
/// # Errors
/// [`Error::Populated`] when processes stay, [`Error::Remove`].
pub fn remove(folder: &Path) -> Result<(), Error> {
    match rmdir(folder) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::BUSY | Errno::NOTEMPTY) => {
            for child in children(folder)? {
                remove(&child)?;
            }
            when_empty(folder)
        }
        Err(errno) => Err(failed(folder, errno)),
    }
}

fn failed(folder: &Path, errno: Errno) -> Error {
    Error::Remove { folder: folder.to_owned(), source: sys::Error::new(format!("rmdir({folder:?})"), errno) }
}

/// The folders right below `folder`. A cgroup has files, and these.
pub(super) fn children(folder: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
    let list = || {
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        Ok(folders)
    };
    match list() {
        Err(error) if std::io::Error::kind(&error) == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        list => list.call(|| "getdents64()").map_err(|source| Error::Read { path: folder.to_owned(), source }),
    }
}

/// Removes `folder` as soon as its last process is gone.
fn when_empty(folder: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    // Opened before rmdir is tried: what happens after that is not missed.
    let events = openat(CWD, folder.join("cgroup.events"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
    let mut pause = Duration::from_micros(50);
    loop {
        let populated = events.as_ref().is_some_and(populated);
        match rmdir(folder) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(failed(folder, errno)),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let pids = members(folder)?;
        if left.is_zero() {
            return Err(Error::Populated { folder: folder.to_owned(), pids, seconds: PATIENCE.as_secs() });
        }
        match events.as_ref().filter(|_| populated) {
            Some(events) => changed(events, left),
            None if !pids.is_empty() => gone(&pids, left),
            // v1 lists no process that ends, but counts it until its last switch. There is no event for that.
            None => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(10));
            }
        }
    }
}

/// What `cgroup.events` says, read so that the next change is noticed.
pub(super) fn event(events: &OwnedFd, key: &str) -> Option<bool> {
    counter(events, key).map(|value| value == 1)
}

/// A number of a file of events, read so that the next change is noticed.
pub(super) fn counter(events: &OwnedFd, key: &str) -> Option<u64> {
    let mut text = [0; 512];
    let length = rustix::io::pread(events, &mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..length]).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?.trim().parse().ok()
}

fn populated(events: &OwnedFd) -> bool {
    event(events, "populated").unwrap_or(false)
}

/// Waits until `cgroup.events` changes (POLLPRI), at most this long.
pub(super) fn changed(events: &OwnedFd, left: Duration) {
    let _ = poll(&mut [PollFd::new(events, PollFlags::PRI)], timeout(left).as_ref());
}

/// Waits until one of these processes has ended, at most this long.
pub(super) fn gone(pids: &[u32], left: Duration) {
    let open = |pid: &u32| Pid::from_raw(*pid as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let processes: Vec<OwnedFd> = pids.iter().take(64).filter_map(open).collect();
    if processes.is_empty() {
        return;
    }
    let mut all: Vec<_> = processes.iter().map(|process| PollFd::new(process, PollFlags::IN)).collect();
    let _ = poll(&mut all, timeout(left).as_ref());
}

fn timeout(left: Duration) -> Option<Timespec> {
    Timespec::try_from(left).ok()
}
