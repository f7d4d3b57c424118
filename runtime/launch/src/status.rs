//! What is known of a container: the record that its monitor writes, one writer, replaced in one step.
//!
//! ```text
//!   (create) -> Created -> Running <-> Paused
//!                  |          |          |
//!                  +------> Exited <-----+      Exited -> Running: a new start, a new monitor
//! ```

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970-01-01 UTC.
pub type Nanos = u64;

/// A container's state with what belongs to it; serialised as is into `status.json`.
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
