//! What can go wrong with cgroups.

use std::path::PathBuf;

/// A cgroup could not be found, made, changed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This host has no cgroups to use.
    #[error("no cgroup file system is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup")]
    NotMounted,
    /// The path of a cgroup is not one.
    #[error("cgroup path {path:?}: {why}")]
    Path {
        /// As given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A limit needs a controller that this host does not have, or has switched off.
    #[error("{field} {asked}: this host has no {controller} controller{}", hint(controller))]
    NoController {
        /// Field of the configuration, such as `memory.limit`.
        field: &'static str,
        /// What was asked for.
        asked: String,
        /// The controller.
        controller: String,
    },
    /// A limit makes no sense, or there is no such limit with this version of cgroups.
    #[error("{field} {asked}: {why}")]
    Limit {
        /// Field of the configuration.
        field: &'static str,
        /// What was asked for.
        asked: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is a cgroup of this name: another container's, or left by one that was killed.
    #[error("cgroup {} exists already", .0.display())]
    Exists(PathBuf),
    /// Processes live in the cgroup that was given for a new container.
    #[error("container's cgroup is not empty: {processes} process(es) found in {}", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// How many.
        processes: usize,
    },
    /// No process would run in the cgroup that was given for a new container: it is frozen, or one above it is.
    #[error("container's cgroup unexpectedly frozen: {}", .0.display())]
    Frozen(PathBuf),
    /// A folder cannot be made.
    #[error("make cgroup {}", folder.display())]
    Create {
        /// The folder.
        folder: PathBuf,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// The kernel refuses a limit.
    #[error("{field} {asked}: set {} to {value:?}", file.display())]
    Write {
        /// Field of the configuration.
        field: &'static str,
        /// What was asked for.
        asked: Box<str>,
        /// The file.
        file: PathBuf,
        /// What was written.
        value: Box<str>,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// A controller cannot be handed down to the containers' cgroups.
    #[error("enable the {controller} controller in {}{}", file.display(), if *busy { " (processes live in that cgroup itself; move them to one below it)" } else { "" })]
    Enable {
        /// The controller.
        controller: String,
        /// The parent's `cgroup.subtree_control`.
        file: PathBuf,
        /// The parent has processes of its own, which cgroup v2 forbids.
        busy: bool,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// Device rules cannot be put into force.
    #[error("device rules of cgroup {}", folder.display())]
    Devices {
        /// The folder.
        folder: PathBuf,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// Processes cannot be killed, frozen or thawed.
    #[error("{what} the processes of cgroup {}", folder.display())]
    Signal {
        /// `kill`, `freeze`, `thaw`.
        what: &'static str,
        /// The folder.
        folder: PathBuf,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// Processes do not go away.
    #[error("cgroup {} still has processes {pids:?} after {seconds} s", folder.display())]
    Populated {
        /// The folder.
        folder: PathBuf,
        /// Some of the processes.
        pids: Vec<u32>,
        /// How long was waited.
        seconds: u64,
    },
    /// A folder or a file of it cannot be given to the container.
    #[error("give {} to user {uid}", path.display())]
    Delegate {
        /// The folder or file.
        path: PathBuf,
        /// The user, as the host numbers it.
        uid: u32,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// Systemd does not do what it is asked for.
    #[error("{what} the systemd unit {unit}")]
    Systemd {
        /// `start`, `change`, `stop`.
        what: &'static str,
        /// The unit.
        unit: String,
        /// Why.
        #[source]
        source: super::systemd::Failure,
    },
    /// A folder cannot be removed.
    #[error("remove cgroup {}", folder.display())]
    Remove {
        /// The folder.
        folder: PathBuf,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
}

/// What to do about a missing controller.
fn hint(controller: &str) -> &'static str {
    match controller {
        "memory" => "; see /proc/cgroups, and the kernel options cgroup_enable=memory and cgroup_no_v1",
        _ => "; see /proc/cgroups",
    }
}
