//! What is known of a container: the record that its monitor writes, one writer, replaced in one step.
//!
//! ```text
//!   (create) -> Created -> Running <-> Paused
//!                  |          |          |
//!                  +------> Exited <-----+      Exited -> Running: a new start, a new monitor
//!                             ^          |
//!                             +-- Restarting -> Running: by its restart policy
//! ```

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970-01-01 UTC.
pub type Nanos = u64;

/// What `status.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the container is doing.
    #[serde(flatten)]
    pub status: Status,
    /// How often its restart policy has started it again since somebody did.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restarts: u32,
    /// Somebody wanted it to end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stopped: bool,
    /// What its health check has found, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl From<Status> for Report {
    fn from(status: Status) -> Self {
        Report { status, restarts: 0, stopped: false, health: None }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What health checks have found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The verdict.
    pub state: HealthState,
    /// Failures since the last success.
    pub failing: u32,
    /// The last checks, oldest first.
    pub log: Vec<Probe>,
}

/// How a container feels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// No check has succeeded, and not enough have failed.
    #[default]
    Starting,
    /// The last check succeeded, or not enough have failed since.
    Healthy,
    /// Too many checks in a row have failed.
    Unhealthy,
}

/// One health check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// When it began.
    pub start: Nanos,
    /// When it ended.
    pub end: Nanos,
    /// Its exit code; -1 when it could not run or took too long.
    pub code: i32,
    /// The beginning of what it said.
    pub output: String,
}

/// A container's state with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Status {
    /// Made, never started.
    Created,
    /// Its first process runs.
    Running {
        /// Process number on the host.
        pid: u32,
        /// Start of that process in clock ticks since boot: with the number, its identity.
        start_time: u64,
        /// When it was started.
        since: Nanos,
    },
    /// Frozen.
    Paused {
        /// As in `Running`.
        pid: u32,
        /// As in `Running`.
        start_time: u64,
        /// As in `Running`.
        since: Nanos,
    },
    /// It has ended and will be started again.
    Restarting {
        /// How it ended.
        exit: Exit,
        /// Milliseconds between that and the start.
        delay: u64,
    },
    /// Its first process has ended, or could not be executed.
    Exited(Exit),
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, or 128 plus the signal's number; 126 and 127 for a command that is not executable or not there.
    pub code: i32,
    /// The kernel killed a process of the container for want of memory.
    pub oom: bool,
    /// When it was started; 0 if it never was.
    pub started: Nanos,
    /// When it ended.
    pub finished: Nanos,
    /// Why it could not run, when it could not.
    pub error: Option<String>,
}
