//! `remove_pod`: nothing of it is left.

use std::fs::File;
use std::time::Duration;

use rustix::fs::renameat;
use rustix::io::Errno;
use sys::Call;
use sys::fs::open_dir;

use super::record::PodRecord;
use super::run::actor;
use super::stop::{members, own_network};
use super::{cgroup, find, namespaces};
use crate::config::Config;
use crate::create::{RECORD, sweep};
use crate::error::During;
use crate::{Engine, Error, Grace, state};

impl Engine {
    /// Kills what runs in a pod, and removes its containers and itself. One that is not there is fine, and so is one whose record is damaged.
    ///
    /// # Errors
    /// A container cannot be removed.
    pub fn remove_pod(&self, given: &str) -> Result<(), Error> {
        let config = &self.config;
        let id = match find::resolve(config, given) {
            Err(Error::NoSuchPod(_)) => return Ok(()),
            found => found?,
        };
        self.stop_pod(&id, Grace::For(Duration::ZERO))?;
        let lock = match find::lock(config, &id, false) {
            Err(Error::NoSuchPod(_)) => return Ok(()),
            lock => lock?,
        };
        for container in members(config, &id).unwrap_or_default() {
            match self.remove(&container, true, true) {
                Ok(()) | Err(Error::NoSuchContainer(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let record = state::read::<PodRecord>(&config.pod(&id).join(RECORD)).ok().flatten();
        all(config, &id, record.as_ref(), &lock)?;
        if let Some(record) = &record {
            self.note("pod", "destroy", actor(record));
        }
        let _ = sweep(&config.pods());
        Ok(())
    }
}

/// Removes all of a pod but containers: from `RUN` to its name. `_lock` is that of its folder.
pub(super) fn all(config: &Config, id: &str, record: Option<&PodRecord>, _lock: &File) -> Result<(), Error> {
    let own = record.map_or_else(|| own_network(config, id), PodRecord::has_network);
    namespaces::unmake(config, id, own)?;
    if record.is_none_or(|record| record.request.cgroup_parent.is_none()) {
        cgroup::remove_own(config, id)?;
    }
    let what = || format!("remove pod {}", &id[..12]);
    let pods = open_dir(config.pods()).during(what)?;
    // In one step: a half removed pod is found by nobody but the next sweep.
    let gone = format!(".gone-{id}");
    match renameat(&pods, id, &pods, &gone) {
        Ok(()) | Err(Errno::NOENT) => {}
        other => other.call(|| format!("renameat({id:?}, {gone:?})")).during(what)?,
    }
    if let Some(record) = record {
        find::release(config, record);
    }
    sys::fs::remove_tree(pods, gone).during(what)
}
