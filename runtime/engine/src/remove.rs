//! `rm`: whatever state a container is in, with force nothing of it remains.

use std::os::fd::OwnedFd;

use monitor::log;
use rustix::fs::renameat;
use rustix::io::Errno;
use sys::Call;
use sys::fs::open_dir;

use crate::create::{Folder, in_charge, sweep, take_charge};
use crate::error::During;
use crate::request::LogConfig;
use crate::wait::open_process;
use crate::{Engine, Error, names, owners, pod, recover, state, volume};

impl Engine {
    /// Removes a container. With `force` a running one is killed first, and one whose record is damaged or incomplete is removed too; with
    /// `volumes` those go with it that were its own and that nobody else has.
    ///
    /// # Errors
    /// [`Error::Running`] without force.
    pub fn remove(&self, given: &str, force: bool, volumes: bool) -> Result<(), Error> {
        self.children.reap();
        let _ = sweep(&self.config.containers());
        let id = names::resolve(&self.config, given)?;
        if force && let Ok(Some(container)) = state::load(&self.config, &id) {
            // A damaged one is removed, too.
            self.stay(&container)?;
        }
        if let Some(process) = self.running_process(&id, force)? {
            if let Ok(Some(container)) = state::load(&self.config, &id) {
                self.told(&container.record, "kill", &[("signal", "9")]);
            }
            let _ = sys::process::signal(&process, 9);
            drop(process);
            // What is frozen by a v1 freezer does not die.
            state::load(&self.config, &id)?.map_or(Ok(()), |container| self.resume(&container))?;
            self.settled(&id)?;
        }
        let lock = match Folder::lock(&self.config, &id) {
            // A container made with `remove` goes with its last process.
            Err(Error::NoSuchContainer(_)) => return Ok(()),
            other => other?,
        };
        if in_charge(&self.config.container(&id)) {
            // A start whose command was killed may have come to run since.
            self.settle_start(&id)?;
            self.running_process(&id, force)?;
            if force {
                // Whatever its record says: its monitor ends with it, and is waited for.
                recover::kill(&self.config, &id)?;
            }
        }
        let record = state::load(&self.config, &id).ok().flatten().map(|container| container.record);
        let own = record.as_ref().filter(|record| volumes || record.remove).cloned();
        drop_container(self, &id, record, lock)?;
        own.map_or(Ok(()), |record| volume::release_own(&self.config, &record))
    }

    /// The container's first process, if it has one that may be killed.
    fn running_process(&self, id: &str, force: bool) -> Result<Option<OwnedFd>, Error> {
        let container = match state::load(&self.config, id) {
            Err(error @ Error::Damaged { .. }) if !force => return Err(error),
            other => other.ok().flatten(),
        };
        let Some(container) = container.filter(crate::Container::is_running) else { return Ok(None) };
        if !force {
            return Err(Error::Running(names::short(&container.record)));
        }
        Ok(open_process(&container))
    }
}

fn drop_container(engine: &Engine, id: &str, record: Option<crate::Record>, lock: Folder) -> Result<(), Error> {
    let config = &engine.config;
    // A damaged container may have no record to hold.
    let _charge = take_charge(&lock).ok();
    recover::leftovers(config, id, record.as_ref())?;
    let what = || format!("remove container {}", &id[..12.min(id.len())]);
    let all = open_dir(config.containers()).during(what)?;
    // In one step: a half removed container is found by nobody but the next sweep.
    let gone = format!(".gone-{id}");
    match renameat(&all, id, &all, &gone) {
        Ok(()) | Err(Errno::NOENT) => {}
        other => other.call(|| format!("renameat({id:?}, {gone:?})")).during(what)?,
    }
    if record.is_none() {
        // Which names it had is not known; those that lead to it are.
        names::release_all(config, id);
    }
    if let Some(record) = &record {
        pod::forget(config, record.pod.as_ref(), id);
        owners::forget(config, record);
        names::release(config, &record.name, id);
        engine.told(record, "destroy", &[]);
        volume::release(config, record);
        // A log that is rotated by others is theirs to remove.
        if let LogConfig { path: Some(path), max_size: Some(_), .. } = &record.tuning.log {
            log::remove(path).during(what)?;
        }
    }
    sys::fs::remove_tree(all, gone).during(what)
}
