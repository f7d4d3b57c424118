//! What a container's configuration says about all of its processes, not only the first.

use launch::{Landlock, MemoryPolicy, Process, Seccomp};
use serde::{Deserialize, Serialize};

/// Kept beside a container's record, for processes that join it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    /// The system call filter.
    pub seccomp: Option<Seccomp>,
    landlock: Option<Landlock>,
    personality: Option<u32>,
    memory_policy: Option<MemoryPolicy>,
}

impl Shared {
    /// What the first process has of it.
    pub fn of(process: &Process) -> Self {
        Shared {
            seccomp: process.seccomp.clone(),
            landlock: process.landlock.clone(),
            personality: process.personality,
            memory_policy: process.memory_policy.clone(),
        }
    }

    /// Gives it to another.
    pub fn give(self, process: &mut Process) {
        let Shared { seccomp, landlock, personality, memory_policy } = self;
        (process.seccomp, process.landlock) = (seccomp, landlock);
        (process.personality, process.memory_policy) = (personality, memory_policy);
    }
}
