//! `[cni]`: the network of pods by plugins.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Deserialize;

/// `[cni]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cni {
    pub(crate) folder: PathBuf,
    pub(crate) programs: Vec<PathBuf>,
    pub(crate) patience: u64,
}

impl Default for Cni {
    fn default() -> Self {
        Cni {
            folder: "/etc/cni/net.d".into(),
            programs: ["/opt/cni/bin", "/usr/libexec/cni", "/usr/lib/cni"].map(PathBuf::from).to_vec(),
            patience: 60,
        }
    }
}

impl Cni {
    pub(super) fn check(&self) -> Result<()> {
        let empty = self.folder.as_os_str().is_empty();
        ensure!(empty || self.folder.is_absolute(), "cni.folder: {:?} is not an absolute path", self.folder);
        for folder in &self.programs {
            // They are told with ':' between them.
            let plain = folder.is_absolute() && !folder.as_os_str().to_string_lossy().contains(':');
            ensure!(plain, "cni.programs: {folder:?} is not an absolute path without ':'");
        }
        ensure!(self.patience > 0, "cni.patience: a plugin needs some time");
        Ok(())
    }

    /// For the engine; none where plugins are not wanted.
    pub(super) fn engine(&self) -> Option<engine::Cni> {
        let Cni { folder, programs, patience } = self.clone();
        let wanted = !folder.as_os_str().is_empty();
        wanted.then(|| engine::Cni { folder, programs, patience: Duration::from_secs(patience) })
    }
}
