//! Waiting for the kernel to run out of a cgroup's memory.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use sys::Call;

use super::files::put;
use super::{Error, remove};

/// Tells when processes of a cgroup are killed for want of memory. Waiting is for poll(2).
#[derive(Debug)]
pub struct OutOfMemory {
    watched: Watched,
}

#[derive(Debug)]
enum Watched {
    /// `memory.events`, which wakes its readers when it changes, and how many kills it has told of.
    V2 { events: OwnedFd, kills: u64 },
    /// Written to by the kernel each time (Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control"), and the file that keeps it so.
    V1 { event: OwnedFd, _control: OwnedFd },
}

impl OutOfMemory {
    /// Watches a folder of v2, or one of v1 with the memory controller.
    ///
    /// # Errors
    /// [`Error::Read`], also where the memory controller is not there.
    pub fn watch(folder: &Path, v2: bool) -> Result<Self, Error> {
        let file = if v2 { "memory.events" } else { "memory.oom_control" };
        let path = folder.join(file);
        let failed = |source| Error::Read { path: path.clone(), source };
        let opened = openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .call(|| format!("open({path:?})"))
            .map_err(failed)?;
        if v2 {
            let kills = kills(&opened);
            return Ok(OutOfMemory { watched: Watched::V2 { events: opened, kills } });
        }
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).call(|| "eventfd()").map_err(failed)?;
        let command = format!("{} {}", event.as_raw_fd(), opened.as_raw_fd());
        put(&folder.join("cgroup.event_control"), &command).call(|| format!("write({command:?})")).map_err(failed)?;
        Ok(OutOfMemory { watched: Watched::V1 { event, _control: opened } })
    }

    /// What to wait for, and how.
    pub fn poll(&self) -> (BorrowedFd<'_>, PollFlags) {
        match &self.watched {
            Watched::V2 { events, .. } => (events.as_fd(), PollFlags::PRI),
            Watched::V1 { event, .. } => (event.as_fd(), PollFlags::IN),
        }
    }

    /// How many times it has happened since the last call: once for each kill on v2, once for each time that memory ran out on v1.
    pub fn count(&mut self) -> u64 {
        match &mut self.watched {
            Watched::V2 { events, kills: known } => {
                let now = kills(events);
                now.saturating_sub(std::mem::replace(known, now.max(*known)))
            }
            Watched::V1 { event, .. } => {
                let mut count = [0; 8];
                match rustix::io::read(&*event, &mut count) {
                    Ok(8) => u64::from_ne_bytes(count),
                    _ => 0,
                }
            }
        }
    }
}

fn kills(events: &OwnedFd) -> u64 {
    remove::counter(events, "oom_kill").unwrap_or(0)
}
