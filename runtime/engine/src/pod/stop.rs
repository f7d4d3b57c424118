//! `stop_pod`: nothing of it runs, and its address is free.

use std::fs::File;

use sys::Call;

use super::record::PodRecord;
use super::run::actor;
use super::{MEMBERS, STOPPED, find, namespaces, pids};
use crate::config::Config;
use crate::create::{Folder, RECORD};
use crate::error::During;
use crate::{Engine, Error, Grace, recover, state};

impl Engine {
    /// Ends the containers of a pod, each in the way of [`Engine::stop`], all at once; then lets go of its addresses and namespaces. A pod that
    /// is stopped already, or that is not there, is fine.
    ///
    /// # Errors
    /// A container cannot be ended.
    pub fn stop_pod(&self, given: &str, grace: Grace) -> Result<(), Error> {
        let config = &self.config;
        let found = find::resolve(config, given).and_then(|id| find::lock(config, &id, false).map(|lock| (id, lock)));
        let (id, lock) = match found {
            Err(Error::NoSuchPod(_)) => return Ok(()),
            found => found?,
        };
        let mark = config.pod(&id).join(STOPPED);
        if !mark.exists() {
            File::create(&mark).call(|| format!("open({mark:?}, O_CREAT)")).during(|| format!("stop pod {}", &id[..12]))?;
        }
        if !config.pod_runtime(&id).exists() && !crate::cni::has(config, &id) {
            self.held.release(&id);
            return Ok(());
        }
        // Whoever comes from here on finds the mark.
        drop(lock);
        self.stop_members(&id, grace)?;
        match find::lock(config, &id, false) {
            Err(Error::NoSuchPod(_)) => Ok(()),
            lock => {
                let _lock = lock?;
                namespaces::unmake(config, &id, own_network(config, &id))?;
                self.held.release(&id);
                if let Ok(Some(record)) = state::read::<PodRecord>(&config.pod(&id).join(RECORD)) {
                    self.note("pod", "stop", actor(&record));
                }
                Ok(())
            }
        }
    }

    fn stop_members(&self, id: &str, grace: Grace) -> Result<(), Error> {
        let record = state::read::<PodRecord>(&self.config.pod(id).join(RECORD)).ok().flatten();
        let init = record.and_then(|record| pids::of_pod(self, &record));
        // With the first of processes that are shared all others are killed, so it is the last to go.
        let (last, members): (Vec<_>, Vec<_>) =
            members(&self.config, id)?.into_iter().partition(|container| Some(container) == init.as_ref());
        let stop = |container: &String| {
            // A start that is under way has finished when this is held.
            let waited = Folder::lock(&self.config, container).map(drop);
            match waited.and_then(|()| self.stop(container, None, grace)) {
                Err(Error::NoSuchContainer(_)) => Ok(()),
                // How it wants to end cannot be read any more.
                Err(Error::Damaged { .. }) => recover::kill(&self.config, container).map(drop),
                other => other,
            }
        };
        let stopped = match members.as_slice() {
            [] => Ok(()),
            [one] => stop(one),
            all => std::thread::scope(|scope| {
                let threads: Vec<_> = all.iter().map(|container| scope.spawn(move || stop(container))).collect();
                let ends = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                ends.fold(Ok(()), Result::and)
            }),
        };
        last.iter().map(stop).fold(stopped, Result::and)
    }
}

/// The ids of a pod's containers. Some may be gone, or not yet be.
pub(super) fn members(config: &Config, id: &str) -> Result<Vec<String>, Error> {
    let folder = config.pod(id).join(MEMBERS);
    let listing = sys::fs::open_dir(&folder).and_then(sys::fs::list).during(|| format!("list the containers of pod {}", &id[..12]));
    Ok(listing?.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| name.len() == 64).collect())
}

/// Whether the pod has a network of its own. One whose record is damaged may have.
pub(super) fn own_network(config: &Config, id: &str) -> bool {
    let record = state::read::<PodRecord>(&config.pod(id).join(RECORD));
    !matches!(record, Ok(Some(record)) if !record.has_network())
}
