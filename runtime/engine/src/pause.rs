//! `pause` and `unpause`: the container's processes frozen where they are.

use container::cgroup;
use launch::{Report, Status};
use monitor::Request;
use sys::fs::open_dir;

use crate::error::During;
use crate::{Container, Engine, Error, names, state};

impl Engine {
    /// Freezes all processes of a running container. Returns when none runs any more and its record says so.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::Paused`].
    pub fn pause(&self, given: &str) -> Result<(), Error> {
        let (container, mut session) = self.running(given)?;
        if container.is_restarting() {
            return Err(Error::NotRunning(names::short(&container.record)));
        }
        if matches!(container.status, Status::Paused { .. }) {
            return Err(Error::Paused(names::short(&container.record)));
        }
        let hierarchies = self.config.cgroups_for("pause")?;
        let path = self.config.cgroup_of(&container.record);
        cgroup::freeze(&hierarchies, &path).map_err(Error::Cgroup)?;
        session.ask(&Request::Frozen(true)).inspect_err(|_| drop(cgroup::thaw(&hierarchies, &path)))?;
        self.told(&container.record, "pause", &[]);
        Ok(())
    }

    /// Lets the processes of a paused container go on.
    ///
    /// # Errors
    /// [`Error::NotPaused`].
    pub fn unpause(&self, given: &str) -> Result<(), Error> {
        let container = self.container(given)?;
        match container.status {
            Status::Paused { .. } => self.resume(&container),
            _ => Err(Error::NotPaused(names::short(&container.record))),
        }
    }

    /// Ends the pause of a container, if it is paused.
    pub(crate) fn resume(&self, container: &Container) -> Result<(), Error> {
        let Status::Paused { pid, start_time, since } = container.status else { return Ok(()) };
        let hierarchies = self.config.cgroups_for("pause")?;
        cgroup::thaw(&hierarchies, &self.config.cgroup_of(&container.record)).map_err(Error::Cgroup)?;
        self.told(&container.record, "unpause", &[]);
        match self.connect(&container.record.id)? {
            Some(mut session) => match session.ask(&Request::Frozen(false)) {
                // It has ended meanwhile.
                Err(Error::MonitorGone(_)) => Ok(()),
                other => other,
            },
            // Its monitor is gone, so there is no other writer.
            None => {
                let what = || format!("write down that container {} is not paused", names::short(&container.record));
                let folder = open_dir(self.config.container(&container.record.id)).during(what)?;
                let status = Status::Running { pid, start_time, since };
                let Container { restarts, stopped, health, .. } = container.clone();
                state::write(&folder, &Report { status, restarts, stopped, health })
            }
        }
    }
}
