//! Secrets that a container gets.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A secret that a container gets. Its bytes are in no record: they are read each time that it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    /// Its name.
    pub name: String,
    /// A file with it; where there is none it is one of the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Where the container finds it.
    pub place: SecretPlace,
}

/// Where a container finds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretPlace {
    /// In a variable.
    Variable(String),
    /// In a file of its own, in memory, which it cannot write to.
    File {
        /// The absolute path.
        target: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its mode.
        mode: u32,
    },
}
