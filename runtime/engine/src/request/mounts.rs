//! Files of the host and of volumes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A file or folder of the host that shows in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Absolute path on the host. A missing one is made as a folder.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: PathBuf,
    /// Read-only, with all mounts below it.
    pub readonly: bool,
}
