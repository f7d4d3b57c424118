//! What a monitor that was killed, or a start that was, may have left: found by the container's id alone.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sys::Call;
use sys::fs::open_dir;

use container::cgroup;

use crate::config::Config;
use crate::error::During;
use crate::runtime::noted_cgroup;
use crate::{Error, Record, state};

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
    let hierarchies = config.hierarchies()?;
    cgroup::kill(&hierarchies, &noted_cgroup(config, id)).map_err(Error::Cgroup)?;
    if hierarchies.is_empty() {
        kill_first(config, id)?;
    }
    Ok(hierarchies)
}

/// Kills the container's first process, with which all others of its pid namespace end, and waits until it is gone.
fn kill_first(config: &Config, id: &str) -> Result<(), Error> {
    let Some((pid, start)) = state::recorded(config, id)? else { return Ok(()) };
    let what = || format!("kill process {pid} of container {}", &id[..12]);
    let process = match sys::process::open(pid, start) {
        Err(error) if error.errno() == Errno::SRCH => return Ok(()),
        process => process.during(what)?,
    };
    match sys::process::signal(&process, SIGKILL) {
        Err(error) if error.errno() != Errno::SRCH => return Err(error).during(what),
        _ => {}
    }
    let timeout = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
    let gone = rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)));
    match gone.call(|| "poll(pidfd)").during(what)? {
        0 => Err(sys::Error::new(format!("poll(pidfd of {pid})"), Errno::TIMEDOUT)).during(what),
        _ => Ok(()),
    }
}

const SIGKILL: i32 = 9;
/// Seconds that a killed process may take to end.
const PATIENCE: i64 = 10;
