//! What a container may use.

use serde::{Deserialize, Serialize};

/// Limits; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes of memory.
    pub memory: Option<i64>,
    /// Billionths of a CPU.
    pub nano_cpus: Option<u64>,
    /// Relative weight in Docker's unit, where 1024 is the ordinary share.
    pub cpu_shares: Option<u64>,
    /// Processes and threads; -1 is no limit.
    pub pids: Option<i64>,
}
