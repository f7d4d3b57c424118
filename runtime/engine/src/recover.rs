//! What a monitor that was killed, or a start that was, may have left: found by the container's id alone.

use sys::fs::open_dir;

use container::cgroup;

use crate::config::Config;
use crate::error::During;
use crate::runtime::noted_cgroup;
use crate::{Error, Record};

/// Undoes what is left of a run of container `id`. The runtime folder is made before anything else and removed after everything
/// else, so where there is none, nothing is left.
pub(crate) fn leftovers(config: &Config, id: &str, record: Option<&Record>) -> Result<(), Error> {
    let runtime = config.runtime(id);
    if !runtime.exists() {
        return Ok(());
    }
    let hierarchies = kill(config, id)?;
    for folder in cgroup::paths(&hierarchies, &noted_cgroup(config, id)) {
        cgroup::remove(&folder).map_err(Error::Cgroup)?;
    }
    crate::network::recover(config, id, record)?;
    let what = || format!("remove {}", runtime.display());
    let all = open_dir(config.run.join("containers")).during(what)?;
    sys::fs::remove_tree(all, id).during(what)
}

/// Kills whatever runs in the container's cgroup, and waits until it is gone.
pub(crate) fn kill(config: &Config, id: &str) -> Result<cgroup::Hierarchies, Error> {
    let hierarchies = cgroup::Hierarchies::detect().map_err(Error::Cgroup)?;
    cgroup::kill(&hierarchies, &noted_cgroup(config, id)).map_err(Error::Cgroup)?;
    Ok(hierarchies)
}
