//! A folder of the host instead of an image.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a container without an image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// The folder, absolute.
    pub path: PathBuf,
    /// It is only read: what the container writes is kept with the container. Without it, the container writes into the folder itself.
    pub overlay: bool,
}
