//! What a container does, asked of the kernel.

use std::fmt;
use std::os::fd::OwnedFd;

use container::cgroup;
use sys::process::look;

use crate::error::{Failed, Result};
use crate::record::Record;
use crate::store::Entry;

/// The states of runtime-spec, and `paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Another process makes it now.
    Creating,
    /// Init waits to be started.
    Created,
    Running,
    Paused,
    /// Init has ended, or never was.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}

/// Of a container that somebody else may be making.
pub(super) fn of(entry: &Entry, record: &Record) -> Status {
    match record.init_process_pid {
        0 if entry.busy() => Status::Creating,
        _ => locked(record),
    }
}

/// Of a container that this process has locked.
pub(super) fn locked(record: &Record) -> Status {
    let process = match record.init_process_pid {
        0 => None,
        pid => look(pid).filter(|process| process.start == record.init_process_start && !process.ended),
    };
    match process {
        None => Status::Stopped,
        _ if frozen(record) => Status::Paused,
        Some(process) if process.executed || record.rctr.restored => Status::Running,
        Some(_) => Status::Created,
    }
}

/// In v2 where there is one: that is where `pause` freezes.
fn frozen(record: &Record) -> bool {
    let folders = &record.rctr.folders;
    match (folders.iter().find(|folder| folder.v2), record.cgroup_paths.get("freezer")) {
        (Some(folder), _) => cgroup::frozen(&folder.path, true),
        (None, Some(folder)) => cgroup::frozen(folder, false),
        (None, None) => false,
    }
}

/// A descriptor of init, if it is still that process.
pub(super) fn init(record: &Record) -> Result<OwnedFd> {
    sys::process::open(record.init_process_pid, record.init_process_start).map_err(|_| Failed::not_running(&record.id))
}
