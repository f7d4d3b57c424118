//! What the host has of an engine though no container is there: the default bridge, and the cgroups that containers are below.

use rustix::fs::{AtFlags, CWD, unlinkat};

use crate::config::Config;
use crate::{Engine, Error, network};

impl Engine {
    /// Takes it away, before the folders that say what it is are removed. It is made again when it is needed. What others still use of the
    /// cgroups stays.
    ///
    /// # Errors
    /// The bridge, or its rules, cannot be removed.
    pub fn leave_host(&self) -> Result<(), Error> {
        network::remove_default(&self.config)?;
        forget_cgroups(&self.config);
        Ok(())
    }
}

/// Removes the cgroup of monitors and the one above, where they are empty: another engine may have the same.
fn forget_cgroups(config: &Config) {
    let Ok(hierarchies) = config.hierarchies() else { return };
    for path in [config.monitors(), config.cgroup.clone()] {
        for folder in container::cgroup::paths(&hierarchies, &path) {
            let _ = unlinkat(CWD, folder, AtFlags::REMOVEDIR);
        }
    }
}
