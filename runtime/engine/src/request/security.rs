//! What a container may do.

use serde::{Deserialize, Serialize};

/// What the container may do beyond or below the ordinary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Capabilities on top of the ordinary ones, `ALL` for all.
    pub cap_add: Vec<String>,
    /// Capabilities taken away, `ALL` for all.
    pub cap_drop: Vec<String>,
    /// Everything: all capabilities and devices, no filter, nothing masked.
    pub privileged: bool,
    /// No program gains privileges by being executed.
    pub no_new_privileges: bool,
    /// The root file system cannot be written.
    pub readonly_rootfs: bool,
    /// No system call filter.
    pub seccomp_unconfined: bool,
}
