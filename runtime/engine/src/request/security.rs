//! What a container may do.

use serde::{Deserialize, Serialize};

/// Paths that a container has no access to, or cannot write to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemPaths {
    /// Absolute paths in the container; what is not there is skipped.
    pub masked: Vec<String>,
    /// The same.
    pub readonly: Vec<String>,
}

/// What the container may do beyond or below the ordinary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
    /// Another filter, as JSON: in Docker's form, or in that of the OCI.
    pub seccomp_profile: Option<String>,
    /// The AppArmor profile of its processes.
    pub apparmor: Option<String>,
    /// Nothing of procfs and sysfs is hidden or read-only.
    pub system_paths: bool,
    /// Capabilities that stay when a user other than root executes a program (capabilities(7), ambient). It has them in all other sets, too.
    pub cap_ambient: Vec<String>,
    /// What is hidden and what is read-only, instead of the usual paths, unless it is privileged.
    pub paths: Option<SystemPaths>,
    /// Further paths that are hidden.
    pub masked: Vec<String>,
    /// Paths that are neither hidden nor read-only, with all below them.
    pub unmasked: Vec<String>,
}
