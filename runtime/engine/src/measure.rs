//! All that is known of what a container or a pod uses.

use container::cgroup;

use crate::{Container, Engine, Error, Pod};

impl Engine {
    /// What the cgroup of a container says.
    ///
    /// # Errors
    /// No cgroups are mounted.
    pub fn measure(&self, container: &Container) -> Result<cgroup::Stats, Error> {
        let hierarchies = self.config.cgroups_for("stats")?;
        cgroup::stats_of(&hierarchies, &self.config.cgroup_of(&container.record)).map_err(Error::Cgroup)
    }

    /// What the cgroup of a pod says, in which those of its containers are.
    ///
    /// # Errors
    /// No cgroups are mounted.
    pub fn measure_pod(&self, pod: &Pod) -> Result<cgroup::Stats, Error> {
        let hierarchies = self.config.cgroups_for("stats")?;
        cgroup::stats_of(&hierarchies, &pod.record.cgroup(&self.config)?).map_err(Error::Cgroup)
    }
}
