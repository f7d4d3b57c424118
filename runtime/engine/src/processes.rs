//! What runs in a container.

use container::cgroup;

use crate::{Engine, Error, home, names};

impl Engine {
    /// The numbers, on the host, of all processes of a running container, in ascending order.
    ///
    /// # Errors
    /// [`Error::NotRunning`].
    pub fn processes(&self, given: &str) -> Result<Vec<u32>, Error> {
        let container = self.container(given)?;
        if !container.is_running() {
            return Err(Error::NotRunning(names::short(&container.record)));
        }
        let hierarchies = self.config.hierarchies()?;
        if let (true, Some((pid, _))) = (hierarchies.is_empty(), container.process()) {
            return Ok(home::members(pid));
        }
        let mut all = cgroup::processes(&hierarchies, &self.config.cgroup_of(&container.record)).map_err(Error::Cgroup)?;
        all.sort_unstable();
        Ok(all)
    }
}
